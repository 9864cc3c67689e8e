package httpapi

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Memory goes back after a burst, and after many small requests one after another; not while they come, and not for a few.
func TestTrimmer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var freed atomic.Int64 // a timer that was set before a check counts after it
		trim := &trimmer{free: func() { freed.Add(1) }}
		check := func(what string, want int64) {
			t.Helper()
			synctest.Wait()
			if n := freed.Swap(0); n != want {
				t.Errorf("%s: memory went back %d times, want %d", what, n, want)
			}
		}
		request := func(bytes int64) { trim.add(bytes); trim.add(-bytes) }
		request(trimFrom / 2)
		time.Sleep(10 * trimAfter)
		check("one request", 0)
		request(2 * trimFrom)
		time.Sleep(2 * trimAfter)
		check("a burst", 1)
		trim.add(2 * trimFrom)
		trim.add(trimFrom/4 - 2*trimFrom)
		time.Sleep(2 * trimAfter)
		check("most of a burst", 1)
		trim.add(-trimFrom / 4)
		time.Sleep(2 * trimAfter)
		check("the rest of it", 1)
		for range 40 {
			request(trimFrom / 4)
			time.Sleep(trimAfter / 4)
		}
		check("while requests come", 0)
		time.Sleep(3 * trimAfter)
		check("after them", 1)
		time.Sleep(100 * trimAfter)
		check("for a long time", 0)
	})
}
