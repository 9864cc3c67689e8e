package engine

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/schedule"
)

// replica is a model's backend on a device. When it fails, it is closed and opened again, and the model's requests wait
// or run on its other replicas.
//
// The dispatcher's lock guards all fields except the first four and closing, which Engine.load sets.
type replica struct {
	engine *Engine
	queue  *schedule.Queue
	open   func() (backend.Backend, error)
	name   string // of the device

	dispatcher *dispatcher
	device     *device
	backend    backend.Backend // nil while it is not open
	running    int             // batches
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

// batchesEnded is called when no batch runs: a faulty backend may now be opened again.
func (r *replica) batchesEnded() {
	r.quiet.Broadcast()
	if r.faulty && !r.reopening {
		r.reopening = true
		go r.reopen()
	}
}

// reopen tries until it succeeds or the model is closed.
func (r *replica) reopen() {
	_ = closeBackend(r.backend) // it has failed already
	for wait := firstReopenWait; ; wait = min(2*wait, lastReopenWait) {
		opened, err := r.open()
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
		r.faulty = false
		r.engine.counters.Reopened++
		r.device.core.Pause(r.queue, false)
		r.device.wake()
	case r.engine.isDown() != nil: // no replica can run the queued requests
		r.queue.Clear(func(request *schedule.Request) { jobOf(request).settle(r.engine.isDown()) })
	}
	if err == nil || errors.Is(err, ErrClosed) {
		r.reopening = false
		r.quiet.Broadcast()
	}
}

// isDown returns an error if no replica can run a batch, and nil while one can or is about to. The dispatcher's lock is
// held.
func (e *Engine) isDown() error {
	var err error
	for _, r := range e.replicas {
		if r.down == nil {
			return nil
		}
		err = r.down
	}
	return fmt.Errorf("%w: it can't be opened again: %w", ErrBackend, err)
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
