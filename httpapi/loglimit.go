package httpapi

import (
	"sync"
	"time"
)

// lineLimit bounds lines of the log that clients can cause, of which they could else fill a disk. The zero value has let nothing
// pass.
type lineLimit struct {
	mu     sync.Mutex
	since  time.Time // guarded by mu; when the interval began
	passed int       // guarded by mu; lines in it
	held   int       // guarded by mu; lines since the last that passed
}

const (
	lineInterval = 10 * time.Second
	lineMost     = 20 // in an interval
)

// pass tells whether there may be a line now, and how many there were since the last that might not be.
func (l *lineLimit) pass(now time.Time) (held int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.since) >= lineInterval {
		l.since, l.passed = now, 0
	}
	if l.passed == lineMost {
		l.held++
		return 0, false
	}
	l.passed++
	held, l.held = l.held, 0
	return held, true
}
