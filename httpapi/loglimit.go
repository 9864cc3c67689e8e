package httpapi

import (
	"sync"
	"time"
)

// lineLimit bounds the log lines that clients can cause, which could fill a disk. The zero value has passed no line yet.
type lineLimit struct {
	mu     sync.Mutex
	since  time.Time // guarded by mu; when the interval began
	passed int       // guarded by mu; lines in it
	held   int       // guarded by mu; lines held back since the last that passed
}

const (
	lineInterval = 10 * time.Second
	lineMost     = 20 // in an interval
)

// pass tells whether a line may be logged now. held is the number of lines held back since the last that passed.
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
