package bulk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/metalrank/metalrank/engine"
)

// die closes a worker's connection, as kill -9 does: nothing that the worker does afterwards reaches the server.
func die(ctx context.Context, c *Client) error {
	c.conn.Close()
	<-ctx.Done()
	return ctx.Err()
}

func TestChunkOfDeadWorkerIsGivenToAnother(t *testing.T) {
	t.Parallel()
	url := serve(t)
	pairs := somePairs(40)
	submitter := connect(t, url)
	spec := small()
	spec.Tries = 3
	submit(t, submitter, "a", pairs, spec)
	doomed := connect(t, url)
	taken := make(chan struct{}, 100)
	stop := work(t, doomed, &Worker{Scorer: &scorer{before: func(ctx context.Context, _ []engine.Pair) error {
		taken <- struct{}{}
		return die(ctx, doomed)
	}}})
	<-taken
	_ = stop() // its connection is gone
	finish(t, connect(t, url), &Worker{Scorer: &scorer{}})
	collect(t, submitter, "a", pairs)
}

// Workers die of two pairs; these are found and set aside, and all others are scored.
func TestPairsThatKillAreSetAside(t *testing.T) {
	t.Parallel()
	url := serve(t)
	pairs := somePairs(16)
	bad := []int{1, 9}
	submitter := connect(t, url)
	submit(t, submitter, "a", pairs, small())
	var deaths atomic.Int64
	for range 40 {
		c, err := Connect(t.Context(), Connection{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		w := &Worker{Client: c, Name: fmt.Sprint("victim", deaths.Load()), Model: "hash", UntilDone: true, InFlight: 2, Log: t.Logf}
		w.Scorer = &scorer{before: func(ctx context.Context, some []engine.Pair) error {
			for _, i := range bad {
				if slices.Contains(some, pairs[i]) {
					deaths.Add(1)
					cancel()
					return die(ctx, c)
				}
			}
			return nil
		}}
		_ = w.Run(ctx) // an error if it died
		alive := ctx.Err() == nil
		cancel()
		c.Close()
		if alive {
			break
		}
	}
	m := collect(t, submitter, "a", pairs, bad...)
	if reason := m.failed[1]; !strings.Contains(reason, "died of it") || !strings.Contains(reason, "victim") {
		t.Errorf("the reason is %q", reason)
	}
	s, err := submitter.Status(t.Context(), "a")
	if err != nil || len(s.Aside) != 2 || s.Aside[0].Index != 1 || s.Aside[1].Index != 9 {
		t.Errorf("set aside: %+v, %v", s, err)
	}
}

var errBad = errors.New("a bad pair")

func TestPairsThatFailAreSetAside(t *testing.T) {
	t.Parallel()
	url := serve(t)
	pairs := somePairs(100)
	bad := []int{0, 17, 18, 99}
	c := connect(t, url)
	spec := small()
	spec.ChunkTokens = 500
	submit(t, c, "a", pairs, spec)
	finish(t, c, &Worker{Scorer: &scorer{before: func(_ context.Context, some []engine.Pair) error {
		for _, i := range bad {
			if slices.Contains(some, pairs[i]) {
				return errBad
			}
		}
		return nil
	}}})
	m := collect(t, c, "a", pairs, bad...)
	if m.failed[17] != errBad.Error() {
		t.Errorf("the reason is %q", m.failed[17])
	}
}

// An engine that fails on everything sets nothing aside: its worker ends, and another does the work.
func TestBrokenEngineEndsItsWorker(t *testing.T) {
	t.Parallel()
	url := serve(t)
	pairs := somePairs(30)
	c := connect(t, url)
	spec := small()
	spec.Tries = 3
	submit(t, c, "a", pairs, spec)
	broken := &Worker{Client: connect(t, url), Name: "broken", Model: "hash", Log: t.Logf, Scorer: &scorer{
		before: func(context.Context, []engine.Pair) error { return engine.ErrBackend },
	}}
	if err := broken.Run(t.Context()); !errors.Is(err, ErrBroken) {
		t.Errorf("the broken worker ended with %v", err)
	}
	finish(t, connect(t, url), &Worker{Scorer: &scorer{}})
	collect(t, c, "a", pairs)
}
