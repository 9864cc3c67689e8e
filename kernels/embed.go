package kernels

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/metalrank/metalrank/metal"
)

// Embeddings are the tables of an embedding layer, [rows, H] each.
type Embeddings struct {
	Words     Matrix        // [V, H]: N is V and K is H
	Positions metal.Binding // without a buffer: none, as of the next two
	Types     metal.Binding
	Norm      metal.Binding // gamma and beta, [2, H] f32; gamma / KeptShrink [H] f32 of a Waiting one
	Epsilon   float64
	Kept      bool // the result is stored in f32, too, for a model that keeps its sums
	Waiting   bool // the result is a kept sum that waits for Norm; it is Kept
}

// Embed looks tokens up and normalises their sum (embed.metal).
type Embed struct {
	tables   Embeddings
	pipeline metal.Pipeline
}

// embedWidth is the part of a kernel's name for rows of size H: the widest that it holds in registers.
func embedWidth(hidden int) string {
	for _, widest := range []int{384, 768, 1024} {
		if hidden <= widest {
			return strconv.Itoa(widest)
		}
	}
	return "wide"
}

// NewEmbed prepares an embedding layer.
func (l *Library) NewEmbed(tables Embeddings) (*Embed, error) {
	w := &tables.Words
	if err := checkHidden("embed", w.K); err != nil {
		return nil, err
	}
	if w.Bits != 0 {
		if w.Bits != 4 && w.Bits != 8 || !slices.Contains(GroupSizes, w.GroupSize) || w.K%w.GroupSize != 0 {
			return nil, fmt.Errorf("kernels: embed: %d-bit words in groups of %d along H = %d, want 4 or 8 bits in groups of 32, 64 or 128 that divide H",
				w.Bits, w.GroupSize, w.K)
		}
	}
	if tables.Waiting && (!tables.Kept || tables.Norm.Buffer == nil) {
		return nil, fmt.Errorf("kernels: embed: a sum that waits for a norm is kept, and the norm has a gamma")
	}
	wordAlignment := l.dtype.Alignment()
	if w.Bits != 0 {
		wordAlignment = run
	}
	for _, err := range []error{
		checkAlignment("embed", "words", w.Data, wordAlignment),
		checkAlignment("embed", "positions", tables.Positions, l.dtype.Alignment()),
		checkAlignment("embed", "types", tables.Types, l.dtype.Alignment()),
		checkAlignment("embed", "vectors", tables.Norm, F32.Alignment()),
	} {
		if err != nil {
			return nil, err
		}
	}
	e := &Embed{tables: tables}
	var err error
	e.pipeline, err = l.pipeline("embed.metal", fmt.Sprintf("embed_%s_%s", l.dtype, embedWidth(w.K)),
		constants{simdgroups: rowSimdgroups, wordBits: w.Bits, parts: tables.parts(), kept: tables.Kept})
	return e, err
}

// parts returns the value of CONSTANT_PARTS in params.h.
func (t *Embeddings) parts() (parts uint32) {
	for i, has := range []bool{t.Positions.Buffer != nil, t.Types.Buffer != nil, t.Norm.Buffer != nil && !t.Waiting, t.Waiting} {
		if has {
			parts |= 1 << i
		}
	}
	return parts
}

// Record records y [T, H] for T tokens; tokens is [3, T] u32: ids, positions and types, inside their tables. sum is y in f32,
// if it is Kept; statistics are those of the sum, if it is Waiting.
func (e *Embed) Record(r *Recorder, count int, tokens, y, sum, statistics metal.Binding) error {
	if err := checkSize("embed", "T", count, count > 0, "at least 1"); err != nil {
		return err
	}
	if !e.tables.Kept {
		sum = metal.Binding{}
	}
	if !e.tables.Waiting {
		statistics = metal.Binding{}
	}
	w := &e.tables.Words
	embedArgs{uint32(count), uint32(w.K), float32(e.tables.Epsilon), uint32(w.GroupSize)}.record(r)
	r.bind(tokens, w.Data, e.tables.Positions, e.tables.Types, e.tables.Norm, y, w.Scales, w.Offsets, sum, statistics)
	return r.launch(e.pipeline, metal.Size{X: uint32(ceilDiv(count, rowSimdgroups))}, rowSimdgroups)
}
