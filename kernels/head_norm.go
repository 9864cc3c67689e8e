package kernels

import "github.com/metalrank/metalrank/metal"

// HeadNorms are the RMS norms of heads of queries and of keys, before rotary positions.
type HeadNorms struct {
	Queries, Keys       int           // heads of each; queries come first
	Size                int           // D
	Vectors             metal.Binding // gamma and beta of queries, gamma and beta of keys, [4, D] f32
	Epsilon, KeyEpsilon float64
	Turns               metal.Binding // [P, D/2]: cosine and sine as float2 of pairs of neighbours; no buffer: nothing is turned
	Gather              bool          // row m has the position of row Index[m]
}

// HeadNorm makes norms of heads (head_norm.metal).
type HeadNorm struct {
	norms     HeadNorms
	pipeline  metal.Pipeline
	alignment int // of rows
}

// headNormSimdgroups is how many heads a threadgroup has.
const headNormSimdgroups = 8

// NewHeadNorm prepares one. Errors: sizes that it cannot take, *metal.CompileError, *metal.LimitError.
func (l *Library) NewHeadNorm(n HeadNorms) (*HeadNorm, error) {
	for _, err := range []error{
		checkSize("head_norm", "heads", n.Queries+n.Keys, n.Queries >= 0 && n.Keys >= 0 && n.Queries+n.Keys > 0, "at least 1"),
		checkSize("head_norm", "D", n.Size, n.Size > 0 && n.Size%4 == 0 && n.Size <= MaxHeadSize, "a multiple of 4 up to 128"),
		checkAlignment("head_norm", "vectors", n.Vectors, F32.Alignment()),
		checkAlignment("head_norm", "turns", n.Turns, F32.Alignment()),
	} {
		if err != nil {
			return nil, err
		}
	}
	h := &HeadNorm{norms: n, alignment: l.dtype.Alignment()}
	c := constants{simdgroups: headNormSimdgroups, headSize: n.Size, gatherA: n.Gather}
	if n.Turns.Buffer != nil {
		c.turned = (n.Queries + n.Keys) * n.Size
	}
	var err error
	h.pipeline, err = l.pipeline("head_norm.metal", "head_norm_"+l.dtype.String(), c)
	return h, err
}

// Record records the norms of the first columns of x [rows, stride], in place. positions are [rows] u32, or with Gather [T] and
// index is [rows] u32; both are for heads that are turned.
func (h *HeadNorm) Record(r *Recorder, rows int, x metal.Binding, stride int, positions, index metal.Binding) error {
	n := &h.norms
	heads := n.Queries + n.Keys
	for _, err := range []error{
		checkSize("head_norm", "rows", rows, rows > 0, "at least 1"),
		checkSize("head_norm", "stride", stride, stride%4 == 0 && stride >= heads*n.Size, "a multiple of 4, and not less than all heads"),
		checkAlignment("head_norm", "rows of x", x, h.alignment),
	} {
		if err != nil {
			return err
		}
	}
	if n.Turns.Buffer == nil {
		positions = metal.Binding{}
	}
	if n.Turns.Buffer == nil || !n.Gather {
		index = metal.Binding{}
	}
	headNormArgs{uint32(n.Queries), uint32(n.Keys), uint32(stride), float32(n.Epsilon), float32(n.KeyEpsilon)}.record(r)
	r.bind(x, n.Vectors, n.Turns, positions, index)
	return r.launch(h.pipeline, metal.Size{X: uint32(ceilDiv(heads, headNormSimdgroups)), Y: uint32(rows)}, headNormSimdgroups)
}
