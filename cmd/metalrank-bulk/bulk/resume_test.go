package bulk

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/metalrank/metalrank/engine"
)

func TestSubmissionIsTakenUp(t *testing.T) {
	t.Parallel()
	url := serve(t)
	pairs := somePairs(300)
	c := connect(t, url)
	cutOff := errors.New("cut off")
	first := func(yield func(engine.Pair, error) bool) {
		for i, p := range pairs {
			if i == 150 {
				yield(engine.Pair{}, cutOff)
				return
			}
			if !yield(p, nil) {
				return
			}
		}
	}
	if _, err := c.Submit(t.Context(), Submission{Job: "a", Spec: small(), Pairs: first}); !errors.Is(err, cutOff) {
		t.Fatalf("%v, want %v", err, cutOff)
	}
	j, err := c.Job(t.Context(), "a")
	if err != nil || j.Complete || j.Pairs < 140 || j.Pairs > 150 {
		t.Fatalf("after it was cut off: %+v, %v", j, err)
	}
	// After kill -9 the entry counts fewer chunks than the stream: these are published again, and have one result each.
	j.Chunks, j.Pairs, j.Digest = 0, 0, nil
	_, revision, err := c.job(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.save(t.Context(), j, revision); err != nil {
		t.Fatal(err)
	}
	submit(t, c, "a", pairs, small())
	finish(t, c, &Worker{Scorer: &scorer{}})
	collect(t, c, "a", pairs)
	submit(t, c, "a", pairs, small()) // all of it again

	other := slices.Clone(pairs)
	other[5].Document = "another"
	for name, s := range map[string]Submission{
		"another pair": {Job: "a", Spec: small(), Pairs: each(other)},
		"more":         {Job: "a", Spec: small(), Pairs: each(append(slices.Clone(pairs), other...))},
		"fewer":        {Job: "a", Spec: small(), Pairs: each(pairs[:100])},
		"other chunks": {Job: "a", Spec: Spec{}, Pairs: each(pairs)},
	} {
		if _, err := c.Submit(t.Context(), s); !errors.Is(err, ErrOtherInput) {
			t.Errorf("%s: %v, want %v", name, err, ErrOtherInput)
		}
	}
	collect(t, c, "a", pairs)
}

// A submission waits while the server has MaxQueued chunks, and goes on when workers have made room.
func TestSubmissionWaitsForRoom(t *testing.T) {
	t.Parallel()
	url := serve(t)
	pairs := somePairs(60)
	c := connect(t, url)
	spec := small()
	spec.MaxQueued, spec.MaxPending = 3, 2
	waiting := make(chan struct{}, 1000)
	done := make(chan error, 1)
	go func() {
		_, err := c.Submit(t.Context(), Submission{Job: "a", Spec: spec, Pairs: each(pairs), OnProgress: func(p SubmitProgress) {
			if p.Waiting != nil {
				waiting <- struct{}{}
			}
		}})
		done <- err
	}()
	<-waiting
	// The first wait may be for a server that is slow to answer, before there is anything.
	until(t, "3 chunks do not wait", func() bool {
		s, err := c.Status(t.Context(), "a")
		if err != nil || s.Waiting > 3 {
			t.Fatalf("%+v, %v, want 3 chunks waiting", s, err)
		}
		return s.Waiting == 3
	})
	stop := work(t, connect(t, url), &Worker{Scorer: &scorer{}})
	collect(t, c, "a", pairs)
	if err := errors.Join(<-done, stop()); err != nil {
		t.Error(err)
	}
}

func TestCollectionIsTakenUp(t *testing.T) {
	t.Parallel()
	url := serve(t)
	pairs := somePairs(100)
	c := connect(t, url)
	submit(t, c, "a", pairs, small())
	finish(t, c, &Worker{Scorer: &scorer{}})
	m := &memory{most: 42}
	if _, err := c.Collect(t.Context(), Collection{Job: "a", Output: m}); !errors.Is(err, errFull) {
		t.Fatalf("%v, want %v", err, errFull)
	}
	if m.mark.Pairs > 42 || m.mark.Pairs < 30 {
		t.Fatalf("marked %+v", m.mark)
	}
	m.most, m.scores = 0, m.scores[:m.mark.Pairs]
	if _, err := c.Collect(t.Context(), Collection{Job: "a", From: m.mark, Output: m}); err != nil {
		t.Fatal(err)
	}
	compare(t, m, pairs)
}

func TestServerIsRestarted(t *testing.T) {
	t.Parallel()
	address, store := freeAddress(t), t.TempDir()
	s := serverAt(t, address, store, "")
	url := s.URL()
	pairs := somePairs(400)
	c, worker := connect(t, url), connect(t, url)
	submit(t, c, "a", pairs, small())
	begun, down := make(chan struct{}), make(chan struct{})
	scored := &scorer{}
	scored.before = func(context.Context, []engine.Pair) error {
		if scored.calls.Load() == 10 {
			close(begun)
			<-down
		}
		return nil
	}
	stop := work(t, worker, &Worker{Scorer: scored, InFlight: 1})
	restarted := make(chan interface{ Close() }, 1)
	go func() {
		<-begun
		s.Close()
		for c.conn.IsConnected() || worker.conn.IsConnected() {
			time.Sleep(time.Millisecond)
		}
		close(down) // while the worker has a result to publish
		restarted <- serverAt(t, address, store, "")
	}()
	collect(t, c, "a", pairs)
	if err := stop(); err != nil {
		t.Error(err)
	}
	c.Close()
	worker.Close()
	(<-restarted).Close()
}

func TestLostChunkIsPutInAgain(t *testing.T) {
	t.Parallel()
	url := serve(t)
	pairs := somePairs(50)
	c := connect(t, url)
	submit(t, c, "a", pairs, small())
	s, err := c.stream(t.Context(), workStream("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Collect(t.Context(), Collection{Job: "a", Output: &memory{}}); !errors.Is(err, ErrLost) {
		t.Fatalf("%v, want %v", err, ErrLost)
	}
	if _, err := c.Submit(t.Context(), Submission{Job: "a", Spec: small(), Pairs: each(pairs), Repair: true}); err != nil {
		t.Fatal(err)
	}
	finish(t, c, &Worker{Scorer: &scorer{}})
	collect(t, c, "a", pairs)
}
