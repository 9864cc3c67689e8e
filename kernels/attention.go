package kernels

import (
	"errors"
	"fmt"
	"math"

	"github.com/metalrank/metalrank/metal"
)

// ItemQueries is how many queries an AttentionItem has at most: a threadgroup's 4 SIMD-groups of 16, or 8 of 8.
const ItemQueries = 64

// MaxHeadSize is the greatest D of attention's heads.
const MaxHeadSize = 128

const (
	itemAlignment = 16      // of AttentionItem in params.h
	maxWindow     = 1 << 30 // twice that is a positive int of 32 bits
)

// Scores says which keys a query of attention sees, and how it scores them.
type Scores struct {
	Heads, Size int           // A, D
	KeyHeads    int           // G, a divisor of A; 0: A
	Causal      bool          // a query sees no key behind it
	Window      int           // a query at i sees keys from i - Window to i + Window; 0: all
	Slopes      metal.Binding // [A] f32: a score loses slope times the distance of its tokens (ALiBi); no buffer: none
	Relative    *Relative     // disentangled attention; nil: none
}

// Relative are keys and queries of positions: the score of a query i and a key j is (q·k + q·K[r] + k·Q[r]) / √(D n), where r is
// the row for i - j, and n is how many of the three terms there are.
type Relative struct {
	Keys, Queries bool // which of K and Q there are: one of them at least
	// Table is [.., A·D], as a product makes it whose weights are those of keys of positions; with both, [.., 2·A·D]: a row of K,
	// and behind it Q's. Elements are of the library's type.
	Table metal.Binding
	Rows  metal.Binding // [2 Reach + 1] u32: the row of a distance, from -Reach on; farther ones have that of the nearest
	Reach int
}

func (r *Relative) check(dtype DType) error {
	if r == nil {
		return nil
	}
	return errors.Join(
		checkSize("attention", "terms of positions", 0, r.Keys || r.Queries, "at least 1"),
		checkSize("attention", "reach", r.Reach, r.Reach >= 0 && r.Reach <= maxWindow, "0 to 2^30"),
		checkAlignment("attention", "rows of the table of positions", r.Table, dtype.Alignment()),
		checkAlignment("attention", "numbers of rows of positions", r.Rows, 4),
	)
}

// products is how many products of vectors a score is the sum of.
func (s *Scores) products() int {
	n := 1
	if r := s.Relative; r != nil && r.Keys {
		n++
	}
	if r := s.Relative; r != nil && r.Queries {
		n++
	}
	return n
}

// Attention is softmax attention over packed sequences (attention.metal).
type Attention struct {
	scores     Scores
	pipeline   metal.Pipeline
	simdgroups int
}

// NewAttention prepares attention. Errors: sizes that it cannot take, *metal.CompileError, *metal.LimitError.
func (l *Library) NewAttention(s Scores) (*Attention, error) {
	if s.KeyHeads == 0 {
		s.KeyHeads = s.Heads
	}
	for _, err := range []error{
		checkSize("attention", "A", s.Heads, s.Heads > 0, "at least 1"),
		checkSize("attention", "G", s.KeyHeads, s.KeyHeads > 0 && s.Heads%s.KeyHeads == 0, "a divisor of A"),
		checkSize("attention", "D", s.Size, s.Size > 0 && s.Size%4 == 0 && s.Size <= MaxHeadSize, "a multiple of 4 up to 128"),
		checkSize("attention", "window", s.Window, s.Window >= 0 && s.Window <= maxWindow, "0 to 2^30"),
		checkAlignment("attention", "slopes", s.Slopes, F32.Size()), s.Relative.check(l.dtype),
	} {
		if err != nil {
			return nil, err
		}
	}
	widest := 32
	for s.Size > widest {
		widest *= 2
	}
	a := &Attention{scores: s, simdgroups: 4}
	if widest == MaxHeadSize {
		a.simdgroups = 8
	}
	c := constants{
		simdgroups: a.simdgroups, headSize: s.Size, window: s.Window, slopes: s.Slopes.Buffer != nil, causal: s.Causal, sharing: s.Heads / s.KeyHeads,
	}
	if s.Relative != nil {
		c.positionKeys, c.positionQueries = s.Relative.Keys, s.Relative.Queries
	}
	var err error
	a.pipeline, err = l.pipeline("attention.metal", fmt.Sprintf("attention_%s_%d", l.dtype, widest), c)
	return a, err
}

// Placed says how the queries of an item stand to its keys.
type Placed uint32

// As params.h has them.
const (
	ByRow Placed = iota // items are of AppendItems
	First               // of AppendSingleItems: Q and Out have one row for each sequence
	Last                // the same of last tokens; causal attention takes it for all items
)

// AttentionRows are the operands of one run. Strides are in elements.
type AttentionRows struct {
	Q           metal.Binding // [.., QueryStride]: columns [hD, (h+1)D) are head h's, as in all others
	K, V        metal.Binding // [.., KeyStride]: the same of heads of keys
	QueryStride int
	KeyStride   int
	Items       metal.Binding // [Count] AttentionItem, made for the same window
	Prefixes    metal.Binding // [Count] AttentionPrefix, of causal attention
	Count       int
	Out         metal.Binding // [.., OutStride]
	OutStride   int
	Placed      Placed
}

// Record records one run.
func (a *Attention) Record(r *Recorder, rows AttentionRows) error {
	if err := checkSize("attention", "items", rows.Count, rows.Count > 0, "at least 1"); err != nil {
		return err
	}
	if err := checkAlignment("attention", "items", rows.Items, itemAlignment); err != nil {
		return err
	}
	if err := checkAlignment("attention", "prefixes", rows.Prefixes, 4); err != nil {
		return err
	}
	if a.scores.Causal {
		rows.Placed = Last
	} else {
		rows.Prefixes = metal.Binding{}
	}
	for i, stride := range [...]int{rows.QueryStride, rows.OutStride, rows.KeyStride} {
		heads := a.scores.Heads
		if i == 2 {
			heads = a.scores.KeyHeads
		}
		ok := stride%4 == 0 && stride >= heads*a.scores.Size
		if err := checkSize("attention", "stride", stride, ok, "a multiple of 4, and not less than all heads"); err != nil {
			return err
		}
	}
	args := attentionArgs{
		QueryStride: uint32(rows.QueryStride), KeyStride: uint32(rows.KeyStride), OutStride: uint32(rows.OutStride),
		Scale: float32(math.Log2E / math.Sqrt(float64(a.scores.Size*a.scores.products()))), Placed: uint32(rows.Placed),
	}
	var table, tableRows metal.Binding
	if p := a.scores.Relative; p != nil {
		args.TableStride, args.Reach = uint32(a.scores.Heads*a.scores.Size*(a.scores.products()-1)), uint32(p.Reach)
		table, tableRows = p.Table, p.Rows
	}
	args.record(r)
	r.bind(rows.Q, rows.K, rows.V, rows.Items, rows.Out, a.scores.Slopes, table, tableRows, rows.Prefixes)
	return r.launch(a.pipeline, metal.Size{X: uint32(rows.Count), Y: uint32(a.scores.Heads)}, a.simdgroups)
}
