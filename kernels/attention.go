package kernels

import (
	"fmt"
	"math"

	"github.com/metalrank/metalrank/metal"
)

// ItemQueries is how many queries an AttentionItem has at most: a threadgroup's 4 SIMD-groups of 16.
const ItemQueries = 64

const (
	attentionSimdgroups = 4
	itemAlignment       = 16 // of AttentionItem in params.h
	maxHeadSize         = 64
)

// Attention is softmax attention over packed sequences (attention.metal).
type Attention struct {
	heads, headSize int
	pipeline        metal.Pipeline
}

// NewAttention prepares attention of A heads of size D.
func (l *Library) NewAttention(heads, headSize int) (*Attention, error) {
	for _, err := range []error{
		checkSize("attention", "A", heads, heads > 0, "at least 1"),
		checkSize("attention", "D", headSize, headSize > 0 && headSize%4 == 0 && headSize <= maxHeadSize, "a multiple of 4 up to 64"),
	} {
		if err != nil {
			return nil, err
		}
	}
	widest := 32
	if headSize > widest {
		widest = 64
	}
	a := &Attention{heads: heads, headSize: headSize}
	var err error
	a.pipeline, err = l.pipeline("attention.metal", fmt.Sprintf("attention_%s_%d", l.dtype, widest),
		constants{simdgroups: attentionSimdgroups, headSize: headSize})
	return a, err
}

// AttentionRows are the operands of one run. Strides are in elements.
type AttentionRows struct {
	Q           metal.Binding // [.., QueryStride]: columns [hD, (h+1)D) are head h's, as in all others
	K, V        metal.Binding // [.., KeyStride]
	QueryStride int
	KeyStride   int
	Items       metal.Binding // [Count] AttentionItem
	Count       int
	Out         metal.Binding // [.., OutStride]
	OutStride   int
}

// Record records one run.
func (a *Attention) Record(r *Recorder, rows AttentionRows) error {
	if err := checkSize("attention", "items", rows.Count, rows.Count > 0, "at least 1"); err != nil {
		return err
	}
	if err := checkAlignment("attention", "items", rows.Items, itemAlignment); err != nil {
		return err
	}
	for _, stride := range [...]int{rows.QueryStride, rows.KeyStride, rows.OutStride} {
		ok := stride%4 == 0 && stride >= a.heads*a.headSize
		if err := checkSize("attention", "stride", stride, ok, "a multiple of 4, and not less than all heads"); err != nil {
			return err
		}
	}
	scale := float32(math.Log2E / math.Sqrt(float64(a.headSize)))
	attentionArgs{uint32(rows.QueryStride), uint32(rows.KeyStride), uint32(rows.OutStride), scale}.record(r)
	r.bind(rows.Q, rows.K, rows.V, rows.Items, rows.Out)
	return r.launch(a.pipeline, metal.Size{X: uint32(rows.Count), Y: uint32(a.heads)}, attentionSimdgroups)
}

// AppendItems appends the work of attention of every token to every token of its sequence. starts is [B+1]: the first
// row of each sequence, and the number of rows.
func AppendItems(items []AttentionItem, starts []int32) []AttentionItem {
	for i := 1; i < len(starts); i++ {
		begin, end := uint32(starts[i-1]), uint32(starts[i])
		for q := begin; q < end; q += ItemQueries {
			items = append(items, AttentionItem{Key: begin, Keys: end - begin, Query: q, Queries: min(end-q, ItemQueries)})
		}
	}
	return items
}

// AppendFirstItems appends the work of attention of the first token of every sequence alone; q and out have one row per
// sequence.
func AppendFirstItems(items []AttentionItem, starts []int32) []AttentionItem {
	for i := 1; i < len(starts); i++ {
		begin, end := uint32(starts[i-1]), uint32(starts[i])
		items = append(items, AttentionItem{Key: begin, Keys: end - begin, Query: uint32(i - 1), Queries: 1})
	}
	return items
}
