package darwin

import (
	"context"
	"sync"
	"time"

	"github.com/metalrank/metalrank/metal"
)

// pendingChunk is the number of pendings that a device allocates at once, so that 64 lists cost one allocation. A
// caller that keeps one of them keeps the whole chunk, 80 bytes each.
const pendingChunk = 64

// pending is a metal.Pending. No thread waits for it: the completion of its list ends it.
type pending struct {
	mu     sync.Mutex
	ended  bool          // guarded by mu
	done   chan struct{} // guarded by mu: made by the first Wait before the end, closed at the end
	timing metal.Timing  // these two don't change after the end
	err    error
}

// Wait implements metal.Pending.
func (p *pending) Wait(ctx context.Context) (metal.Timing, error) {
	if done := p.whenDone(); done != nil {
		select {
		case <-done:
		case <-ctx.Done():
			return metal.Timing{}, ctx.Err()
		}
	}
	return p.timing, p.err
}

// whenDone returns a channel that is closed at the end, or nil after the end.
func (p *pending) whenDone() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return nil
	}
	if p.done == nil {
		p.done = make(chan struct{})
	}
	return p.done
}

func (p *pending) end(timing metal.Timing, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended, p.timing, p.err = true, timing, err
	if p.done != nil {
		close(p.done)
	}
}

// timingOf converts MTLCommandBuffer's GPUStartTime and GPUEndTime, in seconds. Some systems report zeros.
func timingOf(start, end float64) metal.Timing {
	if !(start > 0 && end >= start) {
		return metal.Timing{}
	}
	return metal.Timing{Start: seconds(start), End: seconds(end)}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
