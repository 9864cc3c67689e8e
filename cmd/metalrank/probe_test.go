package main

import (
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestReachable(t *testing.T) {
	for listen, want := range map[string]string{
		"0.0.0.0:1": "127.0.0.1:1", ":2": "127.0.0.1:2", "[::]:3": "[::1]:3", "10.0.0.1:4": "10.0.0.1:4", "localhost:5": "localhost:5",
	} {
		if got := reachable(listen); got != want {
			t.Errorf("%s: got %s, want %s", listen, got, want)
		}
	}
}

// TestProbe wants the status of a probe to be that of the server's readiness.
func TestProbe(t *testing.T) {
	var status atomic.Int64
	status.Store(http.StatusOK)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("asked for %s", r.URL)
		}
		w.WriteHeader(int(status.Load()))
		_, _ = w.Write([]byte("stopping"))
	})}
	go func() { _ = server.Serve(listener) }()
	address := listener.Addr().String()
	ask := func(listen string) (int, string) {
		got, _, stderr := execute(t, t.Context(), "", "serve", "--probe", "--listen", listen)
		return got, stderr
	}
	if got, stderr := ask(address); got != 0 || stderr != "" {
		t.Errorf("a ready server: status %d, %q", got, stderr)
	}
	status.Store(http.StatusServiceUnavailable)
	if got, stderr := ask(address); got != exitFailed || !strings.Contains(stderr, "not ready: status 503, stopping") {
		t.Errorf("a server that stops: status %d, %q", got, stderr)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if got, stderr := ask(address); got != exitFailed || !strings.Contains(stderr, "refused") {
		t.Errorf("no server: status %d, %q", got, stderr)
	}
	if got, stderr := ask("fd:3"); got != exitFailed || !strings.Contains(stderr, "want its address") {
		t.Errorf("a descriptor: status %d, %q", got, stderr)
	}
}
