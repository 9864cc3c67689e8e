package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// TestMain has commands that name no backend take the CPU's, whose scores the tests know: a Mac would take its GPU. With other
// arguments than those of tests, the test binary is the command, for tests that need a process of its own.
func TestMain(m *testing.M) {
	if err := os.Setenv("METALRANK_BACKEND", engine.BackendCPU); err != nil {
		panic(err)
	}
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-test.") {
		main()
	}
	os.Exit(m.Run())
}

const rerankRequest = "POST /rerank HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n" +
	`{"query":"a","texts":["b"]}`

// hammer is load on an address, by clients that don't retry.
type hammer struct {
	answered, lost atomic.Int64
	stop           context.CancelFunc
	clients        sync.WaitGroup
}

// startHammer starts clients: some keep their connection as long as the server does, others open one for each request.
func startHammer(t *testing.T, network, address string) *hammer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	h := &hammer{stop: cancel}
	for i := range 8 {
		h.clients.Go(func() {
			for ctx.Err() == nil {
				if err := h.connection(ctx, network, address, i%2 == 0); err != nil {
					h.lost.Add(1)
					t.Errorf("lost: %v", err)
				}
			}
		})
	}
	return h
}

func (h *hammer) connection(ctx context.Context, network, address string, keep bool) error {
	c, err := net.DialTimeout(network, address, patience)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	r := bufio.NewReader(c)
	for {
		if _, err := io.WriteString(c, rerankRequest); err != nil {
			return err
		}
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), `[{"index":0,`) {
			return fmt.Errorf("%w, %s: %s", err, response.Status, body)
		}
		h.answered.Add(1)
		if response.Close || !keep || ctx.Err() != nil {
			return nil
		}
	}
}

// more waits until some more requests were answered.
func (h *hammer) more(t *testing.T) {
	t.Helper()
	const some = 50
	deadline := time.Now().Add(patience)
	for want := h.answered.Load() + some; h.answered.Load() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d requests answered, want %d", h.answered.Load(), want)
		}
	}
}

// end stops the load and wants no request lost.
func (h *hammer) end(t *testing.T, restarts int) {
	t.Helper()
	h.stop()
	h.clients.Wait()
	if h.lost.Load() > 0 {
		t.Errorf("%d requests were lost", h.lost.Load())
	}
	t.Logf("%d requests answered over %d restarts, %d lost", h.answered.Load(), restarts, h.lost.Load())
}

// awaitEnd waits until a server has ended by itself.
func (p *process) awaitEnd(t *testing.T) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("the server goes on: %s", p.String())
	}
}

// TestHandover replaces older processes by newer ones under load, and wants no request lost.
func TestHandover(t *testing.T) {
	dir := t.TempDir()
	for name, listen := range map[string]string{"tcp": "127.0.0.1:0", "unix": "unix:" + filepath.Join(dir, "s")} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "handover-"+name)
			args := []string{"--listen", listen, "--handover", path, "--admin-listen=127.0.0.1:0"}
			server := serve(t, args...)
			address := server.await(t, serving)
			load := startHammer(t, name, address)
			const restarts = 3
			for range restarts {
				load.more(t)
				next := serve(t, args...)
				if got := next.await(t, serving); got != address {
					t.Fatalf("the successor listens on %s, want %s", got, address)
				}
				server.awaitEnd(t)
				server = next
			}
			load.more(t)
			load.end(t, restarts)
			server.stop()
			server.awaitEnd(t)
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the last server left its socket behind: %v", err)
			}
			if _, err := os.Lstat(filepath.Join(dir, "s")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the last server left the socket behind that it had listened on: %v", err)
			}
		})
	}
}

// TestHandoverFails has a successor that never serves, and wants the server to go on.
func TestHandoverFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "handover")
	server := serve(t, "--listen=127.0.0.1:0", "--handover", path)
	address := server.await(t, serving)
	if info, err := os.Lstat(path); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("%v, mode %v", err, info.Mode())
	}
	for _, word := range []string{"", "nonsense"} {
		s, err := openSockets(t.Context(), path)
		if err != nil || len(s.spare) != 1 || s.spare[0].Addr().String() != address {
			t.Fatalf("%v: %+v", err, s)
		}
		fmt.Fprint(s.predecessor, word)
		s.close()
	}
	server.await(t, "does not serve(?s:.*)does not serve")
	if status := ask(t, plainClient(), "http://"+address, ""); status != 200 {
		t.Errorf("status %d", status)
	}
}

// TestReceiveSockets wants messages refused that are no handover.
func TestReceiveSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, text := range []string{"\n\n", "127.0.0.1:80\n\n", strings.Repeat("x", 2*handoverLimitBytes)} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := ln.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(c, text)
			_ = c.Close()
		}()
		if s, err := openSockets(t.Context(), path); err == nil {
			t.Errorf("%.20q was taken: %+v", text, s)
		}
		<-done
	}
}

// TestHandoverSparesFiles wants a file at the socket's path kept, and no wait for a server that is gone.
func TestHandoverSparesFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, _, stderr := execute(t, t.Context(), "", "serve", "--model", checkpoint(t, weightstest.Tiny()),
		"--listen=127.0.0.1:0", "--handover", path)
	text, err := os.ReadFile(path)
	if status != exitFailed || !strings.Contains(stderr, "--handover "+path) || err != nil || string(text) != "text" {
		t.Errorf("status %d, %s; the file has %q (%v)", status, stderr, text, err)
	}
}

// TestListenDescriptor restarts servers on a socket that another process keeps, as systemd does.
func TestListenDescriptor(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	inherit := func() string {
		raw, err := ln.(*net.TCPListener).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var copied int
		if err := raw.Control(func(fd uintptr) { copied, err = syscall.Dup(int(fd)) }); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("--listen=fd:%d", copied)
	}
	server := serve(t, inherit())
	if got := server.await(t, serving); got != ln.Addr().String() {
		t.Errorf("address %s, want %s", got, ln.Addr())
	}
	load := startHammer(t, "tcp", ln.Addr().String())
	const restarts = 3
	for range restarts {
		load.more(t)
		server.stop()
		server.awaitEnd(t) // meanwhile, connections wait
		server = serve(t, inherit())
		server.await(t, serving)
	}
	load.more(t)
	load.end(t, restarts)
	for _, wrong := range []string{"fd:x", "fd:2", "fd:-1", "fd:987"} {
		if ln, err := (&sockets{}).listen(t.Context(), "--listen", wrong); err == nil {
			t.Errorf("%s: %v", wrong, ln.Addr())
		}
	}
}

// TestSecondSignal wants a stopping server to tell load balancers, and to go on serving clients during --drain-delay; a
// second signal ends it at once.
func TestSecondSignal(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		command, log := child(t, "serve", "--model", checkpoint(t, weightstest.Tiny()), "--listen=127.0.0.1:0", "--drain-delay=1h")
		address := log.await(t, serving)
		if status := readiness(t, address); status != 200 {
			t.Errorf("at first: /readyz has status %d", status)
		}
		if err := command.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		log.await(t, "msg=stopping")
		if status := readiness(t, address); status != 503 {
			t.Errorf("after one signal: /readyz has status %d", status)
		}
		if status := ask(t, plainClient(), "http://"+address, ""); status != 200 {
			t.Errorf("after one signal: status %d", status)
		}
		if err := command.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		_ = command.Wait() // without the second signal it would take an hour
		ended, ok := command.ProcessState.Sys().(syscall.WaitStatus)
		if !ok || !ended.Signaled() || ended.Signal() != signal {
			t.Errorf("%v, want it to end by %v at once", command.ProcessState, signal)
		}
	}
}

// readiness is the status of /readyz.
func readiness(t *testing.T, address string) int {
	t.Helper()
	response, err := plainClient().Get("http://" + address + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}
