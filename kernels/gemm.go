package kernels

import (
	"fmt"

	"github.com/metalrank/metalrank/metal"
)

// Linear describes a linear layer, y = act(a wT + bias + residual).
type Linear struct {
	Weights    Matrix
	Bias       metal.Binding // [N] f32; [2, N] of a layer that is Kept or, unless RMS is set, Normed
	Activation Activation
	Residual   bool // Rows.Residual is added
	// GatherA makes row m of y from row Rows.Index[m] of a, and GatherResidual adds row Rows.Index[m] of the residual,
	// each instead of row m.
	GatherA, GatherResidual bool
	// Gated makes y [M, N/2]: of columns 2i and 2i + 1 before it, act(column 2i) times column 2i + 1.
	Gated bool
	// Turned is how many columns, from the first on, get rotary positions: pair i of each head of HeadSize columns is turned
	// by Turns [P, HeadSize/2], cosine and sine as float2, at row Rows.Positions of its token.
	Turned, HeadSize int
	Turns            metal.Binding
	// Normed makes y of the layer norm of a kept sum, with Epsilon. a is Rows.Y of the layer that made the sum; gamma is in that
	// layer's operand and in the second row of Bias, [N]: the sums of gamma / KeptShrink times w. beta times w is in the first.
	Normed  bool
	Epsilon float64
	RMS     bool // that norm leaves the mean where it is, and Bias needs no second row
	// Kept makes a kept sum. The second row of Bias, [N], is the gamma / KeptShrink of the norm that follows; ones where none
	// does. Rows.Residual is f32.
	Kept    bool
	FewRows bool // runs are of few rows, one or so for each sequence: see Shape
	// Variant names the one of Candidates that all runs take; "": each run chooses by its rows, see Library.Pin.
	Variant string
}

// A kept sum's constants, as params.h has them.
const (
	KeptShrink = 16
	keptStrip  = 64
)

// StatisticsSize returns the bytes of a row's statistics, for kept sums of N columns.
func StatisticsSize(n int) int { return 8 * ceilDiv(n, keptStrip) }

// Rows are the operands of one run of a linear layer.
type Rows struct {
	M          int
	A          metal.Binding // [M or T, K]
	Y          metal.Binding // [M, N], or [M, N/2]
	Residual   metal.Binding // [M or T, N], if the layer has one
	Index      metal.Binding // [M] u32, if the layer gathers
	Positions  metal.Binding // [M or T] u32, if the layer has rotary positions
	Statistics metal.Binding // [M or T, StatisticsSize] of a, if the layer is Normed; of the sum, if it is Kept
	Sum        metal.Binding // [M, N] f32, if the layer is Kept; may be Residual, unless that is gathered
}

// Shape returns the layer as far as the choice of a variant depends on it. With a norm, FewRows makes no difference: a threadgroup
// makes whole rows, and has no SIMD-groups left that could share a sum. Nor does it with an epilogue of gates, positions or kept
// sums, which gemm_split.metal does not have.
func (l *Linear) Shape(dtype DType, norm bool) Shape {
	return Shape{Norm: norm, Type: dtype, Bits: l.Weights.Bits, N: l.Weights.N, K: l.Weights.K, FewRows: l.FewRows && !norm && l.plain()}
}

// plain says whether the epilogue has only what a BERT needs.
func (l *Linear) plain() bool { return !l.Gated && l.Turned == 0 && !l.Normed && !l.Kept }

// Gemm is a linear layer (gemm.metal, gemm_quant.metal).
type Gemm struct{ *Product }

// NewGemm prepares a linear layer. Errors: sizes that it cannot take, *metal.CompileError, *metal.LimitError.
func (l *Library) NewGemm(linear Linear) (*Gemm, error) {
	if err := linear.Weights.check("gemm", l.dtype); err != nil {
		return nil, err
	}
	if t := linear.Turned; t != 0 {
		d := linear.HeadSize
		if err := checkSize("gemm", "D", d, d > 0 && d%2 == 0, "a positive multiple of 2"); err != nil {
			return nil, err
		}
		if err := checkSize("gemm", "columns with positions", t, t%d == 0 && t <= linear.Weights.N, "whole heads, at most N"); err != nil {
			return nil, err
		}
	}
	if linear.Kept && (linear.Gated || linear.Turned != 0 || linear.Normed || linear.Activation != None) {
		return nil, fmt.Errorf("kernels: gemm: a kept sum is of a plain layer with a residual")
	}
	p, err := l.newProduct(Product{linear: linear, vectors: linear.Bias, epsilon: float32(linear.Epsilon)})
	return &Gemm{p}, err
}

// elements is how many of a the kernel may reach: where rows are gathered, as many as the buffer has.
func (l *Linear) elements(rows *Rows, dtype DType) int {
	if l.GatherA && rows.A.Buffer != nil {
		return (len(rows.A.Buffer.Bytes()) - rows.A.OffsetBytes) / dtype.Size()
	}
	return rows.M * l.Weights.K
}

// bind sets arguments and buffers as gemm.metal, gemm_norm.metal and their quantised forms have them. vectors are bias
// and, for a norm, gamma and beta.
func (l *Linear) bind(r *Recorder, dtype DType, rows *Rows, vectors metal.Binding, epsilon float32) error {
	for _, err := range []error{
		checkSize("gemm", "M", rows.M, rows.M > 0, "at least 1"),
		checkSize("gemm", "elements of a", l.elements(rows, dtype), l.elements(rows, dtype) <= maxElements, "at most 2^32"),
		checkAlignment("gemm", "rows of a", rows.A, dtype.Alignment()), checkAlignment("gemm", "rows of y", rows.Y, dtype.Alignment()),
		checkAlignment("gemm", "rows of the residual", rows.Residual, dtype.Alignment()),
	} {
		if err != nil {
			return err
		}
	}
	gemmArgs{uint32(rows.M), uint32(l.Weights.N), uint32(l.Weights.K), epsilon}.record(r)
	var residual, index, turns, positions, statistics, sum metal.Binding
	if l.Residual {
		residual = rows.Residual
	}
	if l.GatherA || l.GatherResidual {
		index = rows.Index
	}
	if l.Turned != 0 {
		turns, positions = l.Turns, rows.Positions
	}
	if l.Normed || l.Kept {
		statistics = rows.Statistics
	}
	if l.Kept {
		sum = rows.Sum
	}
	w := &l.Weights
	if w.Bits == 0 {
		r.bind(rows.A, w.Data, vectors, rows.Y, residual, index, turns, positions, statistics, sum)
	} else {
		r.bind(rows.A, w.Data, w.Scales, w.Offsets, vectors, rows.Y, residual, index, turns, positions, statistics, sum)
	}
	return nil
}
