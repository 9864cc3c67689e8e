package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// stepping is a device that does one thing at a time, in the order in which it is asked: a step of a pass of more than
// longTokens, of which there are as many as tokens, or the whole of another pass. Time is that of a synctest bubble.
type stepping struct {
	backend.Backend
	free  chan struct{} // has one while the device is free
	steps *atomic.Int64 // of long passes
}

const (
	longTokens = 8
	tokenTime  = 40 * time.Millisecond
)

func newStepping(b backend.Backend, steps *atomic.Int64) *stepping {
	s := &stepping{b, make(chan struct{}, 1), steps}
	s.free <- struct{}{}
	return s
}

func (s *stepping) Forward(ctx context.Context, b *backend.Batch, out []float32) error {
	steps, tokens := 1, b.Tokens()
	if tokens > longTokens {
		steps, tokens = tokens, 1
	}
	for range steps {
		<-s.free
		time.Sleep(time.Duration(tokens) * tokenTime)
		s.free <- struct{}{}
		if steps > 1 {
			s.steps.Add(1)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return hashing{s.Backend, nil}.Forward(ctx, b, out)
}

var (
	shortPair = []Pair{{Query: "a", Document: "b"}}
	longPair  = []Pair{{Query: "a", Document: strings.Repeat("b ", 50)}}
)

// besideLong opens a model on a stepping device that has learnt its speed, and starts a long call.
func besideLong(t *testing.T, ctx context.Context) (e *Engine, steps *atomic.Int64, ended chan error) {
	t.Helper()
	steps, ended = &atomic.Int64{}, make(chan error, 1)
	config := Config{MaxBatchTokens: longTokens, wrap: wrapped(func(b backend.Backend) backend.Backend { return newStepping(b, steps) })}
	e = openTest(t, weightstest.Tiny(), config)
	if _, err := e.Score(t.Context(), shortPair, raw); err != nil {
		t.Fatal(err)
	}
	steps.Store(0)
	go func() { _, err := e.Score(ctx, longPair, raw); ended <- err }()
	for steps.Load() == 0 {
		time.Sleep(tokenTime)
	}
	return e, steps, ended
}

// Small calls are answered while a long pass is under way, after a step or two of it each; and it comes to its end, however
// many small calls there are.
func TestSmallCallsRunBesideALongOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, steps, ended := besideLong(t, t.Context())
		const most = 100
		calls, last := 0, steps.Load()
		for ; calls < most && len(ended) == 0; calls++ {
			if _, err := e.Score(t.Context(), shortPair, raw); err != nil {
				t.Fatal(err)
			}
			if now := steps.Load(); now > last+2 {
				t.Errorf("call %d waited for %d steps of the long one", calls, now-last)
			} else {
				last = now
			}
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if total := int(steps.Load()); calls < total/2 || calls >= most {
			t.Errorf("%d small calls while the long one took %d steps", calls, total)
		}
	})
}

// A long pass whose caller has left ends at its next step. That is no failure, and the device serves the next call.
func TestCancelledLongCallFreesTheDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		e, steps, ended := besideLong(t, ctx)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the cancelled call: %v", err)
		}
		time.Sleep(2 * tokenTime)
		if n := steps.Load(); n > 3 {
			t.Errorf("%d steps of a call that was cancelled after one", n)
		}
		for range 2 {
			if _, err := e.Score(t.Context(), longPair, raw); err != nil {
				t.Error(err)
			}
		}
		if c := e.Counters(); c.Cancelled != 1 || c.FailedBatches != 0 || c.Reopened != 0 || c.Pairs != 3 {
			t.Errorf("counters %+v", c)
		}
	})
}

// A batch goes on while any of its callers waits.
func TestBatchOfTwoOutlivesOneCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		var sizes sync.Map
		config := Config{MaxBatchTokens: 100, wrap: wrapped(func(b backend.Backend) backend.Backend {
			return waiting{b, hold, &sizes}
		})}
		e := openTest(t, weightstest.Tiny(), config)
		ctx, cancel := context.WithCancel(t.Context())
		answers := make(chan error, 4)
		for range e.Info().Backend.Overlap { // the device is busy
			go func() { _, err := e.Score(t.Context(), shortPair, raw); answers <- err }()
			synctest.Wait()
		}
		left := make(chan error, 1)
		go func() { _, err := e.Score(ctx, shortPair, raw); left <- err }()
		go func() { _, err := e.Score(t.Context(), shortPair, raw); answers <- err }()
		synctest.Wait()
		for range e.Info().Backend.Overlap {
			hold <- struct{}{}
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait() // both run in one batch
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("the cancelled call: %v", err)
		}
		synctest.Wait()
		hold <- struct{}{}
		if err := <-answers; err != nil {
			t.Errorf("the other call of its batch: %v", err)
		}
		if _, two := sizes.Load(2); !two {
			t.Error("no batch of two calls")
		}
	})
}

// waiting runs a batch when it may, and ends it early when its context ends. It notes the sizes of batches.
type waiting struct {
	backend.Backend
	run   chan struct{}
	sizes *sync.Map
}

func (w waiting) Forward(ctx context.Context, b *backend.Batch, out []float32) error {
	w.sizes.Store(b.Sequences(), true)
	select {
	case <-w.run:
		return hashing{w.Backend, nil}.Forward(ctx, b, out)
	case <-ctx.Done():
		return ctx.Err()
	}
}
