package cli

import (
	"bytes"
	"io"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Log writes lines on a goroutine of its own, so that a reader that has stalled or gone can't hold up the callers. It
// buffers a bounded number of lines; it drops and counts further ones. Its methods may be called from several goroutines.
type Log struct {
	w       io.Writer
	onDrop  func(lines int64)
	lines   chan []byte
	bytes   atomic.Int64 // in lines
	dropped atomic.Int64
	done    chan struct{}

	mu     sync.RWMutex
	closed bool // guarded by mu
}

const (
	logLines = 4096
	logBytes = 1 << 20
)

// NewLog returns a Log, which the caller closes. onDrop is called when lines can be written again, with the number of lines
// dropped since the last call; it may write to the Log.
func NewLog(w io.Writer, onDrop func(lines int64)) *Log {
	l := &Log{w: w, onDrop: onDrop, lines: make(chan []byte, logLines), done: make(chan struct{})}
	go l.run()
	return l
}

// Write takes a line, and never fails.
func (l *Log) Write(line []byte) (int, error) {
	size := int64(len(line))
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed || l.bytes.Add(size) > logBytes {
		if !l.closed {
			l.bytes.Add(-size)
		}
		l.dropped.Add(1)
		return len(line), nil
	}
	select {
	case l.lines <- bytes.Clone(line):
	default:
		l.bytes.Add(-size)
		l.dropped.Add(1)
	}
	return len(line), nil
}

// Dropped is how many lines have been lost so far.
func (l *Log) Dropped() int64 { return l.dropped.Load() }

func (l *Log) run() {
	defer close(l.done)
	told := int64(0)
	for line := range l.lines {
		_, err := l.w.Write(line)
		l.bytes.Add(-int64(len(line)))
		if err != nil {
			l.dropped.Add(1)
			continue
		}
		if dropped := l.dropped.Load(); dropped > told {
			l.onDrop(dropped - told)
			told = dropped
		}
	}
}

// Close writes the buffered lines, and gives up after limit. Later lines are dropped.
func (l *Log) Close(limit time.Duration) {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.lines)
	}
	l.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-l.done:
	case <-timer.C:
	}
}

// IgnoreSIGPIPE makes a write to a pipe without a reader fail, instead of ending the process. It is for servers; other
// commands should end when nobody reads their output any more.
func IgnoreSIGPIPE() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
