package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/engine/schedule"
)

// replica is a model's backend on a device. When it fails, it is closed and opened again, and the model's requests wait
// or run on its other replicas.
//
// Engine.load sets the first four fields and closing. The dispatcher's lock guards all others.
type replica struct {
	engine *Engine
	queue  *schedule.Queue
	open   func(context.Context) (backend.Backend, error)
	index  int // among the engine's replicas

	name     string // of the device: the backend's, and the index
	prefixes bool   // the backend takes batches with prefixes

	dispatcher *dispatcher
	device     *device
	backend    backend.Backend // nil while it is not open
	running    int             // batches
	waiting    int             // batches that failed by the device's fault, and wait to run again
	faulty     bool            // a batch has failed, and the backend is not open again
	reopening  bool
	down       error         // error of the last attempt to reopen; nil: none
	quiet      *sync.Cond    // broadcast when running is 0 or reopening has ended
	closing    chan struct{} // closed by detach: no batch will follow
}

const (
	firstReopenWait = 100 * time.Millisecond
	lastReopenWait  = 5 * time.Second
)

// fail keeps the backend from further batches.
func (r *replica) fail() {
	r.faulty = true
	r.device.core.Pause(r.queue, true)
}

// describe names the device after the backend, and notes whether that takes prefixes.
func (r *replica) describe() {
	info := r.backend.Info()
	r.name, r.prefixes = fmt.Sprintf("%s/%d", info.Name, r.index), info.Prefixes
}

// recover is called after a batch has failed, the attempt'th time from 0. If the device is at fault, it waits until the
// backend is open again, and returns true: the batch should run again there. With backend "auto" that may be the CPU. It
// returns false and the error of the batch where that can't help. The batch counts as running before and after.
func (r *replica) recover(fault error, attempt int) (again bool, err error) {
	if !gpu.IsFault(fault) {
		return false, fault
	}
	attempts := 1
	if r.engine.triesGPU() {
		attempts = 2
		if attempt > 0 || gpu.IsLost(fault) {
			r.engine.gpu.giveUp(fault)
		}
	}
	if attempt >= attempts {
		return false, fault
	}
	r.fail()
	r.waiting++
	r.running--
	if r.running == 0 {
		r.batchesEnded()
	}
	for r.faulty && r.down == nil {
		r.quiet.Wait()
	}
	r.waiting--
	r.running++
	if r.faulty {
		return false, r.unavailable()
	}
	return true, nil
}

// batchesEnded is called when no batch runs: a faulty backend may now be opened again.
func (r *replica) batchesEnded() {
	r.quiet.Broadcast()
	if r.faulty && !r.reopening && !errors.Is(r.down, ErrClosed) {
		r.reopening = true
		go r.reopen()
	}
}

// reopen tries until it succeeds or the model is closed.
func (r *replica) reopen() {
	_ = closeBackend(r.backend) // it has failed already
	for wait := firstReopenWait; ; wait = min(2*wait, lastReopenWait) {
		opened, err := r.open(context.Background())
		if r.take(opened, err); err == nil {
			return
		}
		select {
		case <-r.closing:
			r.take(nil, ErrClosed)
			return
		case <-time.After(wait):
		}
	}
}

// take records the result of one attempt to open: a backend, or an error.
func (r *replica) take(opened backend.Backend, err error) {
	d := r.dispatcher
	d.mu.Lock()
	defer d.mu.Unlock()
	r.backend, r.down = opened, err
	switch {
	case err == nil:
		r.describe()
		r.faulty = false
		r.engine.counters.Reopened++
		r.device.core.Pause(r.queue, false)
		r.device.wake()
	case r.engine.isDown() != nil: // no replica can run the queued requests
		r.queue.Clear(func(request *schedule.Request) { jobOf(request).settle(r.engine.isDown()) })
	}
	if err == nil || errors.Is(err, ErrClosed) {
		r.reopening = false
	}
	r.quiet.Broadcast()
}

func (r *replica) unavailable() error { return fmt.Errorf("%w: %w", ErrUnavailable, r.down) }

// isDown returns an error if no replica can run a batch, and nil while one can or is about to. The dispatcher's lock is
// held.
func (e *Engine) isDown() error {
	for _, r := range e.replicas {
		if r.down == nil {
			return nil
		}
	}
	return e.replicas[0].unavailable()
}

// Ready returns an ErrUnavailable while no backend can be opened again after a failure.
func (e *Engine) Ready() error {
	e.dispatcher.mu.Lock()
	defer e.dispatcher.mu.Unlock()
	return e.isDown()
}

// closeBackend frees a backend; a panic becomes an error.
func closeBackend(b backend.Backend) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: panic while closing: %v", ErrBackend, r)
		}
	}()
	if b == nil {
		return nil
	}
	return b.Close()
}
