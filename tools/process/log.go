package process

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
)

const (
	tailBytes = 4000
	lineBytes = 64 << 10 // a longer line is cut
)

// Log is a writer that keeps the end of the text written to it. The zero value keeps all lines and finds none.
type Log struct {
	ready *regexp.Regexp
	keep  func(line string) bool
	found chan []string // gets the first match of ready

	mu   sync.Mutex
	text []byte // the end of the lines kept; guarded by mu
	line []byte // without its end yet; guarded by mu
}

// NewLog returns a Log that finds the first line that ready matches, and keeps the lines for which keep returns true. keep
// is called once with each line that is not empty, in order. Either may be nil.
func NewLog(ready *regexp.Regexp, keep func(line string) bool) *Log {
	return &Log{ready: ready, keep: keep, found: make(chan []string, 1)}
}

// Write implements io.Writer; it never fails.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line = append(l.line, p...)
	for {
		line, rest, whole := bytes.Cut(l.line, []byte("\n"))
		if !whole && len(line) < lineBytes {
			return len(p), nil
		}
		l.line = rest
		if len(line) > 0 {
			l.add(string(line))
		}
	}
}

// add adds a line; the caller holds mu.
func (l *Log) add(line string) {
	if l.keep == nil || l.keep(line) {
		l.text = append(l.text, line+"\n"...)
		l.text = l.text[max(0, len(l.text)-tailBytes):]
	}
	if l.ready != nil {
		if match := l.ready.FindStringSubmatch(line); match != nil {
			l.ready = nil
			l.found <- match
		}
	}
}

// end adds the last line, which may lack its end.
func (l *Log) end() { _, _ = l.Write([]byte("\n")) } // never fails

// String returns the end of the text, at most tailBytes.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := string(l.text) + string(l.line)
	return strings.TrimSpace(text[max(0, len(text)-tailBytes):])
}
