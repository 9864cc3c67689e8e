package fleet

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestRetries runs HAProxy, where it is installed, with our configuration, in front of a good node and a bad one.
func TestRetries(t *testing.T) {
	program, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("no haproxy: sudo apt-get install haproxy, brew install haproxy")
	}
	for name, answer := range map[string]http.HandlerFunc{
		"503":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"hangs up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			var spoiled atomic.Int64
			nodes := &Nodes{Listen: free(t), Stats: free(t), RetryBytes: 100_000, Nodes: []Node{
				{Name: "bad", Address: node(t, func(w http.ResponseWriter, r *http.Request) {
					spoiled.Add(1)
					answer(w, r)
				})},
				{Name: "well", Address: node(t, func(w http.ResponseWriter, r *http.Request) {
					_, _ = fmt.Fprintln(w, r.Header.Get("X-Request-Id"), r.Header.Get("Traceparent"), r.Header.Get("Authorization"))
				})},
			}}
			nodes.setDefaults()
			if err := nodes.check(); err != nil {
				t.Fatal(err)
			}
			balance(t, program, nodes)
			for i := range 20 {
				if text := post(t, nodes.Listen, 100+i*5000); text != "mine trace Bearer key\n" {
					t.Errorf("%d bytes: %q", 100+i*5000, text)
				}
			}
			if spoiled.Load() == 0 {
				t.Error("nothing had to be sent again")
			}
			failed := 0
			for range 10 {
				if post(t, nodes.Listen, 2*nodes.RetryBytes) == "" {
					failed++
				}
			}
			if failed == 0 {
				t.Error("a request larger than the buffer was sent again: RetryBytes is no limit any more")
			}
		})
	}
}

// node runs a server that is ready, and answers all other requests by answer, once it has read them.
func node(t *testing.T, answer http.HandlerFunc) (address string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			_, _ = io.Copy(io.Discard, r.Body)
			answer(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// post sends size bytes, without a retry, and returns the answer, or "" if there is none.
func post(t *testing.T, address string, size int) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/rerank", bytes.NewReader(make([]byte, size)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"X-Request-Id": {"mine"}, "Traceparent": {"trace"}, "Authorization": {"Bearer key"}}
	r.GetBody = nil // no second try of Go's own
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}

// free returns an address that nobody listens on. Its port is below the range for outgoing connections.
func free(t *testing.T) string {
	t.Helper()
	for {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)))
		if err != nil {
			continue
		}
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		return ln.Addr().String()
	}
}

// balance runs HAProxy until the test ends, and returns when it listens.
func balance(t *testing.T, program string, nodes *Nodes) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	var text strings.Builder
	if err := nodes.WriteHAProxy(&text); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	command := exec.CommandContext(t.Context(), program, "-db", "-f", file)
	command.Stdout, command.Stderr = &said, &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = command.Wait() // its output is checked instead
	}()
	t.Cleanup(func() { <-ended }) // t.Context has ended, and HAProxy with it
	for {
		if c, err := net.Dial("tcp", nodes.Listen); err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("haproxy does not listen: %s", said.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
