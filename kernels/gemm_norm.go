package kernels

import (
	"github.com/metalrank/metalrank/metal"
)

// MaxGemmNormColumns is the widest row that a GemmNorm makes. Wider rows are better made by a Gemm and a Norm: the registers of
// a GPU's core hold the sums of some 16,000 elements, so that of wide rows it makes few, and all weights are read for these.
const MaxGemmNormColumns = maxGroupSimdgroups * 48

// GemmNorm is a linear layer with residual and layer norm (gemm_norm.metal, gemm_norm_quant.metal).
type GemmNorm struct{ *Product }

// NewGemmNorm prepares one. vectors are bias, gamma and beta, [3, N] f32; the layer's Bias is not used. Errors: sizes
// that it cannot take, *metal.CompileError, and *metal.LimitError where the device lets no variant have the threads that a
// row needs: then a Gemm and a Norm do the same.
func (l *Library) NewGemmNorm(linear Linear, vectors metal.Binding, epsilon float64) (*GemmNorm, error) {
	n := linear.Weights.N
	if err := linear.Weights.check("gemm_norm", l.dtype); err != nil {
		return nil, err
	}
	if err := checkSize("gemm_norm", "N", n, n%side == 0, "a multiple of 8"); err != nil {
		return nil, err
	}
	p, err := l.newProduct(Product{linear: linear, norm: true, vectors: vectors, epsilon: float32(epsilon)})
	return &GemmNorm{p}, err
}
