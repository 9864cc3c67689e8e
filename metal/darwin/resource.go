package darwin

import (
	"sync/atomic"

	"github.com/metalrank/metalrank/metal"
)

// resource is an Objective-C object that outlives its Close while something still uses it. Command buffers retain
// nothing here (it would cost two messages for every buffer of every dispatch), so the driver counts holders: the owner
// holds the object until Close, every list until it has ended. The last holder releases it.
type resource struct {
	device    *device
	object    object
	address   uintptr       // of the object, as the shim gets it
	onRelease func()        // called after the object was released; may be nil
	released  chan struct{} // closed after that
	closed    atomic.Bool   // written under device.mu
	holders   int           // guarded by device.mu
	list      uint64        // guarded by device.mu: the last list that held it; a list holds it once
}

// own makes a resource of an object, held by its owner.
func (d *device) own(o object) resource {
	return resource{device: d, object: o, address: uintptr(o.Ptr()), holders: 1, released: make(chan struct{})}
}

// hold keeps the object alive until drop.
func (r *resource) hold() error {
	r.device.mu.Lock()
	defer r.device.mu.Unlock()
	if r.closed.Load() {
		return metal.ErrClosed
	}
	r.holders++
	return nil
}

func (r *resource) drop() {
	r.device.mu.Lock()
	last := r.dropLocked()
	r.device.mu.Unlock()
	if last {
		r.release()
	}
}

// dropLocked removes one holder. It returns true if no holder is left: the caller must then release the object after it
// has unlocked mu.
func (r *resource) dropLocked() bool {
	r.holders--
	return r.holders == 0
}

func (r *resource) release() {
	r.object.Release()
	if r.onRelease != nil {
		r.onRelease()
	}
	close(r.released)
}

// Close drops the owner's hold, once.
func (r *resource) Close() error {
	r.device.mu.Lock()
	again := r.closed.Swap(true)
	last := !again && r.dropLocked()
	r.device.mu.Unlock()
	if last {
		r.release()
	}
	return nil
}
