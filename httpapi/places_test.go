package httpapi

import (
	"sync"
	"sync/atomic"
	"testing"
)

// TestPlaces takes places from many goroutines: never more than there are, and all are free in the end.
func TestPlaces(t *testing.T) {
	const limit = 3
	var (
		p        places
		inside   atomic.Int64
		taken    atomic.Int64
		group    sync.WaitGroup
		attempts = 1000
	)
	for range 8 {
		group.Go(func() {
			for range attempts {
				if !p.take(limit) {
					continue
				}
				if n := inside.Add(1); n > limit {
					t.Errorf("%d are inside, want %d at most", n, limit)
				}
				taken.Add(1)
				inside.Add(-1)
				p.give()
			}
		})
	}
	group.Wait()
	if taken.Load() == 0 {
		t.Error("nobody got a place")
	}
	for range limit {
		if !p.take(limit) {
			t.Error("a place was not given back")
		}
	}
	if p.take(limit) {
		t.Errorf("%d places, want %d", limit+1, limit)
	}
}
