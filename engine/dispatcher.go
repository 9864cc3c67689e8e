package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/schedule"
	"github.com/metalrank/metalrank/engine/trace"
)

// dispatcher owns the devices of one Engine, or of all Engines in a Pool, and runs the batches that the scheduler picks. A
// device has a goroutine for each batch that may be in flight there; it packs the batch, runs it and hands out the results.
type dispatcher struct {
	begin time.Time // where the scheduler's clock starts
	jobs  sync.Pool // of *job

	mu      sync.Mutex
	devices map[string]*device // by name; guarded by mu
	closed  bool               // guarded by mu
	slots   sync.WaitGroup
}

// device is a schedule.Device with the backends that run there, one a model. All is guarded by the dispatcher's lock.
type device struct {
	core     *schedule.Device
	work     sync.Cond // signalled when there may be work
	replicas map[*schedule.Queue]*replica
	slots    []*slot     // one a goroutine
	timer    *time.Timer // wakes a goroutine to ask the scheduler again
	idle     int         // goroutines that wait on work and were not signalled
}

func newDispatcher() *dispatcher {
	return &dispatcher{begin: time.Now(), jobs: sync.Pool{New: makeJob}, devices: map[string]*device{}}
}

// now is the scheduler's time.
func (d *dispatcher) now() time.Duration { return time.Since(d.begin) }

// at is t on the scheduler's clock, and not 0, which stands for no time.
func (d *dispatcher) at(t time.Time) time.Duration { return max(t.Sub(d.begin), 1) }

// attach lets the replica's device run its batches, and makes the device if need be.
func (d *dispatcher) attach(r *replica, weight float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.devices[r.name]
	if v == nil {
		overlap := max(r.backend.Info().Overlap, 1)
		config := schedule.DefaultDevice()
		config.Overlap = overlap
		v = &device{
			core:     schedule.NewDevice(config),
			replicas: map[*schedule.Queue]*replica{},
		}
		v.work.L = &d.mu
		v.timer = time.AfterFunc(time.Hour, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			v.wake()
		})
		d.devices[r.name] = v
		for range overlap {
			s := &slot{}
			v.slots = append(v.slots, s)
			d.slots.Go(func() { d.serve(v, s) })
		}
	}
	r.dispatcher, r.device, r.quiet = d, v, sync.NewCond(&d.mu)
	v.replicas[r.queue] = r
	v.core.Attach(r.queue, weight)
}

// detach undoes attach and waits for running batches and for a reopen. No request of the model may be queued.
func (d *dispatcher) detach(r *replica) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r.device.core.Detach(r.queue)
	close(r.closing)
	for r.running > 0 || r.waiting > 0 || r.reopening {
		r.quiet.Wait()
	}
	delete(r.device.replicas, r.queue)
}

// close ends the goroutines. The caller has detached all models.
func (d *dispatcher) close() {
	d.mu.Lock()
	d.closed = true
	for _, v := range d.devices {
		v.timer.Stop()
		v.work.Broadcast()
	}
	d.mu.Unlock()
	d.slots.Wait()
}

// run submits a job to the scheduler, waits for it and releases it.
func (d *dispatcher) run(ctx context.Context, e *Engine, j *job, stats *Stats) error {
	err := d.submit(e, j)
	if err == nil {
		err = d.wait(ctx, e, j)
	}
	if err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		j.release()
		return err
	}
	if len(j.sequences) > 0 {
		stats.Wait, stats.Compute = j.request.Started-j.request.Pushed, j.ended-j.request.Started
		stats.Batches, stats.FirstBatch, stats.SavedTokens = j.request.Batches, j.request.FirstBatch, j.request.Saved
		stats.Operations = j.request.Work() * e.queue.Limits().Unit
		started := d.begin.Add(j.request.Started)
		j.timer.Ran(started.Add(-stats.Wait), started, d.begin.Add(j.ended), stats.Batches, stats.FirstBatch)
	}
	j.recycle()
	return nil
}

// submit hands a job to the scheduler: all of it, or none with an *OverloadError.
func (d *dispatcher) submit(e *Engine, j *job) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := e.isDown(); err != nil {
		return err
	}
	if err := e.queue.Push(&j.request, d.now()); err != nil {
		e.counters.Refused++
		return err
	}
	if len(j.sequences) == 0 {
		j.settle(nil)
		return nil
	}
	for _, r := range e.replicas {
		r.device.wake()
	}
	return nil
}

// wait returns when a submitted job is done or has failed; if ctx ends first, it drops the job from the queue, and gives up
// batches that nobody else waits for.
func (d *dispatcher) wait(ctx context.Context, e *Engine, j *job) error {
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if j.settled { // just as ctx ended
		<-j.done
		return j.err
	}
	e.queue.Drop(&j.request)
	for _, r := range e.replicas {
		r.device.giveUp()
	}
	e.counters.Cancelled++
	j.settled = true
	return context.Cause(ctx)
}

// wake lets one goroutine look for work. The dispatcher's lock is held.
func (v *device) wake() {
	if v.idle > 0 {
		v.idle--
		v.work.Signal()
	}
}

// giveUp ends the running batches of which all requests were dropped. The dispatcher's lock is held.
func (v *device) giveUp() {
	for _, s := range v.slots {
		if s.running && !slices.ContainsFunc(s.batch.Spans, func(span schedule.Span) bool { return !span.Request.Dropped() }) {
			s.batch.Aborted = true
			s.cancel()
		}
	}
}

// serve runs batches in a slot until the dispatcher is closed.
func (d *dispatcher) serve(v *device, s *slot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		ok, again := v.core.Next(&s.batch, d.now())
		for _, request := range s.batch.Expired {
			jobOf(request).settle(context.DeadlineExceeded)
		}
		if !ok {
			if d.closed {
				return
			}
			if again > 0 {
				v.timer.Reset(again - d.now())
			}
			v.idle++
			v.work.Wait()
			continue
		}
		v.wake() // there may be more work, for another slot
		r := v.replicas[s.batch.Queue]
		r.running++
		s.begin()
		err := d.runBatch(r, s)
		s.running = false
		stats := d.finish(v, r, s, err)
		if tell := r.engine.config.OnBatch; tell != nil {
			d.mu.Unlock()
			tell(stats)
			d.mu.Lock()
		}
	}
}

// runBatch runs a batch, and again after the fault of a device. The dispatcher's lock is held, but not meanwhile.
func (d *dispatcher) runBatch(r *replica, s *slot) error {
	s.fault = nil
	for attempt := 0; ; attempt++ {
		d.mu.Unlock()
		timer := r.engine.config.Trace.Batch()
		err := s.run(r, timer)
		// Before finish tells the requests, so that no recording has a request without its batch.
		timer.End(r.name, s.batch.ID, d.begin.Add(s.batch.Began), s.batch.Sequences, s.batch.Tokens, s.batch.Saved)
		d.mu.Lock()
		if err == nil || s.batch.Aborted && errors.Is(err, context.Canceled) {
			return nil
		}
		again, failure := r.recover(err, attempt)
		if !again {
			return failure
		}
		s.fault = err
		s.batch.Began = d.now() // the time to open the backend again says nothing about batches
	}
}

// finish hands a batch's results to its jobs. The dispatcher's lock is held.
func (d *dispatcher) finish(v *device, r *replica, s *slot, err error) BatchStats {
	end := d.now()
	used := v.core.Done(&s.batch, end)
	stats := BatchStats{
		Device: r.name, ID: s.batch.ID, Tokens: s.batch.Tokens, SavedTokens: s.batch.Saved, Sequences: s.batch.Sequences,
		Operations: s.batch.Work * r.queue.Limits().Unit, Requests: len(s.batch.Spans), Began: d.begin.Add(s.batch.Began),
		Ended: d.begin.Add(end), Busy: used, Err: err, Fault: s.fault, Stack: s.stack,
		GivenUp: s.batch.Aborted && err == nil,
	}
	r.engine.counters.add(&stats)
	for _, span := range s.batch.Spans {
		j := jobOf(span.Request)
		switch {
		case err != nil:
			r.queue.Drop(span.Request)
			j.settle(err)
		case span.Request.Done() && !span.Request.Dropped():
			j.ended = end
			j.settle(nil)
			continue // it is the caller's again
		}
		if j.abandoned && j.request.Idle() { // a request has one span in a batch, so no later span needs j
			j.recycle()
		}
	}
	r.running--
	if err != nil {
		r.fail()
	}
	if r.running == 0 {
		r.batchesEnded()
	}
	return stats
}

// slot holds one batch in flight and its buffers; the next batch reuses it.
type slot struct {
	batch   schedule.Batch
	running bool            // guarded by the dispatcher's lock
	ctx     context.Context // of the running batch; new after each that was given up
	cancel  context.CancelFunc

	packed backend.Batch
	logits []float32
	fault  error  // of the device, after which the batch ran again; nil: none
	stack  []byte // of a panic
}

// begin prepares the slot for a batch. The dispatcher's lock is held.
func (s *slot) begin() {
	s.running = true
	if s.ctx == nil || s.ctx.Err() != nil {
		s.ctx, s.cancel = context.WithCancel(context.Background())
	}
}

// run packs the batch, runs it, and writes its jobs' logits. A panic of the backend becomes an error.
func (s *slot) run(r *replica, timer *trace.BatchTimer) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: panic: %v", ErrBackend, p)
			s.stack = debug.Stack()
		}
	}()
	s.stack = nil
	s.packed.Reset()
	s.packed.Urgent = s.batch.Beside
	for _, span := range s.batch.Spans {
		j := jobOf(span.Request)
		timer.Of(j.timer.ID())
		var shared []int32
		if r.prefixes && len(j.request.Shared) > 0 {
			shared = j.request.Shared[span.From:span.To]
		}
		pack(&s.packed, j.sequences[span.From:span.To], shared)
	}
	r.engine.padding.place(&s.packed)
	labels := len(r.engine.labels)
	if n := s.packed.Sequences() * labels; cap(s.logits) < n {
		s.logits = make([]float32, n)
	} else {
		s.logits = s.logits[:n]
	}
	ctx := s.ctx // a batch serves several requests, so that no single request's context may end it
	if timer != nil {
		timer.Packed()
		ctx = backend.WhenEncoded(ctx, timer.Encoded)
	}
	if err := r.backend.Forward(ctx, &s.packed, s.logits); err != nil {
		return fmt.Errorf("%w: %w", ErrBackend, err)
	}
	timer.Computed()
	logits := withoutPrefixes(&s.packed, s.logits, labels)
	for _, span := range s.batch.Spans {
		n := copy(jobOf(span.Request).logits[span.From*labels:span.To*labels], logits)
		logits = logits[n:]
	}
	return nil
}
