package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/metalrank/metalrank/weights/weightstest"
)

// prepare returns the command line as a process of its own.
func prepare(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), executable, args...)
}

// child starts the command line as a process of its own, and returns it with its standard error.
func child(t *testing.T, args ...string) (*exec.Cmd, *lockedBuffer) {
	t.Helper()
	command, log := prepare(t, args...), &lockedBuffer{}
	command.Stderr = log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	return command, log
}

// end waits for a process and returns its exit status, -1 for a signal.
func end(t *testing.T, command *exec.Cmd) int {
	t.Helper()
	late := time.AfterFunc(time.Minute, func() { _ = command.Process.Kill() })
	_ = command.Wait() // which tells how it ended
	if !late.Stop() {
		t.Fatal("the process goes on")
	}
	return command.ProcessState.ExitCode()
}

func (b *lockedBuffer) signal(t *testing.T, command *exec.Cmd, signal os.Signal) {
	t.Helper()
	if err := command.Process.Signal(signal); err != nil {
		t.Fatalf("%v: %s", err, b.String())
	}
}

// TestStopIsBounded stops a server with requests, clients and a collector that would all take longer than the limit.
func TestStopIsBounded(t *testing.T) {
	collector, err := net.Listen("tcp", "127.0.0.1:0") // it never answers
	if err != nil {
		t.Fatal(err)
	}
	defer collector.Close()
	command, log := child(t, "serve", "--model", checkpoint(t, weightstest.Tiny()), "--listen=127.0.0.1:0", "--drain-timeout=100ms",
		"--max-wait=10s", "--read-timeout=10m", "--otlp-endpoint=http://"+collector.Addr().String())
	address := log.await(t, serving)
	connect := func(text string) net.Conn {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		return c
	}
	connect(rerankRequest[:len(rerankRequest)-5])
	waiting := connect(rerankRequest)
	for ctx, client := t.Context(), plainClient(); ; { // until it waits for a batch that isn't full
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if regexp.MustCompile(`metalrank_model_queue_tokens\{[^}]*\} [1-9]`).Match(text) {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	log.signal(t, command, syscall.SIGTERM)
	if err := waiting.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 12)
	if _, err := io.ReadFull(waiting, answer); err != nil || string(answer) != "HTTP/1.1 503" {
		t.Errorf("a request in the queue is answered with %q (%v), want 503", answer, err)
	}
	if status := end(t, command); status != exitFailed || !strings.Contains(log.String(), "stopping") {
		t.Errorf("status %d: %s", status, log.String())
	}
}

// fifo makes a named pipe. Opening it for writing waits until somebody reads.
func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// feed writes text to the pipe's next reader.
func feed(t *testing.T, path, text string) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- os.WriteFile(path, []byte(text), 0) }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatal("nobody reads the pipe")
	}
}

// TestHangupBeforeServing sends SIGHUP to a server that is still reading its keys. It wants the server to live on, and to
// read them again as soon as it serves.
func TestHangupBeforeServing(t *testing.T) {
	keys := fifo(t)
	command, log := child(t, "serve", "--model", checkpoint(t, weightstest.Tiny()), "--listen=127.0.0.1:0", "--api-key-file", keys)
	file, err := os.OpenFile(keys, os.O_WRONLY, 0) // returns once the server has begun to read
	if err != nil {
		t.Fatal(err)
	}
	log.signal(t, command, syscall.SIGHUP)
	if _, err := file.WriteString("a:first-0123456789"); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	log.await(t, serving)
	feed(t, keys, "a:first-0123456789\nb:second-0123456789")
	log.await(t, `read again" keys=2`)
	log.signal(t, command, syscall.SIGTERM)
	if status := end(t, command); status != 0 {
		t.Errorf("status %d: %s", status, log.String())
	}
}

// TestHangupWhileStopping sends SIGHUP to a server that is stopping.
func TestHangupWhileStopping(t *testing.T) {
	command, log := child(t, "serve", "--model", checkpoint(t, weightstest.Tiny()), "--listen=127.0.0.1:0", "--drain-delay=2s")
	log.await(t, serving)
	log.signal(t, command, syscall.SIGTERM)
	log.await(t, "msg=stopping")
	log.signal(t, command, syscall.SIGHUP)
	if status := end(t, command); status != 0 {
		t.Errorf("status %d: %s", status, log.String())
	}
}

// TestStopWhileLoading stops a server that reads a file which never ends.
func TestStopWhileLoading(t *testing.T) {
	keys := fifo(t)
	command, log := child(t, "serve", "--model", checkpoint(t, weightstest.Tiny()), "--listen=127.0.0.1:0", "--drain-timeout=0s",
		"--api-key-file", keys)
	file, err := os.OpenFile(keys, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	log.signal(t, command, syscall.SIGTERM)
	if status := end(t, command); status != exitFailed {
		t.Errorf("status %d: %s", status, log.String())
	}
}

// TestStalledLog has a reader of the log that stops reading, and then goes. It wants requests answered, and dropped lines
// counted.
func TestStalledLog(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	command := prepare(t, "serve", "--model", checkpoint(t, weightstest.Tiny()), "--listen=unix:"+socket, "--access-log-share=1")
	log, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	defer client.CloseIdleConnections()
	get := func(path string) (text string, err error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://socket"+path, nil)
		if err != nil {
			return "", err
		}
		response, err := client.Do(request)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		all, err := io.ReadAll(response.Body)
		return string(all), err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if _, err := get("/health"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody listens")
		}
	}
	dropped := regexp.MustCompile(`metalrank_log_lines_dropped_total [1-9]`)
	for begin := time.Now(); ; {
		for range 500 {
			if _, err := get("/health"); err != nil {
				t.Fatalf("with a log that nobody reads: %v", err)
			}
		}
		text, err := get("/metrics")
		if err != nil {
			t.Fatal(err)
		}
		if dropped.MatchString(text) {
			break
		}
		if time.Since(begin) > patience {
			t.Fatalf("no lines were dropped: %s", text)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := get("/health"); err != nil {
			t.Fatalf("when the log's reader has gone: %v", err)
		}
	}
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status := end(t, command); status != 0 {
		t.Errorf("status %d", status)
	}
}

// TestBrokenPipe closes the reader of the scores, as "| head" does, and wants the command to end silently.
func TestBrokenPipe(t *testing.T) {
	command := prepare(t, "score", "--model", checkpoint(t, weightstest.Tiny()), "--pairs=-")
	command.Stdin = strings.NewReader(strings.Repeat("{\"query\":\"a\",\"text\":\"b\"}\n", 10_000))
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	command.Stdout, command.Stderr = writer, &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(writer.Close(), reader.Close()); err != nil {
		t.Fatal(err)
	}
	if status := end(t, command); status == 0 || stderr.Len() > 0 {
		t.Errorf("status %d, stderr %q", status, stderr.String())
	}
}

// TestFullDisk wants every command that writes to standard output to notice that it can't.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no /dev/full")
	}
	defer full.Close()
	model, dir := checkpoint(t, weightstest.Tiny()), t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pairs := write("pairs", `{"query":"a","text":"b"}`)
	judged := write("judged", `{"query":"a","docs":["b"],"relevant":[0]}`)
	nodes := write("nodes", "nodes:\n  - {name: a, address: 192.0.2.1:8080, agent: 192.0.2.1:8081}\n")
	for _, args := range [][]string{
		{"score", "--model", model, "--pairs", pairs}, {"rerank", "-q", "a", "--model", model, pairs},
		{"rerank", "-q", "a", "--model", model, "--format=json", pairs}, {"info", "--model", model},
		{"info", "--model", model, "--tensors"}, {"eval", "--model", model, judged}, {"eval", "--model", model, "--format=json", judged},
		{"serve", "--check", "--model", model}, {"fleet", "haproxy", nodes}, {"--help"}, {"--version"}, {"score", "--help"},
		{"convert", "--dtype=fp16", model, filepath.Join(dir, "made")},
	} {
		command := prepare(t, args...)
		var stderr bytes.Buffer
		command.Stdout, command.Stderr = full, &stderr
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		if status := end(t, command); status != exitFailed || !strings.Contains(stderr.String(), "no space left") {
			t.Errorf("%s: status %d, stderr %q", fmt.Sprint(args), status, stderr.String())
		}
	}
}
