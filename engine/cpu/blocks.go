package cpu

/*
#include "forward.h"
*/
import "C"

import (
	"context"
	"sync/atomic"
	"unsafe"
)

// blocks is the memory of a chunk of long sequences, or of sequences that share prefixes, which all workers take through the
// stages of the pass together, a block of rows at a time. Between two blocks the workers may run another call. A backend has one for urgent calls and one for others,
// so that memory does not grow with calls, and one call has it at a time.
type blocks struct {
	arena arena
	turn  chan struct{} // held by the call that uses the memory
	team  *C.struct_team

	starts, prefixes, types, positions []int32 // as in scratch, but for all rows of the chunk
	x, n, pooled, pooledN, query       []float32
	stride, queryStride                int  // of a row of the first four, and of a query
	far                                bool // a layer has no window
	projected                          bool // embeddings are not rows of x, but in the worker's scratch
	chunk                              *chunk
	most, rows, stage, stages          int          // rows of a block: at most, and in this chunk
	packs, packing                     bool         // stages read packed keys; they are being packed
	next                               atomic.Int64 // the next block of the stage
}

const (
	// longBlockRows is how many rows a block has, and farBlockRows how many in a sequence of more than farTokens where a layer has
	// no window, so that each row takes longer: the time of a block bounds how long another call waits for it.
	longBlockRows = 128
	farBlockRows  = 64
	farTokens     = 2048
)

// newBlocks reserves memory for chunks of up to a number of tokens; pages are only taken up when they are used.
func newBlocks(m *C.struct_model, tokens int) (*blocks, error) {
	b := &blocks{turn: make(chan struct{}, 1), stride: strideOf(int(m.h_padded), 4), projected: m.projection.panels != nil, most: longBlockRows}
	b.queryStride = strideOf(int(m.queries_padded), 4)
	b.stages = int(C.stages_of(m))
	for _, l := range unsafe.Slice(m.layers, int(m.layer_count)) {
		b.far = b.far || l.before == C.ALL_KEYS
	}
	b.team = newTeam(&b.arena, m, tokens)
	if packed := int(C.packed_bytes(m, C.int(tokens))); packed > 0 && b.arena.err == nil {
		b.team.packed = b.arena.take(packed)
	}
	b.starts, b.prefixes = takeSlice[int32](&b.arena, tokens+1), takeSlice[int32](&b.arena, tokens)
	b.types, b.positions = takeSlice[int32](&b.arena, tokens), takeSlice[int32](&b.arena, tokens)
	b.x, b.pooled = takeSlice[float32](&b.arena, tokens*b.stride), takeSlice[float32](&b.arena, tokens*b.stride)
	b.query = takeSlice[float32](&b.arena, tokens*b.queryStride)
	b.n, b.pooledN = b.x, b.pooled
	if m.keep_sum {
		b.n, b.pooledN = takeSlice[float32](&b.arena, tokens*b.stride), takeSlice[float32](&b.arena, tokens*b.stride)
	}
	if err := b.arena.err; err != nil {
		b.arena.free()
		return nil, err
	}
	return b, nil
}

// acquire waits for the turn, which release gives back.
func (b *blocks) acquire(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *blocks) release() {
	b.chunk = nil
	<-b.turn
}

// take begins with a chunk.
func (b *blocks) take(c *call, k *chunk) {
	b.chunk = k
	c.starts(k, b.starts)
	c.prefixes(k, b.prefixes)
	most := b.most
	b.packs = false
	for i := range k.sequences {
		b.packs = b.packs || b.team.packed != nil && b.starts[i+1]-b.starts[i] > C.PACKED_TOKENS
		if b.far && b.starts[i+1]-b.starts[i] > farTokens {
			most = min(b.most, farBlockRows)
		}
	}
	// As many blocks for each worker, in whole tiles.
	count := roundUp((k.tokens+most-1)/most, c.plan.workers)
	b.rows = min(most, roundUp((k.tokens+count-1)/count, int(c.model.matmul.rows)))
}

// begin begins with a stage, or with packing for it.
func (b *blocks) begin(stage int, packing bool) {
	b.stage, b.packing = stage, packing
	b.next.Store(0)
}

// left says whether blocks of the stage are not begun.
func (b *blocks) left() bool { return int(b.next.Load())*b.rows < b.chunk.tokens }

// runBlocks runs blocks of the stage until none is left, or another call should go first.
func (c *call) runBlocks(s *scratch) {
	b := c.blocks
	for {
		i := int(b.next.Add(1) - 1)
		if i*b.rows >= b.chunk.tokens {
			return
		}
		begin, end := i*b.rows, min((i+1)*b.rows, b.chunk.tokens)
		c.runBlock(s, begin, end)
		select {
		case <-c.done:
			return
		default:
		}
		cost := b.chunk.cost / b.stages * (end - begin) / b.chunk.tokens
		if b.packing {
			cost = 0 // as a part of a stage
		}
		if !c.batch.Urgent && c.gate.ran(cost) {
			return
		}
	}
}

// runBlock runs the stage for rows [begin, end) of the chunk. What lasts from one stage to the next is in b, and all else in
// the worker's scratch.
func (c *call) runBlock(s *scratch, begin, end int) {
	b := c.blocks
	rows := func(of []float32) *C.float { return (*C.float)(unsafe.SliceData(of[begin*b.stride : end*b.stride])) }
	in, types, positions := s.c, b.types[begin:end], b.positions[begin:end]
	in.starts = (*C.int32_t)(unsafe.SliceData(b.starts))
	if c.batch.Prefixes != nil {
		in.prefixes = (*C.int32_t)(unsafe.SliceData(b.prefixes))
	}
	in.types, in.positions = (*C.int32_t)(unsafe.SliceData(types)), (*C.int32_t)(unsafe.SliceData(positions))
	in.x, in.n, in.pooled, in.pooled_n = rows(b.x), rows(b.n), rows(b.pooled), rows(b.pooledN)
	in.query = (*C.float)(unsafe.SliceData(b.query[begin*b.queryStride : end*b.queryStride]))
	embeddings := b.x[begin*b.stride : end*b.stride]
	if b.projected {
		embeddings = s.embeddings
	}
	in.embeddings = (*C.float)(unsafe.SliceData(embeddings))
	s.pass[0] = C.struct_pass{
		model: c.model, scratch: in, team: b.team, members: 1, tokens: C.int(b.chunk.tokens),
		sequences: C.int(len(b.chunk.sequences)), begin: C.int(begin), end: C.int(end),
	}
	if b.stage == 0 {
		c.gather(b.chunk, begin, end, embeddings, types, positions)
	}
	if c.profile != nil {
		s.pass[0].stopwatch = c.profile.watch(s, b.stage == 0)
	}
	if b.packing {
		C.pack_stage(&s.pass[0], C.int(b.stage))
		return
	}
	C.run_stage(&s.pass[0], C.int(b.stage))
	if b.stage == b.stages-1 {
		c.scatter(b.chunk, begin, end, b.starts, s.logits)
	}
}
