// Package simulate runs traces of requests against a device that is only a formula for the time of a batch, so that a day
// passes in seconds. A Policy decides: the scheduler that the engine runs, unchanged, or one of the usual ones, to compare
// it with. Everything follows from the trace and the seed: there is no goroutine and no real clock.
//
// The package must not know texts, backends or scores.
package simulate

import (
	"container/heap"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/metalrank/metalrank/engine/schedule"
)

// Request is one request of a trace. The trace sets the exported fields, and At never goes back.
type Request struct {
	schedule.Request

	At    time.Duration
	Model int // an index into Config.Models
	// CancelAfter is how long after At the client gives up, if it has no answer by then. 0: never.
	CancelAfter time.Duration

	id      uint64 // a new one each time the memory is used
	tokens  int
	waiting int // sequences
	running int
	ran     int64 // tokens
	ended   bool  // answered, cancelled or expired
	beside  bool  // came while a request of the largest class was there
}

// Trace is requests in the order in which they arrive.
type Trace interface {
	// Next fills r, and may reuse its memory, or returns io.EOF.
	Next(r *Request) error
}

// closed is a trace with clients that wait for their answers: after an answer, Next may have more requests.
type closed interface {
	answered(r *Request, now time.Duration)
}

// batch is a batch that a device has.
type batch struct {
	schedule.Batch
	device int
}

type device struct {
	Device
	free    time.Duration // when all that it has is done
	wake    time.Duration // when the policy wants to be asked again; 0: no such time
	has     int           // batches
	waiting int           // models with waiting sequences
	since   time.Duration // when it began to have work
	report  DeviceReport
}

type model struct {
	*Model
	devices []int
	waiting int // sequences
}

// loop is one run.
type loop struct {
	policy  Policy
	closed  closed // nil if the trace isn't
	route   Router
	loads   []int // requests of each model that have not ended
	models  []model
	devices []device
	report  *Report
	random  *rand.Rand

	now      time.Duration
	events   events
	serial   uint64
	largest  int // requests of the largest class that are there
	requests []*Request
	batches  []*batch
	single   [1]int
}

// Run runs a trace to its end, and until all accepted requests have ended, too.
func Run(config Config, newPolicy NewPolicy, trace Trace) (*Report, error) {
	if err := config.prepare(); err != nil {
		return nil, err
	}
	l := &loop{
		policy: newPolicy(&config), route: config.Route, loads: make([]int, len(config.Models)),
		random: rand.New(rand.NewPCG(config.Seed, 1)),
	}
	for _, d := range config.Devices {
		l.devices = append(l.devices, device{Device: d})
	}
	for i := range config.Models {
		l.models = append(l.models, model{Model: &config.Models[i], devices: config.Models[i].Devices})
	}
	l.report = newReport(&config)
	l.closed, _ = trace.(closed)
	next := l.request()
	err := trace.Next(next)
	for err == nil || len(l.events.heap) > 0 {
		if err == nil && (len(l.events.heap) == 0 || next.At < l.events.heap[0].at) {
			if err := l.arrive(next); err != nil {
				return nil, err
			}
			next = l.request()
			err = trace.Next(next)
			continue
		}
		answered := l.report.Answered
		if l.handle(); errors.Is(err, io.EOF) && l.report.Answered > answered && l.closed != nil {
			err = trace.Next(next)
		}
	}
	if !errors.Is(err, io.EOF) {
		return nil, err
	}
	l.report.close(l.now, l.devices)
	return l.report, nil
}

// request returns an unused Request.
func (l *loop) request() *Request {
	var r *Request
	if n := len(l.requests); n > 0 {
		r = l.requests[n-1]
		l.requests = l.requests[:n-1]
		r.Reset()
		*r = Request{Request: r.Request}
	} else {
		r = new(Request)
	}
	l.serial++
	r.id, r.Value = l.serial, r
	return r
}

func (l *loop) arrive(r *Request) error {
	if l.route != nil {
		r.Model = l.route(l.loads, l.random)
	}
	if r.At < l.now || r.Model < 0 || r.Model >= len(l.models) || len(r.Lengths) == 0 {
		return fmt.Errorf("simulate: request %d: at %v after %v, for model %d of %d, with %d documents",
			l.report.Requests+1, r.At, l.now, r.Model, len(l.models), len(r.Lengths))
	}
	l.now = r.At
	for _, n := range r.Lengths {
		r.tokens += int(n)
	}
	l.report.arrived(r)
	if accepted := l.policy.Push(r, l.now) == nil; !accepted {
		l.report.refused(r)
		l.requests = append(l.requests, r)
		return nil
	}
	l.loads[r.Model]++
	r.beside = l.largest > 0
	if classOf(r) == len(classes)-1 {
		l.largest++
	}
	r.waiting = len(r.Lengths)
	l.wait(r.Model, r.waiting)
	if r.CancelAfter > 0 {
		heap.Push(&l.events, l.events.new(event{at: r.At + r.CancelAfter, kind: cancelled, request: r, id: r.id}))
	}
	l.poll(l.models[r.Model].devices)
	return nil
}

// handle takes the next event.
func (l *loop) handle() {
	e := l.events.next()
	if e.kind == awake && l.devices[e.device].wake != e.at {
		return // it was asked since
	}
	l.now = e.at
	switch e.kind {
	case done:
		l.done(e.batch)
	case awake:
		l.devices[e.device].wake = 0
		l.poll(l.one(e.device))
	case cancelled:
		if r := e.request; r.id == e.id && !r.ended {
			l.report.cancelled(r)
			if l.policy.Drop(r) {
				l.wait(r.Model, -r.waiting)
				r.waiting = 0
			}
			l.end(r)
		}
	}
}

// wait adds to the waiting sequences of a model.
func (l *loop) wait(i, sequences int) {
	m := &l.models[i]
	before := m.waiting > 0
	m.waiting += sequences
	if after := m.waiting > 0; after != before {
		for _, d := range m.devices {
			if after {
				l.work(d, 0, 1)
			} else {
				l.work(d, 0, -1)
			}
		}
	}
}

// work adds to a device's batches and to the models with work for it, and counts the time in which it has either.
func (l *loop) work(i, batches, models int) {
	d := &l.devices[i]
	before := d.has > 0 || d.waiting > 0
	d.has += batches
	d.waiting += models
	switch after := d.has > 0 || d.waiting > 0; {
	case after && !before:
		d.since = l.now
	case before && !after:
		d.report.WithWork += l.now - d.since
	}
}

// poll hands over batches until no device wants another: one to each at a time, so that the first does not take a batch
// that the second could run now.
func (l *loop) poll(devices []int) {
	for more := true; more; {
		more = false
		for _, i := range devices {
			more = l.hand(i) || more
		}
	}
}

// one is a list of one device, for poll.
func (l *loop) one(device int) []int {
	l.single[0] = device
	return l.single[:]
}

// hand asks the policy for a device's next batch.
func (l *loop) hand(i int) bool {
	var b *batch
	if n := len(l.batches); n > 0 {
		b = l.batches[n-1]
		l.batches = l.batches[:n-1]
	} else {
		b = new(batch)
	}
	ok, again := l.policy.Next(i, &b.Batch, l.now)
	for _, expired := range b.Expired {
		r := owner(expired)
		l.report.expired(r)
		l.wait(r.Model, -r.waiting)
		r.waiting = 0
		l.end(r)
	}
	d := &l.devices[i]
	if !ok {
		l.batches = append(l.batches, b)
		if again > l.now && (d.wake == 0 || again < d.wake) {
			d.wake = again
			heap.Push(&l.events, l.events.new(event{at: again, kind: awake, device: i}))
		}
		return false
	}
	b.device, d.wake = i, 0
	l.work(i, 1, 0)
	for _, span := range b.Spans {
		r, n := owner(span.Request), span.To-span.From
		r.running += n
		r.waiting -= n
		l.wait(r.Model, -n)
	}
	m := owner(b.Spans[0].Request).Model
	cost := &l.models[m].Cost
	took := cost.deviceTime(&b.Batch, d.Speed, l.random)
	d.free = max(d.free, l.now+cost.packTime(&b.Batch)) + took
	d.report.add(&b.Batch, took, l.models[m].Limits.BatchTokens)
	l.report.ran(&b.Batch, m, took)
	heap.Push(&l.events, l.events.new(event{at: d.free, kind: done, batch: b}))
	return true
}

func (l *loop) done(b *batch) {
	l.policy.Done(b.device, &b.Batch, l.now)
	l.work(b.device, -1, 0)
	for _, span := range b.Spans {
		r, n := owner(span.Request), span.To-span.From
		if r.running -= n; r.running > 0 || r.waiting > 0 {
			continue
		}
		if !r.ended {
			l.report.answered(r, l.now)
			if l.closed != nil {
				l.closed.answered(r, l.now)
			}
			l.end(r)
		} else {
			l.requests = append(l.requests, r)
		}
	}
	l.batches = append(l.batches, b)
	l.poll(l.one(b.device))
}

// end ends a request that was answered, cancelled or expired. Its memory is used again when no device has it.
func (l *loop) end(r *Request) {
	r.ended = true
	l.loads[r.Model]--
	l.policy.Leave(r)
	if classOf(r) == len(classes)-1 {
		l.largest--
	}
	if r.running == 0 && r.waiting == 0 {
		l.requests = append(l.requests, r)
	}
}

// owner returns the Request that a request of the scheduler belongs to.
func owner(r *schedule.Request) *Request { return r.Value.(*Request) } //nolint:errcheck,forcetypeassert // all are ours
