package gpu

import (
	"context"
	"sync"
	"time"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/metal"
)

// beat is the time between two signs of life to an idle device. macOS takes an idle process's buffers out of the GPU's reach
// after about a second; the next pass then takes a quarter of a second more (llama.cpp, issue 10119: 56 ms hot, 63 ms after
// 0.2 s, 320 ms after 1.2 s on an M4 Pro; its heartbeat has this interval, too).
const beat = 500 * time.Millisecond

// warmth keeps a session's device ready for some time after the last pass: by asking the system to keep the buffers where the
// device reaches them, or, where the system can't be asked, by passes of one token.
type warmth struct {
	device metal.Device
	keep   time.Duration // after the last pass; 0: not at all

	mu      sync.Mutex
	last    time.Time   // guarded by mu: the end of the last pass
	backend *Backend    // guarded by mu: that ran it; nil: it is closed
	timer   *time.Timer // guarded by mu: of the next beat; nil: the device is left alone
}

// used is called after each pass of a request.
func (w *warmth) used(b *Backend) {
	if w.keep <= 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last, w.backend = time.Now(), b
	if w.timer == nil {
		w.timer = time.AfterFunc(beat, w.tick)
	}
}

// forget is called before a backend is closed: no beat uses it from then on, except one under way, for which late counts.
func (w *warmth) forget(b *Backend) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.backend != b {
		return
	}
	w.backend = nil
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

// tick is one beat.
func (w *warmth) tick() {
	w.mu.Lock()
	b, idle := w.backend, time.Since(w.last)
	if b == nil {
		w.mu.Unlock()
		return
	}
	b.late.Add(1)
	over := idle >= w.keep
	if over {
		w.timer = nil
	}
	w.mu.Unlock()
	defer b.late.Done()
	if over {
		w.device.KeepResident(false)
		return
	}
	if !w.device.KeepResident(true) && idle >= beat {
		b.touch()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Reset(beat)
	}
}

// touch runs a pass of one token, which reads all weights but the tables. The next request sees its errors.
func (b *Backend) touch() {
	var batch backend.Batch
	batch.Append([]int32{0}, []int32{0})
	_ = b.forward(context.Background(), &batch, make([]float32, b.shape.labels))
}
