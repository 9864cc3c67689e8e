package cpu

/*
#include "forward.h"

static size_t attention_scratch_of(const struct model* m, int tokens) {
	size_t most = m->attending->attention_scratch(tokens, m->size);
	for (int i = 0; i < m->layer_count; i++)
		if (m->layers[i].relative.terms && m->kernels->relative_scratch(tokens, m->size) > most)
			most = m->kernels->relative_scratch(tokens, m->size);
	return most;
}
*/
import "C"

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/metalrank/metalrank/engine/backend"
)

// call is one Forward under way, with the memory that the next one uses again.
type call struct {
	model   *C.struct_model
	words   *words
	labels  int
	plan    plan
	team    *C.struct_team
	blocks  *blocks // the backend's for such calls; nil if no sequence can be that long
	gate    *gate
	done    <-chan struct{} // of a call in blocks: closed when it should end
	running sync.WaitGroup  // tasks handed out

	batch   *backend.Batch
	out     []float32             // [B, C]
	profile *profile              // nil: not profiled
	failure atomic.Pointer[error] // one of reading embeddings; the call goes on, and returns it
}

// run is one task: it gathers its rows of the chunk, runs the forward pass in C and scatters the logits of those
// sequences that begin in its rows.
func (c *call) run(s *scratch, t task) {
	if c.profile != nil {
		c.profile.begun(s)
		defer c.profile.ended(s, time.Now())
	}
	if t.blocks {
		c.runBlocks(s)
		return
	}
	begin, end := t.member*t.chunk.tokens/t.members, (t.member+1)*t.chunk.tokens/t.members
	c.starts(t.chunk, s.starts)
	c.gather(t.chunk, begin, end, s.embeddings, s.types, s.positions)
	s.pass[0] = C.struct_pass{
		model: c.model, scratch: s.c, members: C.int(t.members), tokens: C.int(t.chunk.tokens), sequences: C.int(len(t.chunk.sequences)),
		begin: C.int(begin), end: C.int(end),
	}
	if t.members > 1 {
		s.pass[0].team = c.team
	}
	if c.profile != nil {
		s.pass[0].stopwatch = c.profile.watch(s, true)
	}
	C.forward(&s.pass[0])
	c.scatter(t.chunk, begin, end, s.starts, s.logits)
}

// starts writes the first tokens of a chunk's sequences, [B + 1], counted in the chunk.
func (c *call) starts(k *chunk, to []int32) {
	at := int32(0)
	for i, sequence := range k.sequences {
		to[i] = at
		at += c.batch.Starts[sequence+1] - c.batch.Starts[sequence]
	}
	to[len(k.sequences)] = at
}

// gather writes the word embeddings, types and positions of rows [begin, end) of a chunk.
func (c *call) gather(k *chunk, begin, end int, embeddings []float32, types, positions []int32) {
	width, stride := int(c.model.e), strideOf(int(c.model.e_padded), 4)
	at := 0 // token of the chunk
	for _, sequence := range k.sequences {
		first, last := int(c.batch.Starts[sequence]), int(c.batch.Starts[sequence+1])
		from, to := max(begin-at, 0), min(end-at, last-first) // the part of the sequence in our rows
		if from < to {
			c.words.prefetch(c.batch.IDs[first+from : first+to])
		}
		for token := first + from; token < first+to; token++ {
			row := at + token - first - begin
			types[row], positions[row] = c.batch.Types[token], c.batch.Positions[token]
			x := embeddings[row*stride : (row+1)*stride]
			if err := c.words.row(x[:width], c.batch.IDs[token]); err != nil {
				failure := err // so that only a failure is allocated
				c.failure.Store(&failure)
			}
			clear(x[width:])
		}
		at += last - first
	}
}

// prefixes writes the numbers of the sequences' prefixes in the chunk, -1 for none.
func (c *call) prefixes(k *chunk, to []int32) {
	for i, sequence := range k.sequences {
		to[i] = -1
		if len(c.batch.Prefixes) > 0 && c.batch.Prefixes[sequence] >= 0 {
			to[i] = int32(slices.Index(k.sequences[:i], c.batch.Prefixes[sequence]))
		}
	}
}

// scatter copies the logits of those sequences of a chunk whose row for the head is in rows [begin, end).
func (c *call) scatter(k *chunk, begin, end int, starts []int32, logits []float32) {
	n, labels := 0, int(c.model.labels_padded)
	for i, sequence := range k.sequences {
		row := int(starts[i]) // row_of of forward.h
		if c.model.pool == C.POOL_LAST {
			row = int(starts[i+1]) - 1
		}
		if row >= begin && row < end {
			copy(c.out[int(sequence)*c.labels:][:c.labels], logits[n*labels:])
			n++
		}
	}
}

// newTeam reserves the memory that the members of a chunk of so many tokens share.
func newTeam(a *arena, m *C.struct_model, tokens int) *C.struct_team {
	team := (*C.struct_team)(a.take(C.sizeof_struct_team))
	first, second := a.take(4*qkvElements(m, tokens)), a.take(4*qkvElements(m, tokens))
	if a.err != nil {
		return nil
	}
	team.qkv = [2]unsafe.Pointer{first, second}
	return team
}

func attentionScratch(m *C.struct_model, tokens int) int {
	return int(C.attention_scratch_of(m, C.int(tokens)))
}
