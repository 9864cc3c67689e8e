// Package gpu runs the forward pass of a BERT cross-encoder on a metal.Device: a forward pass is one list of dispatches,
// five to a layer, one more in the last and two besides, over weights that were put into the device's memory when the model
// was opened.
//
// It knows neither which driver the device has nor its callers.
package gpu

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/weights"
)

// overlap is how many forward passes are in flight: one runs while the next is recorded and waits in the queue.
const overlap = 2

// Opener opens the device of a driver, by the driver's name; metal/open.Device is one.
type Opener func(driver string) (metal.Device, error)

// ErrNoDevice is wrapped by the error that Open returns where there is no device to run on.
var ErrNoDevice = metal.ErrNoDevice

// Config says how to run a model.
type Config struct {
	Driver         string // "metal" or "sim"; also the backend's name
	Float32        bool   // activations, and weights that are not quantised, in fp32: to check the errors of fp16
	MaxBatchTokens int    // tokens preallocated per slot; larger batches allocate a slot of their own
}

// Backend implements backend.Backend.
type Backend struct {
	config  Config
	device  metal.Device
	library *kernels.Library
	shape   shape
	memory  *memory
	model   *model
	limits  backend.Limits
	slots   chan *slot     // that are free
	late    sync.WaitGroup // passes that their callers gave up
}

// Open opens a device and puts the weights of an open checkpoint into its memory, which the backend does not need
// afterwards. Errors: ErrNoDevice, sizes that the kernels cannot take, weights that half precision cannot hold, and
// the device's.
func Open(open Opener, checkpoint *weights.Checkpoint, config Config) (*Backend, error) {
	if open == nil {
		return nil, fmt.Errorf("%w: this program has no driver for %q", ErrNoDevice, config.Driver)
	}
	device, err := open(config.Driver)
	if err != nil {
		return nil, err
	}
	dtype := kernels.F16
	if config.Float32 {
		dtype = kernels.F32
	}
	b := &Backend{
		config: config, device: device, library: kernels.Open(device, dtype),
		memory: newMemory(device, checkpoint, dtype),
	}
	if err := b.load(checkpoint); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *Backend) load(checkpoint *weights.Checkpoint) error {
	p, err := checkpoint.Plan()
	if err != nil {
		return err
	}
	for _, operation := range p.Needs() {
		return &backend.UnsupportedError{Backend: b.config.Driver, Operation: string(operation)}
	}
	b.limits = backend.Limits{Vocab: p.Vocab, Types: p.Types, Positions: p.Positions}
	b.shape = shape{
		hidden: p.Hidden, feedForward: p.Layers[0].Inner.Weight.Shape[0], labels: p.Labels,
		embedding: p.Embeddings.Words.Shape[1], dtype: b.library.DType(),
	}
	if b.model, err = newModel(b.library, b.memory, p); err != nil {
		return err
	}
	b.slots = make(chan *slot, overlap)
	for range overlap {
		s, err := newSlot(b.device, b.shape, b.config.MaxBatchTokens)
		if err != nil {
			return err
		}
		b.slots <- s
	}
	return nil
}

// Info implements backend.Backend.
func (b *Backend) Info() backend.Info {
	dtype := "float16"
	if b.config.Float32 {
		dtype = "float32"
	}
	return backend.Info{
		Name: b.config.Driver, Device: b.device.Info().Name, DType: dtype, WeightBytes: b.memory.sizeBytes, Overlap: overlap,
	}
}

// Close implements backend.Backend. It waits for passes that their callers gave up.
func (b *Backend) Close() error {
	b.late.Wait()
	var errs []error
	for len(b.slots) > 0 {
		errs = append(errs, (<-b.slots).close())
	}
	errs = append(errs, b.library.Close(), b.memory.close(), b.device.Close())
	return errors.Join(errs...)
}

// Forward implements backend.Backend. out is [B, C].
func (b *Backend) Forward(ctx context.Context, batch *backend.Batch, out []float32) error {
	if err := b.check(batch, out); err != nil || batch.Tokens() == 0 {
		return err
	}
	s, err := b.acquire(ctx, batch.Tokens())
	if err != nil {
		return err
	}
	pending, err := b.submit(s, batch)
	if err != nil {
		return errors.Join(err, b.release(s))
	}
	backend.Encoded(ctx)
	if _, err := pending.Wait(ctx); err != nil {
		if ctx.Err() != nil {
			// The device goes on, and uses the slot until it is done.
			b.late.Go(func() {
				_, _ = pending.Wait(context.WithoutCancel(ctx)) // the caller has left
				_ = b.release(s)
			})
			return err
		}
		return errors.Join(err, b.release(s))
	}
	s.logits(out)
	return b.release(s)
}

func (b *Backend) check(batch *backend.Batch, out []float32) error {
	if err := batch.Check(b.limits); err != nil {
		return err
	}
	if want := batch.Sequences() * b.shape.labels; len(out) != want {
		return fmt.Errorf("gpu: out has %d values, want %d", len(out), want)
	}
	return nil
}

// acquire takes a free slot, or makes one for a batch that is larger than the slots.
func (b *Backend) acquire(ctx context.Context, tokens int) (*slot, error) {
	select {
	case s := <-b.slots:
		if tokens <= s.capacity {
			return s, nil
		}
		b.slots <- s
		return newSlot(b.device, b.shape, tokens)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (b *Backend) release(s *slot) error {
	if s.capacity > b.config.MaxBatchTokens {
		return s.close()
	}
	b.slots <- s
	return nil
}

func (b *Backend) submit(s *slot, batch *backend.Batch) (metal.Pending, error) {
	s.fill(batch)
	if err := b.model.record(s); err != nil {
		s.recorder.Reset()
		return nil, err
	}
	return s.recorder.Commit()
}
