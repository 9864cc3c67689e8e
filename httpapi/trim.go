package httpapi

import (
	"runtime/debug"
	"sync/atomic"
	"time"
)

// trimmer gives memory back to the system after a burst. Go alone would take minutes, since an idle server
// collects no garbage. The zero value works.
type trimmer struct {
	now, peak atomic.Int64 // bytes in use for clients
	done      atomic.Int64 // bytes that they have released since memory was given back
	planned   atomic.Bool
	free      func() // nil: debug.FreeOSMemory
}

const (
	trimFrom  = 16 << 20 // bytes
	trimRest  = 1 << 20
	trimAfter = 2 * time.Second
)

// add counts bytes that clients need, or release if negative.
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

// plan gives memory back after trimAfter: after a burst in any case, else once no more is released meanwhile.
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
			t.done.Store(trimFrom) // requests in flight will leave memory, too
		}
		if t.free != nil {
			t.free()
			return
		}
		debug.FreeOSMemory()
	})
}
