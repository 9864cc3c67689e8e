package load

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/metalrank/metalrank/internal/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server returns the error of each call; call counts from 1.
type server func(ctx context.Context, call int) error

// send returns a Plan.Send that counts the calls.
func (s server) send() func(context.Context, int) error {
	var calls atomic.Int64
	return func(ctx context.Context, _ int) error { return s(ctx, int(calls.Add(1))) }
}

func at(result Result, percent float64) float64 { return record.Percentile(result.Latencies, percent) }

// A server of one queue that stalls once, for a second: 300 requests of 1 ms. A closed loop meets the stall once, so
// that its 99th percentile shows nothing; in an open loop, all requests that were due meanwhile waited.
func TestOpenLoopShowsAStallThatAClosedLoopHides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stalling := func() func(context.Context, int) error {
			queue := make(chan struct{}, 1)
			return server(func(_ context.Context, call int) error {
				queue <- struct{}{}
				defer func() { <-queue }()
				pause := time.Millisecond
				if call == 100 {
					pause = time.Second
				}
				time.Sleep(pause)
				return nil
			}).send()
		}
		closed := Run(t.Context(), Plan{Send: stalling(), Count: 300, Clients: 1})
		open := Run(t.Context(), Plan{Send: stalling(), Count: 300, Clients: 1, Rate: 200})
		if len(closed.Latencies) != 300 || len(open.Latencies) != 300 {
			t.Fatalf("%d and %d answers", len(closed.Latencies), len(open.Latencies))
		}
		if p99, most := at(closed, 99), at(closed, 100); p99 != 1 || most != 1000 {
			t.Errorf("closed loop: P99 is %g ms and the maximum %g, want 1 and the stall of 1000", p99, most)
		}
		// Of the 200 requests that were due in the stall, each waited 4 ms less than the one before it.
		if p99 := at(open, 99); p99 < 980 || p99 > 1000 {
			t.Errorf("open loop: P99 is %g ms, want 980 to 1000", p99)
		}
	})
}

func TestOpenLoopKeepsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		result := Run(t.Context(), Plan{
			Send: func(context.Context, int) error { return nil }, Count: 51, Clients: 8, Rate: 500,
		})
		if result.Seconds != 0.1 || len(result.Latencies) != 51 {
			t.Errorf("51 requests at 500/s took %g s, %d answered", result.Seconds, len(result.Latencies))
		}
	})
}

func TestFailuresCount(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	some := Run(t.Context(), Plan{Count: 20, Clients: 3, Send: server(func(_ context.Context, call int) error {
		if call%2 == 0 {
			return broken
		}
		return nil
	}).send()})
	if some.Failed != 10 || len(some.Latencies) != 10 || !errors.Is(some.Err, broken) {
		t.Errorf("%+v", some)
	}
	var calls atomic.Int64
	all := Run(t.Context(), Plan{Count: 1000, Clients: 2, Send: func(context.Context, int) error {
		calls.Add(1)
		return broken
	}})
	if calls.Load() > maxFailuresWithoutAnswer+2 || all.Err == nil {
		t.Errorf("%d calls of a system that always fails", calls.Load())
	}
}

func TestLimitLeavesEveryClientOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		result := Run(t.Context(), Plan{
			Send:  func(context.Context, int) error { time.Sleep(20 * time.Millisecond); return nil },
			Count: math.MaxInt, Clients: 4, Limit: time.Nanosecond,
		})
		if n := len(result.Latencies); n != 4 {
			t.Errorf("%d answers, want one for each of 4 clients", n)
		}
	})
}

func TestCancelKeepsWhatWasAnswered(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	result := Run(ctx, Plan{Count: 100, Clients: 1, Send: server(func(ctx context.Context, call int) error {
		if call == 5 {
			cancel()
			return ctx.Err()
		}
		return nil
	}).send()})
	if len(result.Latencies) != 4 || result.Failed != 0 || !slices.Equal(result.Answered, []int{0, 1, 2, 3}) {
		t.Errorf("%+v", result)
	}
}

func TestFinishAwaitsTheAnswersInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		result := Run(ctx, Plan{Count: math.MaxInt, Clients: 3, Finish: true, Send: func(ctx context.Context, _ int) error {
			time.Sleep(20 * time.Millisecond)
			return ctx.Err()
		}})
		if n := len(result.Latencies); n != 9 || result.Failed != 0 || result.Seconds != 0.06 {
			t.Errorf("%d answers in %g s, %d failed; want 9 in 0.06 s", n, result.Seconds, result.Failed)
		}
	})
}
