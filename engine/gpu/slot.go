package gpu

import (
	"context"
	"encoding/binary"
	"math"
	"time"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/weights"
)

// shape has the sizes that activations depend on.
type shape struct {
	hidden, feedForward, labels int   // H, F, C
	embedding                   int   // E, the size of embeddings before they are projected to H
	head                        int   // the widest row between layers of the head
	queries, qkv                int   // A·D and A·D + 2 G·D, at most
	kept                        bool  // sums are kept: the residual is f32
	windows                     []int // of attention of all tokens: each has a list of items
	aloneWindow                 int   // of attention of one token of each sequence
	causal                      bool
	prefixes                    bool // sequences may share one
	pool                        weights.Pool
	dtype                       kernels.DType
}

// slot is the memory of one forward pass, for up to capacity tokens, and its recorder.
//
// Four pieces hold activations; each is used again as soon as its content has been read for the last time.
type slot struct {
	shape    shape
	capacity int
	recorder *kernels.Recorder
	buffer   metal.Buffer
	batch    *backend.Batch      // the batch that fill was given; not kept beyond its pass
	items    kernels.CausalItems // without prefixes, if attention is not causal

	// profile gets each operation as soon as it is recorded; nil: they all go to the device together.
	profile func(layer int, name cost.Name) error

	ctx     context.Context // of the pass
	pending []metal.Pending // lists of the pass that were submitted and not waited for
	elapsed time.Duration   // the device's time for the others
	// See plan and cut.
	flops      float64 // of the pass; of a small one, an upper bound
	limit      float64
	operations []cost.Operation // not recorded yet; nil: the pass is one list
	listed     float64          // FLOPs of the list so far

	itemCount int // items of each list of all tokens; behind the last are those of one token of each sequence

	// Written by the host or, at the end, read by it.
	tokens    metal.Binding // [3, T] u32: ids, positions, types
	work      metal.Binding // [windows, itemCount] and [B] AttentionItem
	prefixes  metal.Binding // AttentionPrefix of each, if attention is causal
	rows      metal.Binding // [B + 1] u32: the row of each sequence's first token, and their number; or [B], of its last one
	logitsOut metal.Binding // [B, C] f32

	// These stay on the device.
	x       metal.Binding // [T, H]: a layer's input and output
	normed  metal.Binding // [T, max(H, AD)]: after the attention block
	context metal.Binding // [T, max(H, AD)]: attention's output
	wide    metal.Binding // [T, max(AD + 2 GD, F, E)]: embeddings before their projection; queries, keys and values; then the inside of the feed-forward block

	// These, too, if sums are kept.
	sum        metal.Binding // [T, H] f32
	aloneSum   metal.Binding // [B, H] f32: of one token of each sequence, in the last layer
	statistics metal.Binding // of the last sum
}

// bindingAlignment keeps pieces apart by a cache line of Apple's GPUs.
const bindingAlignment = 128

func newSlot(device metal.Device, sh shape, tokens int) (*slot, error) {
	s := &slot{shape: sh, capacity: tokens, recorder: kernels.NewRecorder(device)}
	size := 0
	var pieces []*metal.Binding
	place := func(at *metal.Binding, sizeBytes int) {
		at.OffsetBytes = size
		size += (sizeBytes + bindingAlignment - 1) / bindingAlignment * bindingAlignment
		pieces = append(pieces, at)
	}
	// At worst every token is a sequence of its own.
	place(&s.tokens, 3*4*tokens)
	place(&s.work, (len(sh.windows)+1)*itemBytes*tokens)
	if sh.causal {
		place(&s.prefixes, (len(sh.windows)+1)*prefixBytes*tokens)
	}
	place(&s.rows, 4*(tokens+1))
	place(&s.logitsOut, 4*tokens*sh.labels)
	row := tokens * sh.dtype.Size()
	place(&s.x, row*sh.hidden)
	place(&s.normed, row*max(sh.hidden, sh.queries))
	place(&s.context, row*max(sh.hidden, sh.queries))
	place(&s.wide, row*max(sh.qkv, sh.feedForward, sh.embedding, 2*sh.head))
	if sh.kept {
		place(&s.sum, 4*tokens*sh.hidden)
		place(&s.aloneSum, 4*tokens*sh.hidden)
		place(&s.statistics, tokens*kernels.StatisticsSize(sh.hidden))
	}
	var err error
	if s.buffer, err = device.NewBuffer(size); err != nil {
		return nil, err
	}
	for _, piece := range pieces {
		piece.Buffer = s.buffer
	}
	return s, nil
}

// recorded is called with the outcome of recording an operation.
func (s *slot) recorded(layer int, name cost.Name, err error) error {
	switch {
	case err != nil:
		return err
	case s.profile != nil:
		return s.profile(layer, name)
	}
	return s.cut()
}

func (s *slot) close() error { return s.buffer.Close() }

// Sizes of an AttentionItem and an AttentionPrefix.
const (
	itemBytes   = 16
	prefixBytes = 8
)

// fill writes the data of a batch that the kernels read.
func (s *slot) fill(batch *backend.Batch) {
	s.batch = batch
	tokens := batch.Tokens()
	for i, column := range [...][]int32{batch.IDs, batch.Positions, batch.Types} {
		put(s.bytes(s.tokens)[4*tokens*i:], column)
	}
	s.list()
	work := s.bytes(s.work)
	for i, item := range s.items.Items {
		at := work[itemBytes*i:]
		binary.LittleEndian.PutUint32(at, item.Key)
		binary.LittleEndian.PutUint32(at[4:], item.Keys)
		binary.LittleEndian.PutUint32(at[8:], item.Query)
		binary.LittleEndian.PutUint32(at[12:], item.Queries)
	}
	for i, prefix := range s.items.Prefixes {
		at := s.bytes(s.prefixes)[prefixBytes*i:]
		binary.LittleEndian.PutUint32(at, prefix.Key)
		binary.LittleEndian.PutUint32(at[4:], prefix.Keys)
	}
	if s.shape.pool != weights.PoolLast {
		put(s.bytes(s.rows), batch.Starts)
		return
	}
	for i, next := range batch.Starts[1:] {
		binary.LittleEndian.PutUint32(s.bytes(s.rows)[4*i:], uint32(next-1))
	}
}

// list makes the lists of attention's work.
func (s *slot) list() {
	starts, prefixes, sh := s.batch.Starts, s.batch.Prefixes, &s.shape
	s.items.Items, s.items.Prefixes = s.items.Items[:0], s.items.Prefixes[:0]
	for i, window := range sh.windows {
		if sh.causal {
			s.items.Append(starts, prefixes, window, false)
		} else {
			s.items.Items = kernels.AppendItems(s.items.Items, starts, window)
		}
		s.itemCount = len(s.items.Items) / (i + 1)
	}
	if sh.causal {
		s.items.Append(starts, prefixes, sh.aloneWindow, true)
	} else {
		s.items.Items = kernels.AppendSingleItems(s.items.Items, starts, sh.aloneWindow, sh.pool == weights.PoolLast)
	}
}

func (s *slot) bytes(at metal.Binding) []byte { return at.Buffer.Bytes()[at.OffsetBytes:] }

func put(data []byte, values []int32) {
	for i, v := range values {
		binary.LittleEndian.PutUint32(data[4*i:], uint32(v))
	}
}

// logits copies the pass's result.
func (s *slot) logits(out []float32) {
	data := s.bytes(s.logitsOut)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
}

// columns returns at from column n of its rows on.
func (s *slot) columns(at metal.Binding, n int) metal.Binding {
	return metal.At(at.Buffer, at.OffsetBytes+n*s.shape.dtype.Size())
}

// withItems puts a list of items into the operands of attention: that of a window, or behind the last one that of one token of each
// sequence.
func (s *slot) withItems(number int, rows kernels.AttentionRows) kernels.AttentionRows {
	rows.Count = s.itemCount
	if number == len(s.shape.windows) {
		rows.Count, rows.Placed = s.batch.Sequences(), kernels.First
		if s.shape.pool == weights.PoolLast {
			rows.Placed = kernels.Last
		}
	}
	rows.Items = metal.At(s.work.Buffer, s.work.OffsetBytes+itemBytes*s.itemCount*number)
	if s.shape.causal {
		rows.Prefixes = metal.At(s.prefixes.Buffer, s.prefixes.OffsetBytes+prefixBytes*s.itemCount*number)
	}
	return rows
}

// positions is the position of each row in its sequence, [T] u32.
func (s *slot) positions() metal.Binding {
	return metal.At(s.tokens.Buffer, s.tokens.OffsetBytes+4*s.batch.Tokens())
}
