package gpu

import (
	"context"
	"errors"
	"time"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/metal"
)

// Step is one operation of a profiled pass, which had the device for itself.
type Step struct {
	Layer   int // from 0 on, or cost.NoLayer
	Name    cost.Name
	Kernels []string // that it ran
	// Time is the device's own, or zero where it can't tell; Wall is from submitting to the end, as the host saw it.
	Time, Wall time.Duration
	Pending    metal.Pending // has ended; its driver may add data to it
}

// Profile is Forward that submits each operation by itself, waits for it, and returns its time. Apple's GPUs read their
// clock between command buffers, not between the dispatches of one. So the start of a kernel does not overlap the end of
// another, as it does in an ordinary pass.
func (b *Backend) Profile(ctx context.Context, batch *backend.Batch, out []float32) (steps []Step, err error) {
	if err := b.check(batch, out); err != nil || batch.Tokens() == 0 {
		return nil, err
	}
	s, err := b.acquire(ctx, batch.Tokens())
	if err != nil {
		return nil, err
	}
	defer func() {
		s.profile = nil
		s.recorder.Reset()
		err = errors.Join(err, b.release(s))
	}()
	s.profile = func(layer int, name cost.Name) error {
		step := Step{Layer: layer, Name: name, Kernels: s.recorder.Kernels()}
		begin := time.Now()
		var err error
		if step.Pending, err = s.recorder.Commit(); err != nil {
			return err
		}
		timing, err := step.Pending.Wait(context.WithoutCancel(ctx)) // the slot is the device's until it has ended
		step.Time, step.Wall = timing.Elapsed(), time.Since(begin)
		steps = append(steps, step)
		return errors.Join(err, ctx.Err())
	}
	s.fill(batch)
	if err := b.model.record(s); err != nil {
		return nil, err
	}
	s.logits(out)
	return steps, nil
}
