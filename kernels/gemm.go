package kernels

import (
	"github.com/metalrank/metalrank/metal"
)

// Linear describes a linear layer, y = act(a wT + bias + residual).
type Linear struct {
	Weights    Matrix
	Bias       metal.Binding // [N] f32
	Activation Activation
	Residual   bool // Rows.Residual is added
	// GatherA makes row m of y from row Rows.Index[m] of a, and GatherResidual adds row Rows.Index[m] of the residual,
	// each instead of row m.
	GatherA, GatherResidual bool
	// Variant names the one of Candidates that all runs take; "": each run chooses by its rows, see Library.Pin.
	Variant string
}

// Rows are the operands of one run of a linear layer.
type Rows struct {
	M        int
	A        metal.Binding // [M or T, K]
	Y        metal.Binding // [M, N]
	Residual metal.Binding // [M or T, N], if the layer has one
	Index    metal.Binding // [M] u32, if the layer gathers
}

// Shape returns the layer as far as the choice of a variant depends on it.
func (l *Linear) Shape(dtype DType, norm bool) Shape {
	return Shape{Norm: norm, Type: dtype, Bits: l.Weights.Bits, N: l.Weights.N, K: l.Weights.K}
}

// Gemm is a linear layer (gemm.metal, gemm_quant.metal).
type Gemm struct{ *Product }

// NewGemm prepares a linear layer. Errors: sizes that it cannot take, *metal.CompileError, *metal.LimitError.
func (l *Library) NewGemm(linear Linear) (*Gemm, error) {
	if err := linear.Weights.check("gemm", l.dtype); err != nil {
		return nil, err
	}
	p, err := l.newProduct(Product{linear: linear, vectors: linear.Bias})
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
	residual, index := metal.Binding{}, metal.Binding{}
	if l.Residual {
		residual = rows.Residual
	}
	if l.GatherA || l.GatherResidual {
		index = rows.Index
	}
	w := &l.Weights
	if w.Bits == 0 {
		r.bind(rows.A, w.Data, vectors, rows.Y, residual, index)
	} else {
		r.bind(rows.A, w.Data, w.Scales, w.Offsets, vectors, rows.Y, residual, index)
	}
	return nil
}
