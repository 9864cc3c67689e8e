package httpapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/metalrank/metalrank/engine"
)

// TestBodyTooLarge sends bodies over the limit. The refusal must arrive even though the client is still sending, which
// is the purpose of lingering.
func TestBodyTooLarge(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{MaxBodyBytes: 1000})
	client := &http.Client{Timeout: patience, Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	for _, size := range []int{1001, 100_000, 20_000_000} {
		for _, chunked := range []bool{false, true} {
			var body io.Reader = strings.NewReader(strings.Repeat("x", size))
			want := fmt.Sprintf("the body has %d bytes, the limit is 1000", size)
			if chunked {
				body, want = io.NopCloser(body), "the body is longer than 1000 bytes, which is the limit"
			}
			response, err := client.Post("http://"+address+"/rerank", contentTypeJSON, body)
			if err != nil {
				t.Fatalf("%d bytes, chunked %t: %v", size, chunked, err)
			}
			text, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			got := reply{response.StatusCode, response.Header, string(text), response.Close}
			if message := checkRefusal(t, got, 413, "PayloadTooLarge"); message != want {
				t.Errorf("message %q, want %q", message, want)
			}
			checkAlive(t, address)
		}
	}
	// A client that reads nothing before it has sent everything.
	raw := request(http.MethodPost, "/rerank", strings.Repeat("x", 20_000_000), typeJSON)
	checkRefusal(t, send(t, address, http.MethodPost, raw), 413, "PayloadTooLarge")
	// At the limit, a body is taken.
	body := `{"query":"a","texts":["a"]}`
	if got := rerank(t, address, body+strings.Repeat(" ", 1000-len(body))); got.status != 200 {
		t.Errorf("1000 bytes: %d %s", got.status, got.body)
	}
}

// TestExpect sends Expect: 100-continue and waits before it sends the body.
func TestExpect(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{MaxBodyBytes: 1000})
	header := func(length int) string {
		return fmt.Sprintf("POST /rerank HTTP/1.1\r\nHost: x\r\n%s\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", typeJSON, length)
	}
	checkRefusal(t, send(t, address, http.MethodPost, header(1001)), 413, "PayloadTooLarge")

	c := dial(t, address)
	defer c.Close()
	const body = `{"query":"a","texts":["a"]}`
	fmt.Fprint(c, header(len(body)))
	r := bufio.NewReader(c)
	if line, err := r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if line, err := r.ReadString('\n'); err != nil || line != "\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	fmt.Fprint(c, body)
	if got := receive(t, r, http.MethodPost); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestSlowBody lets a body stop half-way.
func TestSlowBody(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{ReadTimeout: 100 * time.Millisecond})
	raw := request(http.MethodPost, "/rerank", `{"query":"a","texts":["a"]}`, typeJSON)
	got := send(t, address, http.MethodPost, raw[:len(raw)-5])
	if message := checkRefusal(t, got, 408, "Timeout"); !strings.Contains(message, "100ms") {
		t.Errorf("message %q", message)
	}
	checkAlive(t, address)
}

// TestHalfClosed is a client that closes its sending side: after a request it gets the answer, within one a refusal.
func TestHalfClosed(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{})
	raw := request(http.MethodPost, "/rerank", `{"query":"a","texts":["a"]}`, typeJSON)
	for _, c := range []struct {
		raw    string
		status int
	}{{raw, 200}, {raw[:len(raw)-5], 400}} {
		conn := dial(t, address)
		fmt.Fprint(conn, c.raw)
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, bufio.NewReader(conn), http.MethodPost); got.status != c.status {
			t.Errorf("%d %s, want %d", got.status, got.body, c.status)
		}
		_ = conn.Close()
	}
	checkAlive(t, address)
}

// TestOverload fills every place: one request more is refused at once, and the others are answered.
func TestOverload(t *testing.T) {
	const slots = 3
	entered, release := make(chan struct{}, slots), make(chan struct{})
	_, address := start(t, &fakeRanker{rerank: func(
		_ context.Context, query string, documents []string, options engine.Options,
	) (*engine.Ranking, error) {
		if query == "slow" {
			entered <- struct{}{}
			<-release
		}
		return rankByWords(query, documents, options), nil
	}}, Config{MaxConcurrentRequests: slots})
	replies := make(chan reply, slots)
	for range slots {
		go func() { replies <- rerank(t, address, `{"query":"slow","texts":["a"]}`) }()
	}
	for range slots {
		<-entered
	}
	got := rerank(t, address, `{"query":"a","texts":["a"]}`)
	message := checkRefusal(t, got, 429, "Overloaded")
	if !strings.Contains(message, "3 requests") || got.header.Get("Retry-After") != "1" {
		t.Errorf("message %q, Retry-After %q", message, got.header.Get("Retry-After"))
	}
	for _, path := range []string{"/health", "/info"} { // these never wait for a place
		if got := send(t, address, http.MethodGet, request(http.MethodGet, path, "")); got.status != 200 {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	close(release)
	for range slots {
		if got := <-replies; got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	checkAlive(t, address)
}

// shortListener runs out of descriptors twice.
type shortListener struct {
	net.Listener
	failures int
}

func (l *shortListener) Accept() (net.Conn, error) {
	l.failures++
	if l.failures <= 2 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

var errBroken = errors.New("broken")

type brokenListener struct{ net.Listener }

func (brokenListener) Accept() (net.Conn, error) { return nil, errBroken }

// TestAcceptErrors tells a shortage that passes from a listener that is broken.
func TestAcceptErrors(t *testing.T) {
	s, _ := start(t, &fakeRanker{}, Config{})
	listen := func() net.Listener {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return ln
	}
	if err := s.Serve(brokenListener{listen()}); !errors.Is(err, errBroken) {
		t.Errorf("Serve returned %v, want %v", err, errBroken)
	}
	ln := &shortListener{Listener: listen()}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	checkAlive(t, ln.Addr().String())
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestSlots takes slots from many goroutines: never more than there are, and all are free in the end.
func TestSlots(t *testing.T) {
	const limit = 3
	var (
		p        slots
		inside   atomic.Int64
		taken    atomic.Int64
		group    sync.WaitGroup
		attempts = 1000
	)
	for range 8 {
		group.Go(func() {
			for range attempts {
				if !p.acquire(limit) {
					continue
				}
				if n := inside.Add(1); n > limit {
					t.Errorf("%d are inside, want %d at most", n, limit)
				}
				taken.Add(1)
				inside.Add(-1)
				p.release()
			}
		})
	}
	group.Wait()
	if taken.Load() == 0 {
		t.Error("nobody got a place")
	}
	for range limit {
		if !p.acquire(limit) {
			t.Error("a place was not given back")
		}
	}
	if p.acquire(limit) {
		t.Errorf("%d slots, want %d", limit+1, limit)
	}
}
