package httpapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/metalrank/metalrank/engine"
)

// patientRanker answers the query slow when its context ends, with the context's error.
func patientRanker() *fakeRanker {
	return &fakeRanker{rerank: func(ctx context.Context, q string, d []string, o engine.Options) (*engine.Ranking, error) {
		if q != "slow" {
			return rankByWords(q, d, o), nil
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
}

func TestRequestTimeout(t *testing.T) {
	_, address := start(t, patientRanker(), Config{})
	const body = `{"query":"slow","texts":["a"]}`
	send := func(body string, headers ...string) reply {
		return send(t, address, http.MethodPost, request(http.MethodPost, "/rerank", body, append(headers, typeJSON)...))
	}
	for _, headers := range [][]string{
		{"X-Request-Timeout: 0.05"}, {"request-timeout: 5e-2"}, {"X-Request-Timeout: 80000", "Request-Timeout: 0.05"}, {"Request-Timeout: 1e-300"},
	} {
		got := send(body, headers...)
		checkRefusal(t, got, 504, "DeadlineExceeded")
		if got.header.Get("Retry-After") != "1" {
			t.Errorf("%v: %v", headers, got.header)
		}
	}
	for _, value := range []string{"", "0", "-1", "86401", "1e400", "NaN", "inf", "1s", "0x1p-2", "1_0", "5,6", "01"} {
		message := checkRefusal(t, send(body, "X-Request-Timeout: "+value), 422, "Validation")
		if want := fmt.Sprintf("X-Request-Timeout is %q, want seconds, more than 0 and at most 86400", value); message != want {
			t.Errorf("%q: %s", value, message)
		}
	}
	for _, value := range []string{"86400", "1.5"} {
		if got := send(`{"query":"a","texts":["a"]}`, "X-Request-Timeout: "+value); got.status != 200 {
			t.Errorf("%q: %d %s", value, got.status, got.body)
		}
	}
	checkAlive(t, address)
}

// TestClientGoneCancels has clients that leave while they wait: by closing, by a reset, and by closing their sending
// side. None of their requests waits for the model.
func TestClientGoneCancels(t *testing.T) {
	s, address := start(t, patientRanker(), Config{MaxConcurrentRequests: 8})
	raw := request(http.MethodPost, "/rerank", `{"query":"slow","texts":["a"]}`, typeJSON)
	for name, linger := range map[string]int{"closed": -1, "reset": 0} {
		var clients [8]*net.TCPConn
		for i := range clients {
			clients[i] = dial(t, address)
			fmt.Fprint(clients[i], raw)
		}
		until(t, name+": not all requests are under way", func() bool { return s.slots.used.Load() == int64(len(clients)) })
		for _, c := range clients {
			if err := errors.Join(c.SetLinger(linger), c.Close()); err != nil {
				t.Error(err)
			}
		}
		waitFree(t, s, name)
	}
	c := dial(t, address)
	defer c.Close()
	fmt.Fprint(c, raw)
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got := receive(t, bufio.NewReader(c), http.MethodPost)
	if message := checkRefusal(t, got, 499, "Cancelled"); !strings.Contains(message, "closed its connection") {
		t.Error(message)
	}
	waitFree(t, s, "half-closed")
	checkAlive(t, address)
}

// waitFree waits until no request is in flight and no connection is watched.
func waitFree(t *testing.T, s *Server, what string) {
	t.Helper()
	until(t, what+": requests are still under way", func() bool {
		s.watch.mu.Lock()
		defer s.watch.mu.Unlock()
		return s.slots.used.Load() == 0 && len(s.watch.clients) == 0 && !s.watch.running
	})
}

// TestPatientClient looks at a client several times, with its next request sent already; it gets both answers.
func TestPatientClient(t *testing.T) {
	var server atomic.Pointer[Server]
	s, address := start(t, &fakeRanker{rerank: func(ctx context.Context, q string, d []string, o engine.Options) (*engine.Ranking, error) {
		for range 4 {
			server.Load().watch.look()
		}
		return rankByWords(q, d, o), ctx.Err()
	}}, Config{})
	server.Store(s)
	raw := request(http.MethodPost, "/rerank", `{"query":"a","texts":["a"]}`, typeJSON)
	c := dial(t, address)
	defer c.Close()
	fmt.Fprint(c, raw+raw)
	r := bufio.NewReader(c)
	for range 2 {
		if got := receive(t, r, http.MethodPost); got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}

// TestWatcher adds and removes from many goroutines while it looks.
func TestWatcher(t *testing.T) {
	var w watcher
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 200 {
				one := &watchedClient{conn: nowhere{}, cancel: func() { t.Error("cancelled") }}
				w.add(one)
				w.look()
				w.remove(one)
				w.remove(one)
			}
		})
	}
	group.Wait()
	if w.look(); len(w.clients) != 0 {
		t.Errorf("%d are left", len(w.clients))
	}
}

// nowhere is a connection without a descriptor.
type nowhere struct{}

func (nowhere) Control(func(uintptr)) error    { return net.ErrClosed }
func (nowhere) Read(func(uintptr) bool) error  { return net.ErrClosed }
func (nowhere) Write(func(uintptr) bool) error { return net.ErrClosed }
