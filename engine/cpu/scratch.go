package cpu

/*
#include "forward.h"
*/
import "C"

import "unsafe"

// scratch is the memory that one worker computes in, for chunks of up to a number of tokens. Its Go slices are over the
// memory of its C pointers.
type scratch struct {
	worker                   int // its number, from 0 on
	arena                    arena
	c                        C.struct_scratch
	pass                     []C.struct_pass // one, here, so that no call allocates one
	types, positions, starts []int32
	embeddings, logits       []float32
}

// newScratch reserves memory for chunks of up to a number of tokens, and for attention to sequences of up to another, which may
// have prefixes; pages are only taken up when they are used. A chunk has at most as many sequences as tokens.
func newScratch(m *C.struct_model, tokens, longest int, prefixes bool) (*scratch, error) {
	s := &scratch{}
	s.pass = takeSlice[C.struct_pass](&s.arena, 1)
	h, f, heads := int(m.h_padded), int(m.f_padded), int(m.queries_padded)
	rows := func(stride int) *C.float { return (*C.float)(s.arena.take(4 * tokens * stride)) }
	stride, block := strideOf(h, 4), min(int(m.block), tokens)
	s.types, s.positions = takeSlice[int32](&s.arena, tokens), takeSlice[int32](&s.arena, tokens)
	s.starts = takeSlice[int32](&s.arena, tokens+1)
	x := takeSlice[float32](&s.arena, tokens*stride)
	s.embeddings = x
	if m.projection.panels != nil {
		s.embeddings = takeSlice[float32](&s.arena, tokens*strideOf(int(m.e_padded), 4))
	}
	s.logits = takeSlice[float32](&s.arena, tokens*int(m.labels_padded))
	s.c = C.struct_scratch{
		types: (*C.int32_t)(unsafe.SliceData(s.types)), positions: (*C.int32_t)(unsafe.SliceData(s.positions)),
		starts:     (*C.int32_t)(unsafe.SliceData(s.starts)),
		embeddings: (*C.float)(unsafe.SliceData(s.embeddings)),
		x:          (*C.float)(unsafe.SliceData(x)),
		qkv:        s.arena.take(4 * qkvElements(m, tokens)),
		context:    rows(strideOf(heads, 4)),
		inner:      s.arena.take(4 * block * strideOf(int(m.inner_padded), 4)),
		narrow:     s.arena.take((block + C.SLACK_ROWS) * strideOf(max(h, f, heads), 4) * 4),
		rows:       (*C.struct_quantised)(s.arena.take(block * C.sizeof_struct_quantised)),
		pooled:     rows(stride),
		query:      rows(strideOf(heads, 4)),
		logits:     (*C.float)(unsafe.SliceData(s.logits)),
		attention:  s.arena.take(attentionScratch(m, longest)),
	}
	s.c.n, s.c.pooled_n = s.c.x, s.c.pooled
	if m.keep_sum {
		s.c.n, s.c.pooled_n = rows(stride), rows(stride)
	}
	for i := range s.c.between {
		s.c.between[i] = rows(strideOf(int(m.head_padded), 4))
	}
	if prefixes {
		// A tile of values may read beyond its head.
		s.c.joined = (*C.float)(s.arena.take(4 * (2*longest + 1) * strideOf(roundUp(int(m.size), pad), 4)))
	}
	if err := s.arena.err; err != nil {
		s.arena.free()
		return nil, err
	}
	return s, nil
}

// qkvElements is the size of queries, keys and values of some tokens.
func qkvElements(m *C.struct_model, tokens int) int {
	// A tile of values may read beyond its head, and so beyond the last row.
	// The mean of rows uses the same memory, for rows of H.
	return (tokens + 1) * strideOf(max(int(m.queries_padded)+2*int(m.keys_padded), int(m.h_padded)), 4)
}
