package httpapi

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/metalrank/metalrank/engine"
)

// waiting is a model with so many tokens in its queue.
type waiting struct {
	fakeRanker
	tokens   int
	unloaded bool
}

func (w *waiting) Counters() (engine.Counters, bool) {
	return engine.Counters{QueueTokens: w.tokens}, !w.unloaded
}

func TestAgentReport(t *testing.T) {
	batch := (&fakeRanker{}).Info().MaxBatchTokens
	for _, c := range []struct {
		name  string
		model Model
		want  string
	}{
		{"idle", &waiting{}, "up ready 100%\n"},
		{"a batch waits", &waiting{tokens: batch}, "up ready 50%\n"},
		{"nine wait", &waiting{tokens: 9 * batch}, "up ready 10%\n"},
		{"a million wait", &waiting{tokens: 1e6 * batch}, "up ready 1%\n"},
		{"not loaded", &waiting{tokens: 9 * batch, unloaded: true}, "up ready 100%\n"},
		{"counts nothing", &fakeRanker{}, "up ready 100%\n"},
	} {
		s, err := New(only{c.model}, Config{})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.AgentReport(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		s.Leave()
		if got := s.AgentReport(); got != "up drain\n" {
			t.Errorf("%s, leaving: %q", c.name, got)
		}
	}
}

// batches is a model of which so many batches wait, that take so long each.
type batches struct {
	fakeRanker
	waiting int
	each    time.Duration
}

func (b *batches) Counters() (engine.Counters, bool) {
	return engine.Counters{QueueTokens: b.waiting * b.Info().MaxBatchTokens, BatchTime: b.each}, true
}

// TestAgentReportOfModels: a batch counts by its time; where that isn't known, as one of the slowest model.
func TestAgentReportOfModels(t *testing.T) {
	const slow, quick = 400 * time.Millisecond, time.Millisecond
	for _, c := range []struct {
		first, second batches
		want          string
	}{
		{batches{}, batches{}, "up ready 100%\n"},
		{batches{waiting: 2}, batches{}, "up ready 50%\n"},
		{batches{waiting: 1, each: slow}, batches{each: slow}, "up ready 66%\n"},
		{batches{waiting: 9, each: slow}, batches{each: quick}, "up ready 10%\n"},
		{batches{waiting: 9, each: quick}, batches{each: slow}, "up ready 97%\n"},
		{batches{waiting: 1}, batches{each: slow}, "up ready 66%\n"},
	} {
		s, err := New(named{"first": &c.first, "second": &c.second}, Config{})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.AgentReport(); got != c.want {
			t.Errorf("%d batches of %v and %d of %v: %q, want %q", c.first.waiting, c.first.each, c.second.waiting, c.second.each, got, c.want)
		}
	}
}

func TestServeAgent(t *testing.T) {
	s, err := New(only{&fakeRanker{}}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.ServeAgent(ln) }()
	for range 3 {
		got, err := io.ReadAll(dial(t, ln.Addr().String()))
		if err != nil || string(got) != "up ready 100%\n" {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestOverloadedStatus asks for the status that load balancers know.
func TestOverloadedStatus(t *testing.T) {
	full := &fakeRanker{rerank: func(context.Context, string, []string, engine.Options) (*engine.Ranking, error) {
		return nil, &engine.OverloadError{Limit: "QueueTokens"}
	}}
	for is, want := range map[bool]int{false: 429, true: 503} {
		_, address := start(t, full, Config{OverloadedStatus: is})
		got := rerank(t, address, `{"query":"a","texts":["b"]}`)
		checkRefusal(t, got, want, "Overloaded")
		if got.header.Get("Retry-After") == "" {
			t.Errorf("%d has no Retry-After", want)
		}
	}
}
