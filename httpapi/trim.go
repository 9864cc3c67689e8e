package httpapi

import (
	"runtime/debug"
	"sync/atomic"
	"time"
)

// trimmer gives memory back to the system after a burst. Go would do it within minutes, since a server that has nothing to do
// collects no garbage. The zero value works.
type trimmer struct {
	now, peak atomic.Int64 // bytes that clients cause
	done      atomic.Int64 // bytes that they have caused since memory was given back
	planned   atomic.Bool
	free      func() // nil: debug.FreeOSMemory
}

const (
	trimFrom  = 16 << 20 // bytes
	trimRest  = 1 << 20
	trimAfter = 2 * time.Second
)

// add notes that clients cause so many bytes more, or less.
func (t *trimmer) add(bytes int64) {
	now := t.now.Add(bytes)
	peak := t.peak.Load()
	for now > peak && !t.peak.CompareAndSwap(peak, now) {
		peak = t.peak.Load()
	}
	if bytes >= 0 {
		return
	}
	done := t.done.Add(-bytes)
	burst := peak >= trimFrom && now < peak/4
	if (burst || done >= trimFrom) && t.planned.CompareAndSwap(false, true) {
		t.plan(burst, done)
	}
}

// plan gives memory back in a while: after a burst in any case, else once nothing has been done since.
func (t *trimmer) plan(burst bool, done int64) {
	time.AfterFunc(trimAfter, func() {
		if now := t.done.Load(); !burst && now != done {
			t.plan(t.peak.Load() >= trimFrom && t.now.Load() < t.peak.Load()/4, now)
			return
		}
		t.planned.Store(false)
		now := t.now.Load()
		t.peak.Store(now)
		t.done.Store(0)
		if now >= trimRest {
			t.done.Store(trimFrom) // what is still under way will leave memory, too
		}
		if t.free != nil {
			t.free()
			return
		}
		debug.FreeOSMemory()
	})
}
