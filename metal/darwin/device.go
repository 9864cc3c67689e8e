package darwin

import (
	"fmt"
	"sync"

	"github.com/metalrank/metalrank/metal"
)

// device is a metal.Device over native Metal.
type device struct {
	native       native
	information  metal.Info
	metallibPath string        // loaded in place of every library; empty: none
	released     chan struct{} // closed after native was released

	// submitMu is held while a list is encoded and committed, so that lists run in the order of Submit. A full queue may
	// block Submit there until an earlier list completes, so completion must not take order.
	submitMu sync.Mutex

	mu      sync.Mutex
	idle    sync.Cond     // on mu; signalled when active reaches 0
	active  int           // guarded by mu: calls into native, and lists that have not ended
	closed  bool          // guarded by mu
	lost    error         // guarded by mu: why the device can't be used any more
	lists   uint64        // guarded by mu: how many lists were recorded; also the number of the last one
	free    []*submission // guarded by mu: those of ended lists, for reuse
	pending []pending     // guarded by mu: not handed out yet
}

func newDevice(n native, metallibPath string) *device {
	d := &device{native: n, information: n.info(), metallibPath: metallibPath, released: make(chan struct{})}
	d.idle.L = &d.mu
	if metallibPath != "" {
		d.information.Compiler = "none: every library is " + metallibPath
	}
	return d
}

// Info implements metal.Device.
func (d *device) Info() metal.Info { return d.information }

// acquire keeps the device alive until release.
func (d *device) acquire() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return metal.ErrClosed
	}
	d.active++
	return nil
}

func (d *device) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.releaseLocked()
}

// releaseLocked is release for callers that hold mu.
func (d *device) releaseLocked() {
	d.active--
	if d.active == 0 {
		d.idle.Broadcast()
	}
}

// Close implements metal.Device.
func (d *device) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		<-d.released
		return nil
	}
	d.closed = true
	for d.active > 0 {
		d.idle.Wait()
	}
	for _, s := range d.free {
		s.handle.Delete()
	}
	d.free = nil
	d.mu.Unlock()
	d.native.Release()
	close(d.released)
	return nil
}

// KeepResident implements metal.Device.
func (d *device) KeepResident(keep bool) bool {
	if d.acquire() != nil {
		return false
	}
	defer d.release()
	return d.native.keepResident(keep)
}

// checkSize returns an error if the device can't have a buffer of this size.
func (d *device) checkSize(sizeBytes int) error {
	if sizeBytes <= 0 {
		return fmt.Errorf("metal: a buffer of %d bytes, want at least 1", sizeBytes)
	}
	if limit := d.information.MaxBufferSizeBytes; sizeBytes > limit {
		return &metal.LimitError{What: "bytes in a buffer", Got: uint64(sizeBytes), Limit: uint64(limit)}
	}
	return nil
}
