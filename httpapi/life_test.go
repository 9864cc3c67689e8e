package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/metalrank/metalrank/engine"
)

// TestShutdownDrains stops a server that has requests in flight: all are answered, and the context that the ranker
// has never ends.
func TestShutdownDrains(t *testing.T) {
	const clients = 8
	entered, release := make(chan context.Context, clients), make(chan struct{})
	ranker := &fakeRanker{rerank: func(
		ctx context.Context, query string, documents []string, options engine.Options,
	) (*engine.Ranking, error) {
		entered <- ctx
		<-release
		return rankByWords(query, documents, options), nil
	}}
	s, err := New(only{ranker}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	replies := make(chan reply, clients)
	for range clients {
		go func() { replies <- rerank(t, ln.Addr().String(), `{"query":"a","texts":["b","a"],"raw_scores":true}`) }()
	}
	var contexts []context.Context
	for range clients {
		contexts = append(contexts, <-entered)
	}

	for range 2 { // the first, and one after it
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := s.Shutdown(short)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "8 connections") {
			t.Errorf("Shutdown with requests under way: %v", err)
		}
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		t.Error("a connection was accepted after Shutdown")
	}
	stopped := make(chan error, 2)
	for range cap(stopped) {
		go func() { stopped <- s.Shutdown(context.Background()) }()
	}
	for _, ctx := range contexts {
		if ctx.Err() != nil {
			t.Errorf("the ranker's context: %v", ctx.Err())
		}
	}
	close(release)
	for range clients {
		got := <-replies
		if got.status != 200 || got.body != `[{"index":1,"score":1},{"index":0,"score":0}]` || !got.last {
			t.Errorf("%d %v %s", got.status, got.header, got.body)
		}
	}
	for range cap(stopped) {
		if err := <-stopped; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	}
}

// TestCancel ends requests in flight, and those that still come.
func TestCancel(t *testing.T) {
	entered := make(chan struct{})
	s, address := start(t, &fakeRanker{rerank: func(ctx context.Context, _ string, _ []string, _ engine.Options) (*engine.Ranking, error) {
		entered <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}}, Config{})
	replies := make(chan reply, 1)
	go func() { replies <- rerank(t, address, `{"query":"a","texts":["b"]}`) }()
	<-entered
	s.Cancel()
	s.Cancel()
	if got := <-replies; got.status != 503 || !strings.Contains(got.body, "the server is stopping") {
		t.Errorf("a request under way: %d %s", got.status, got.body)
	}
	go func() { replies <- rerank(t, address, `{"query":"a","texts":["b"]}`) }()
	<-entered
	if got := <-replies; got.status != 503 {
		t.Errorf("a later request: %d %s", got.status, got.body)
	}
}

// TestShutdownUnderLoad stops a server while clients keep sending over kept connections. Some meet a closed connection;
// every request that reached the ranker is answered.
func TestShutdownUnderLoad(t *testing.T) {
	var scored, answered atomic.Int64
	s, address := start(t, &fakeRanker{rerank: func(
		_ context.Context, query string, documents []string, options engine.Options,
	) (*engine.Ranking, error) {
		time.Sleep(time.Millisecond)
		scored.Add(1)
		return rankByWords(query, documents, options), nil
	}}, Config{})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			client := &http.Client{Timeout: patience, Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for n := 0; ; n += 3 { // never one that is to be refused
				err := hammer(client, address, "q", n)
				if err == nil {
					answered.Add(1)
					continue
				}
				if !brokenOff(err) {
					t.Error(err)
				}
				return
			}
		})
	}
	until(t, "nothing is answered", func() bool { return answered.Load() > 50 })
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	group.Wait()
	if scored.Load() != answered.Load() || scored.Load() == 0 {
		t.Errorf("%d requests were scored, %d answered", scored.Load(), answered.Load())
	}
}

// closedIdle is net/http's error text for a kept connection that the server closed as a request was about to go out on
// it; the error itself is not exported.
const closedIdle = "http: server closed idle connection"

// brokenOff tells whether a request failed for want of a connection, and not by its answer.
func brokenOff(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || strings.Contains(err.Error(), closedIdle)
}

// TestClientGone has a client leave before its answer is ready.
func TestClientGone(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s, address := start(t, &fakeRanker{rerank: func(
		_ context.Context, query string, documents []string, options engine.Options,
	) (*engine.Ranking, error) {
		if query == "slow" {
			entered <- struct{}{}
			<-release
		}
		return rankByWords(query, documents, options), nil
	}}, Config{})
	for range 3 {
		c := dial(t, address)
		fmt.Fprint(c, request(http.MethodPost, "/rerank", `{"query":"slow","texts":["a"]}`, typeJSON))
		<-entered
		if err := c.SetLinger(0); err != nil { // a reset, not a polite end
			t.Fatal(err)
		}
		_ = c.Close()
		release <- struct{}{}
	}
	until(t, "slots are still taken", func() bool { return s.slots.used.Load() == 0 })
	checkAlive(t, address)
}

// TestShutdownFirst has Shutdown win the race with Serve, which a signal during start-up may cause.
func TestShutdownFirst(t *testing.T) {
	s, err := New(only{&fakeRanker{}}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(ln); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve left the listener open: %v", err)
	}
	for range 50 { // at the same time, in any order
		s, err := New(only{&fakeRanker{}}, Config{})
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served := make(chan error, 1)
		go func() { served <- s.Serve(ln) }()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}

// TestIdleConnections leaves a connection open and idle; Shutdown must not wait for a request that may never come.
func TestIdleConnections(t *testing.T) {
	s, address := start(t, &fakeRanker{}, Config{IdleTimeout: time.Hour})
	client := &http.Client{Transport: &http.Transport{}}
	response, err := client.Get("http://" + address + "/health")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	client.CloseIdleConnections()
}

// TestPanic has the ranker panic, or return an index that no text has: 500, a log with the cause but without the
// texts, and the place is free again.
func TestPanic(t *testing.T) {
	var log bytes.Buffer
	_, address := start(t, &fakeRanker{rerank: func(
		_ context.Context, query string, documents []string, options engine.Options,
	) (*engine.Ranking, error) {
		switch query {
		case "panic":
			panic("BUG: on purpose")
		case "index":
			return &engine.Ranking{Results: []engine.Result{{Index: 7}}}, nil
		}
		return rankByWords(query, documents, options), nil
	}}, Config{MaxConcurrentRequests: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for query, cause := range map[string]string{"panic": "BUG: on purpose", "index": "index out of range"} {
		for range 3 {
			log.Reset()
			got := rerank(t, address, `{"query":"`+query+`","texts":["confidential"],"return_text":true}`)
			checkRefusal(t, got, 500, "Internal")
			if text := log.String(); !strings.Contains(text, cause) || !strings.Contains(text, "level=ERROR") ||
				strings.Contains(text, "confidential") {
				t.Errorf("log: %s", text)
			}
			checkAlive(t, address)
		}
	}
}

// lockedBuffer is a log that may be read while it is written: fasthttp reports a connection after its last answer.
type lockedBuffer struct {
	mu  sync.Mutex
	log bytes.Buffer // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.String()
}

// TestAccessLog wants one line for each request, answered or refused, and no texts.
func TestAccessLog(t *testing.T) {
	var log lockedBuffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	_, address := start(t, &fakeRanker{}, Config{Logger: logger, MaxBodyBytes: 500})
	rerank(t, address, `{"query":"secret","texts":["secret"],"return_text":true}`)
	rerank(t, address, `{"query":["secret"]}`)
	rerank(t, address, `{"query":"x","texts":"secret"}`)
	rerank(t, address, strings.Repeat("secret", 100))
	send(t, address, http.MethodGet, request(http.MethodGet, "/nowhere", ""))
	until(t, "not every request has a line", func() bool { return strings.Count(log.String(), "msg=request") >= 5 }) // written after the answer
	var lines []string
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "msg=request") { // and not a line of fasthttp's
			lines = append(lines, line)
		}
	}
	for i, want := range []string{
		`status=200`, `status=422`, `status=422`, `status=413`, `method=GET path=/nowhere status=404`,
	} {
		if i >= len(lines) || !strings.Contains(lines[i], want) || !strings.Contains(lines[i], "level=DEBUG") {
			t.Errorf("line %d of %q, want %s", i, lines, want)
		}
	}
	if strings.Contains(log.String(), "secret") {
		t.Errorf("the log has a text: %s", log.String())
	}
}

// TestConcurrency hammers the server over kept connections: every answer belongs to its own request, and the texts
// that the ranker kept are unchanged.
func TestConcurrency(t *testing.T) {
	var (
		mu   sync.Mutex
		kept = map[string][]string{} // guarded by mu
	)
	_, address := start(t, &fakeRanker{rerank: func(
		_ context.Context, query string, documents []string, options engine.Options,
	) (*engine.Ranking, error) {
		mu.Lock()
		kept[query] = documents
		mu.Unlock()
		return rankByWords(query, documents, options), nil
	}}, Config{})
	const clients, requests = 16, 60
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			client := &http.Client{Timeout: patience, Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for j := range requests {
				if err := hammer(client, address, fmt.Sprintf("q%d-%d", i, j), j); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	if want := clients * requests * 2 / 3; len(kept) != want {
		t.Errorf("%d requests reached the ranker, want %d", len(kept), want)
	}
	for query, documents := range kept {
		for _, document := range documents {
			if !strings.Contains(document, query) {
				t.Errorf("query %q: document %q", query, document)
			}
		}
	}
}

// hammer makes request n. Every third one is malformed and must be refused.
func hammer(client *http.Client, address, query string, n int) error {
	texts := make([]string, 1+n%7)
	for i := range texts {
		texts[i] = strings.Repeat(query+" ", i+1)
	}
	body, err := json.Marshal(map[string]any{"query": query, "texts": texts, "raw_scores": true, "return_text": true})
	if err != nil {
		return err
	}
	refuse := n%3 == 2
	if refuse {
		body = body[:len(body)-1]
	}
	response, err := client.Post("http://"+address+"/rerank", contentTypeJSON, bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if refuse {
		if response.StatusCode != http.StatusBadRequest {
			return fmt.Errorf("%s: status %d, want 400", query, response.StatusCode)
		}
		return nil
	}
	var ranks []struct {
		Index int     `json:"index"`
		Text  *string `json:"text"`
		Score float64 `json:"score"`
	}
	if err := json.Unmarshal(data, &ranks); err != nil || len(ranks) != len(texts) {
		return fmt.Errorf("%s: %d %s, %w", query, response.StatusCode, data, err)
	}
	for i, r := range ranks {
		if want := len(texts) - 1 - i; r.Index != want || r.Score != float64(want+1) || *r.Text != texts[want] {
			return fmt.Errorf("%s: rank %d is %s", query, i, data)
		}
	}
	return nil
}
