package sim

// #include "native.h"
import "C"

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/metalrank/metalrank/metal"
)

// queue holds submitted lists until the device's goroutine executes them.
type queue struct {
	mu      sync.Mutex
	changed sync.Cond
	waiting []*batch // guarded by mu
	spare   []*batch // guarded by mu: to be used again
	closed  bool     // guarded by mu: no batch comes after the waiting ones
	done    chan struct{}
}

func newQueue() *queue {
	q := &queue{done: make(chan struct{})}
	q.changed.L = &q.mu
	return q
}

// empty returns a batch to fill; nil when the queue is closed.
func (q *queue) empty() *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil
	}
	if n := len(q.spare); n > 0 {
		b := q.spare[n-1]
		q.spare = q.spare[:n-1]
		return b
	}
	return &batch{}
}

// put queues a batch; false: the queue was closed meanwhile.
func (q *queue) put(b *batch) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.waiting = append(q.waiting, b)
	q.changed.Signal()
	return true
}

// take waits for the next batch; nil when there will be none.
func (q *queue) take() *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 && !q.closed {
		q.changed.Wait()
	}
	if len(q.waiting) == 0 {
		return nil
	}
	b := q.waiting[0]
	copy(q.waiting, q.waiting[1:])
	q.waiting = q.waiting[:len(q.waiting)-1]
	return b
}

// recycle keeps a batch for another list.
func (q *queue) recycle(b *batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spare = append(q.spare, b)
}

// close lets the waiting batches run, and returns when they have ended.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.changed.Broadcast()
	q.mu.Unlock()
	<-q.done
	for _, b := range q.spare {
		b.free()
	}
	q.spare = nil
}

// Submit implements metal.Device.
func (d *Device) Submit(list *metal.CommandList) (metal.Pending, error) {
	b := d.queue.empty()
	if b == nil {
		return nil, metal.ErrClosed
	}
	if err := b.fill(d, list); err != nil {
		d.queue.recycle(b)
		return nil, err
	}
	p := &Pending{done: make(chan struct{})}
	b.pending = p
	if !d.queue.put(b) {
		b.releaseAll()
		b.free()
		return nil, metal.ErrClosed
	}
	return p, nil
}

// execute runs lists, one after another, until the device is closed.
func (d *Device) execute() {
	defer close(d.queue.done)
	for b := d.queue.take(); b != nil; b = d.queue.take() {
		commands, reports := b.commands.slice(), b.reports.slice()
		ran := 0
		if len(commands) > 0 {
			ran = int(C.nativeExecute(d.api, d.native, &commands[0], C.uint64_t(len(commands)), &reports[0]))
		}
		p := b.pending
		p.finish(b, reports[:ran])
		b.releaseAll()
		d.queue.recycle(b)
		close(p.done)
	}
}

// Pending is a submitted list. It implements metal.Pending, and has Reports besides.
type Pending struct {
	done chan struct{}

	// Written before done is closed.
	timing  metal.Timing
	err     error
	reports []Report
}

// Wait implements metal.Pending.
func (p *Pending) Wait(ctx context.Context) (metal.Timing, error) {
	select {
	case <-p.done:
		return p.timing, p.err
	default:
	}
	select {
	case <-p.done:
		return p.timing, p.err
	case <-ctx.Done():
		return metal.Timing{}, context.Cause(ctx)
	}
}

// Reports waits for the list and returns one report for each dispatch that ran, in order. One that failed is the last.
func (p *Pending) Reports() []Report {
	<-p.done
	return p.reports
}

// finish takes over the runtime's reports, errors and times.
func (p *Pending) finish(b *batch, reports []C.rtReport) {
	p.reports = make([]Report, len(reports))
	for i := range reports {
		p.reports[i] = b.pipelines[i].library.report(b.pipelines, i, &reports[i])
		if reports[i].failed != 0 {
			p.err = execError(b.pipelines[i].info.Kernel, p.reports[i].Findings)
		}
	}
	if n := len(reports); n > 0 {
		p.timing = metal.Timing{Start: time.Duration(reports[0].startNs), End: time.Duration(reports[n-1].endNs)}
	}
}

// execError returns the reason why a dispatch failed: its first finding.
func execError(kernel string, findings []Finding) error {
	e := &metal.ExecError{Kernel: kernel, Reason: "for no known reason"}
	if len(findings) > 0 {
		f := findings[0]
		place := ""
		if f.File != "" {
			place = fmt.Sprintf("%s:%d: ", f.File, f.Line)
		}
		e.Reason = fmt.Sprintf("%s%s: %s (threadgroup %d,%d,%d, thread %d)", place, f.Kind, strings.TrimSpace(f.Message), f.Group[0], f.Group[1], f.Group[2], f.Thread)
	}
	return e
}
