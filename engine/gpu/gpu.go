// Package gpu runs the forward pass of a cross-encoder on a metal.Device: a forward pass is one list of dispatches, for a BERT
// five to a layer, one more in the last and two besides, over weights that were put into the device's memory when the model
// was opened.
//
// It knows neither which driver the device has nor its callers.
package gpu

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/cost"
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
	// KeepWarm is how long after a pass the device is kept ready for the next. 0: not at all. A simulated device has no need.
	KeepWarm time.Duration
	Tuning   *Tuning // nil: variants are chosen by tables and a rule
}

// Backend implements backend.Backend.
type Backend struct {
	session  *Session
	shape    shape
	costs    cost.Shape
	perToken float64 // FLOPs, at most
	memory   *memory
	model    *model
	limits   backend.Limits
	slots    chan *slot     // that are free
	late     sync.WaitGroup // passes that their callers gave up, and beats
}

// Open opens a device, and a model on it: OpenSession and Session.Open, with the errors of both.
func Open(open Opener, checkpoint *weights.Checkpoint, config Config) (*Backend, error) {
	session, err := OpenSession(open, config)
	if err != nil {
		return nil, err
	}
	b, err := session.Open(checkpoint)
	return b, errors.Join(err, session.Close()) // the backend keeps it
}

func newBackend(s *Session, checkpoint *weights.Checkpoint) *Backend {
	return &Backend{session: s, memory: newMemory(s.device, checkpoint, s.library.DType())}
}

func (b *Backend) load(checkpoint *weights.Checkpoint) error {
	p, err := checkpoint.Plan()
	if err != nil {
		return err
	}
	if err := Supports(p, b.session.config.Driver); err != nil {
		return err
	}
	b.limits = backend.Limits{Vocab: p.Vocab, Types: p.Types, Positions: p.PositionRows()}
	b.shape = shape{
		hidden: p.Hidden, feedForward: p.Layers[0].Inner.Weight.Shape[0], labels: p.Labels,
		embedding: p.Embeddings.Words.Shape[1], kept: p.KeepSum, windows: windows(p),
		aloneWindow: p.Layers[len(p.Layers)-1].Attention.Window, dtype: b.session.library.DType(),
		causal: p.Layers[0].Attention.Causal, prefixes: p.Prefixes(), pool: p.Pool,
	}
	for i := range p.Layers {
		a := &p.Layers[i].Attention
		b.shape.queries = max(b.shape.queries, a.Heads*a.Size)
		b.shape.qkv = max(b.shape.qkv, (a.Heads+2*a.KeyHeads)*a.Size)
	}
	b.costs = cost.ShapeOf(p)
	b.perToken = perToken(b.costs, p.Positions)
	if b.model, err = newModel(b.session.library, b.memory, p); err != nil {
		return err
	}
	b.shape.head = b.model.head.width()
	b.slots = make(chan *slot, overlap)
	for range overlap {
		s, err := newSlot(b.session.device, b.shape, b.session.config.MaxBatchTokens)
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
	if b.shape.dtype == kernels.F32 {
		dtype = "float32"
	}
	return backend.Info{
		Name: b.session.config.Driver, Device: b.session.device.Info().Name, DType: dtype, WeightBytes: b.memory.sizeBytes, Overlap: overlap,
		Prefixes: b.shape.prefixes,
	}
}

// Close implements backend.Backend. It waits for passes that their callers gave up.
func (b *Backend) Close() error {
	b.session.warmth.forget(b)
	b.late.Wait()
	var errs []error
	for len(b.slots) > 0 {
		errs = append(errs, (<-b.slots).close())
	}
	return errors.Join(append(errs, b.memory.close(), b.session.release())...)
}

// Forward implements backend.Backend. out is [B, C]. A pass that fails for a passing reason is tried once more, in two
// halves.
func (b *Backend) Forward(ctx context.Context, batch *backend.Batch, out []float32) error {
	if err := b.check(batch, out); err != nil || batch.Tokens() == 0 {
		return err
	}
	defer b.session.warmth.used(b)
	err := b.forward(ctx, batch, out)
	if failure, ok := errors.AsType[*metal.ExecError](err); !ok || !failure.Transient {
		return err
	}
	b.session.pace.failed()
	for _, half := range halves(batch) {
		n := half.Sequences() * b.shape.labels
		if again := b.forward(ctx, half, out[:n]); again != nil {
			return fmt.Errorf("%w; before that, with the whole batch: %w", again, err)
		}
		out = out[n:]
	}
	return nil
}

// halves cuts a batch in two of about as many tokens. A batch of one sequence stays whole.
func halves(batch *backend.Batch) []*backend.Batch {
	middle := 1
	for middle < batch.Sequences()-1 && int(batch.Starts[middle]) < batch.Tokens()/2 {
		middle++
	}
	var parts []*backend.Batch
	for _, part := range [][2]int{{0, middle}, {middle, batch.Sequences()}} {
		if part[0] == part[1] {
			continue
		}
		var half backend.Batch
		for i := part[0]; i < part[1]; i++ {
			half.Append(whole(batch, i))
		}
		parts = append(parts, &half)
	}
	return parts
}

// whole returns the tokens of a sequence with those of its prefix before them, which has the same logits.
func whole(batch *backend.Batch, i int) (ids, types []int32) {
	start, stop := batch.Prefix(i)
	begin, end := batch.Starts[i], batch.Starts[i+1]
	if start == stop {
		return batch.IDs[begin:end], batch.Types[begin:end]
	}
	return slices.Concat(batch.IDs[start:stop], batch.IDs[begin:end]), slices.Concat(batch.Types[start:stop], batch.Types[begin:end])
}

// forward runs one pass.
func (b *Backend) forward(ctx context.Context, batch *backend.Batch, out []float32) error {
	s, err := b.acquire(ctx, batch.Tokens())
	if err != nil {
		return err
	}
	if err := b.submit(ctx, s, batch); err != nil {
		s.recorder.Reset()
		_ = s.wait(context.WithoutCancel(ctx), 0) // the lists before the one that failed use the slot
		b.session.note(err)
		return errors.Join(err, b.release(s))
	}
	backend.Encoded(ctx)
	if err := s.wait(ctx, 0); err != nil {
		b.session.note(err)
		if ctx.Err() != nil {
			// The device goes on, and uses the slot until it is done.
			b.late.Go(func() {
				late := s.wait(context.WithoutCancel(ctx), 0) // the caller has left
				b.session.note(late)
				_ = b.release(s)
			})
			return err
		}
		return errors.Join(err, b.release(s))
	}
	b.session.pace.add(s.flops, s.elapsed)
	s.logits(out)
	return b.release(s)
}

func (b *Backend) check(batch *backend.Batch, out []float32) error {
	if err := batch.Check(b.limits); err != nil {
		return err
	}
	if batch.Prefixes != nil && !b.shape.prefixes {
		return fmt.Errorf("gpu: the batch has prefixes, and the model takes none")
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
		return newSlot(b.session.device, b.shape, tokens)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (b *Backend) release(s *slot) error {
	if s.capacity > b.session.config.MaxBatchTokens {
		return s.close()
	}
	b.slots <- s
	return nil
}

// submit records a batch's pass and submits it, in one list or several. It waits for the first of several.
func (b *Backend) submit(ctx context.Context, s *slot, batch *backend.Batch) error {
	s.ctx = ctx
	defer func() { s.ctx = nil }()
	s.plan(b, batch)
	s.fill(batch)
	if err := b.model.record(s); err != nil {
		return err
	}
	return s.submit()
}

// IsFault says whether err is a failure of the device, and not of its input or of the program.
func IsFault(err error) bool {
	_, ok := errors.AsType[*metal.ExecError](err)
	return ok
}

// IsLost says whether err says that the device can't be used any more.
func IsLost(err error) bool {
	failure, ok := errors.AsType[*metal.ExecError](err)
	return ok && failure.Lost
}
