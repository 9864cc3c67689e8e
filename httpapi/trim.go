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
	planned   atomic.Bool
}

const (
	trimFrom  = 16 << 20 // bytes
	trimAfter = 2 * time.Second
)

// add notes that clients cause so many bytes more, or less.
func (t *trimmer) add(bytes int64) {
	now := t.now.Add(bytes)
	peak := t.peak.Load()
	for now > peak && !t.peak.CompareAndSwap(peak, now) {
		peak = t.peak.Load()
	}
	if bytes < 0 && peak >= trimFrom && now < peak/4 && t.planned.CompareAndSwap(false, true) {
		time.AfterFunc(trimAfter, func() {
			t.planned.Store(false)
			t.peak.Store(t.now.Load())
			debug.FreeOSMemory()
		})
	}
}
