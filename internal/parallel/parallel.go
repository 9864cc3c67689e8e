// Package parallel runs the iterations of a loop on several goroutines.
//
// It knows nothing of the work, and imports nothing of this module. It exists because tokenising, the reference backend,
// conversion and downloads all need a bounded, cancellable loop with a result that doesn't depend on how the work was
// spread.
package parallel

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// For calls f(i) for every i in [0, n), on at most workers goroutines at once (0 = GOMAXPROCS), and waits
// for all of them. It stops handing out iterations once ctx ends or a call has failed, and returns the
// error of the lowest failing i that ran, else ctx's error. A panic in a call becomes one in For's caller, which may be
// able to recover. Calls must not depend on each other's order.
func For(ctx context.Context, n, workers int, f func(i int) error) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	if workers = min(workers, n); workers <= 1 {
		return sequential(ctx, n, f)
	}
	var (
		next    atomic.Int64
		mu      sync.Mutex
		failure error // guarded by mu
		failed  = n   // guarded by mu; the index that failure belongs to
		crash   any   // guarded by mu
		stop    atomic.Bool
		group   sync.WaitGroup
	)
	for range workers {
		group.Go(func() {
			defer func() {
				if r := recover(); r != nil {
					stop.Store(true)
					mu.Lock()
					defer mu.Unlock()
					crash = fmt.Sprintf("%v\n\nin a goroutine of parallel.For:\n%s", r, debug.Stack())
				}
			}()
			for !stop.Load() && ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(i); err != nil {
					stop.Store(true)
					mu.Lock()
					if i < failed {
						failed, failure = i, err
					}
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	if crash != nil {
		panic(crash)
	}
	if failure != nil {
		return failure
	}
	return ctx.Err()
}

func sequential(ctx context.Context, n int, f func(i int) error) error {
	for i := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f(i); err != nil {
			return err
		}
	}
	return ctx.Err()
}
