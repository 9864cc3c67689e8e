// Package cpu is the forward pass in C, by kernels that are chosen at run time by the processor's features.
//
// A batch is cut into chunks of whole sequences. One worker takes a chunk through all layers, while its activations
// stay in the core's second-level cache and the weights in the shared one; workers don't wait for each other. Where
// that would leave workers idle, as with a single long sequence, they share a chunk by rows instead. Sequences that read the keys
// and values of a prefix go through the layers together, a layer at a time.
//
// A sequence's logits are the same bit for bit alone or in a batch, and on any number of workers. They may differ
// between variants, within rounding at fp32.
//
// The package must not know its callers.
package cpu

/*
#cgo CFLAGS: -O3 -std=c11 -Wall
#cgo linux LDFLAGS: -lm
#include "forward.h"
*/
import "C"

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/internal/machine"
	"github.com/metalrank/metalrank/weights"
)

// Precision is the arithmetic of the layers' products. Sums, softmax, layer norms and the head are float32 always.
type Precision string

// Precisions.
const (
	FP32 Precision = "fp32"
	BF16 Precision = "bf16" // weights and activations rounded to bfloat16, on tile registers; elsewhere fp32, which is faster
	Int8 Precision = "int8" // weights int8 per output channel, activations eight bits per token
)

// Options say how to run a model. The zero value is fp32 on the best kernels, on all cores that the process may use.
type Options struct {
	// Precision. Empty: fp32.
	Precision Precision
	// Variant is one of Variants that is available. Empty: the one that METALRANK_CPU names, else the best.
	Variant string
	// Workers is how many threads compute. 0: GOMAXPROCS, which respects affinity and the cgroup's quota.
	// Bounds: 0 to 1024.
	Workers int
}

const (
	maxWorkers = 1024
	// chunkTokens is how many tokens a chunk has where sequences are short enough.
	chunkTokens = 384
	// int8ChunkTokens is the same at int8: products take less time, so that a miss of the second-level cache weighs more.
	int8ChunkTokens = 256
	// capacityTokens is how many tokens a chunk of one worker's can have.
	capacityTokens = 768
	// blockRows is how many rows go through a feed-forward block at a time.
	blockRows = 128
	// sharedTokens is how many tokens a chunk has at most where sequences share prefixes, unless a single sequence and its prefix
	// have more. It bounds the memory of such a batch.
	sharedTokens = 4096
	// overlap is how many calls share the workers: while the last chunks of one run, the next one's begin.
	overlap = 2
)

// Backend implements backend.Backend.
type Backend struct {
	plan    *weights.Plan
	info    backend.Info
	arena   arena // the model, and the teams' memory
	words   words
	blocks  [2]*blocks // the second for urgent calls; nil if no batch needs them
	workers []*scratch
	pool    *pool
	gate    *gate
	calls   chan *call // idle ones
}

// New packs the weights of an open checkpoint, which the backend does not need afterwards.
func New(checkpoint *weights.Checkpoint, options Options) (*Backend, error) {
	if options.Precision == "" {
		options.Precision = FP32
	}
	if options.Workers < 0 || options.Workers > maxWorkers {
		return nil, fmt.Errorf("cpu: Workers is %d, want 0 to %d", options.Workers, maxWorkers)
	}
	if options.Workers == 0 {
		options.Workers = runtime.GOMAXPROCS(0)
	}
	kernels, why, err := chooseVariant(options.Variant)
	if err != nil {
		return nil, err
	}
	if options.Precision, why, err = choosePrecision(kernels, options.Precision, why); err != nil {
		return nil, err
	}
	plan, err := checkpoint.Plan()
	if err != nil {
		return nil, err
	}
	b := &Backend{plan: plan}
	l := &loader{checkpoint: checkpoint, arena: &b.arena, plan: plan, kernels: kernels, precision: options.Precision}
	if err := b.load(l, options); err != nil {
		return nil, errors.Join(err, b.free())
	}
	how := C.GoString(l.matmul().how)
	b.info.Device = fmt.Sprintf("%s, %s kernels (%s), %d workers; %s", deviceName(), nameOf(kernels), how, options.Workers, why)
	b.info.Dispatch = l.dispatchTable(why)
	return b, nil
}

// choosePrecision returns the precision that is asked for, or one that is faster and more exact, and adds that to why.
func choosePrecision(kernels *C.struct_kernels, precision Precision, why string) (Precision, string, error) {
	switch precision {
	case FP32, Int8:
		return precision, why, nil
	case BF16:
		if kernels.bf16.run == nil {
			return FP32, why + "; fp32 and not bf16, which is faster only on tile registers (AMX)", nil
		}
		return precision, why, nil
	}
	return "", "", fmt.Errorf("cpu: Precision is %q, want %q, %q or %q", precision, FP32, BF16, Int8)
}

func (b *Backend) load(l *loader, options Options) error {
	model, err := l.load()
	if err != nil {
		return err
	}
	b.info = backend.Info{Name: "cpu", DType: dtypes[options.Precision], Overlap: overlap, WeightBytes: int64(b.arena.total)}
	// Word embeddings stay as they are stored; a pass decodes the rows of its tokens.
	var tableBytes int
	if b.words, tableBytes, err = openWords(l.kernels, l.checkpoint, b.plan.Embeddings.Words, &b.arena); err != nil {
		return err
	}
	b.info.WeightBytes += int64(tableBytes)
	longest, target := max(capacityTokens, b.plan.Positions), chunkTokens
	if options.Precision == Int8 {
		target = int8ChunkTokens
	}
	b.info.Prefixes = b.plan.Prefixes()
	inBlocks := longest
	if b.info.Prefixes {
		inBlocks = max(longest, sharedTokens)
	}
	for i := 0; i < len(b.blocks) && inBlocks > capacityTokens; i++ {
		if b.blocks[i], err = newBlocks(model, inBlocks); err != nil {
			return err
		}
	}
	b.gate = newGate()
	b.calls = make(chan *call, overlap)
	for range overlap {
		b.calls <- &call{
			model: model, words: &b.words, labels: b.plan.Labels, team: newTeam(&b.arena, model, capacityTokens), gate: b.gate,
			plan: plan{workers: options.Workers, target: target, capacity: capacityTokens, longest: longest, shared: sharedTokens},
		}
	}
	if b.arena.err != nil {
		return b.arena.err
	}
	for i := range options.Workers {
		s, err := newScratch(model, capacityTokens, longest, b.info.Prefixes)
		if err != nil {
			return err
		}
		s.worker = i
		b.workers = append(b.workers, s)
	}
	b.pool = newPool(b.workers, b.gate)
	return nil
}

var dtypes = map[Precision]string{FP32: "float32", BF16: "bfloat16", Int8: "int8"}

// deviceName is the processor's name, or its architecture's where the system doesn't tell.
var deviceName = sync.OnceValue(func() string {
	return cmp.Or(machine.CPU(), strings.ToUpper(runtime.GOARCH)+" CPU")
})

// Info implements backend.Backend.
func (b *Backend) Info() backend.Info { return b.info }

// Close implements backend.Backend.
func (b *Backend) Close() error {
	b.pool.close()
	return b.free()
}

func (b *Backend) free() error {
	for _, s := range b.workers {
		s.arena.free()
	}
	for _, blocks := range b.blocks {
		if blocks != nil {
			blocks.arena.free()
		}
	}
	b.arena.free()
	return b.words.close()
}

// Forward implements backend.Backend. out is [B, C].
func (b *Backend) Forward(ctx context.Context, batch *backend.Batch, out []float32) error {
	return b.forward(ctx, batch, out, nil)
}

// forward runs a batch, and adds the times of its work to p, unless p is nil.
func (b *Backend) forward(ctx context.Context, batch *backend.Batch, out []float32, p *profile) error {
	limits := backend.Limits{Vocab: b.plan.Vocab, Types: b.plan.Types, Positions: b.plan.PositionRows()}
	if err := batch.Check(limits); err != nil {
		return err
	}
	if want := batch.Sequences() * b.plan.Labels; len(out) != want {
		return fmt.Errorf("cpu: out has %d values, want %d", len(out), want)
	}
	if err := b.checkPrefixes(batch); err != nil {
		return err
	}
	if batch.Tokens() == 0 {
		return ctx.Err()
	}
	var c *call
	select {
	case c = <-b.calls:
		defer func() { b.calls <- c }()
	case <-ctx.Done():
		return ctx.Err()
	}
	c.batch, c.out, c.profile = batch, out, p
	c.plan.make(batch.Starts, batch.Prefixes)
	if c.blocks = b.blocks[0]; batch.Urgent {
		c.blocks = b.blocks[1]
	}
	backend.Encoded(ctx)
	err := b.pool.run(ctx, c)
	if failure := c.failure.Swap(nil); failure != nil && err == nil {
		err = *failure
	}
	c.batch, c.out, c.profile, c.done = nil, nil, nil, nil
	return err
}
