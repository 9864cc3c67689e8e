package kernels

import (
	"github.com/metalrank/metalrank/metal"
)

// GemmNorm is a linear layer with residual and layer norm (gemm_norm.metal, gemm_norm_quant.metal).
type GemmNorm struct {
	linear    Linear
	dtype     DType
	vectors   metal.Binding
	epsilon   float32
	chooser   chooser
	pipelines [3]metal.Pipeline // by gemmNormTiles
}

// MaxGemmNormColumns is the widest row that a GemmNorm makes.
const MaxGemmNormColumns = maxGroupSimdgroups * 48

// NewGemmNorm prepares one. vectors are bias, gamma and beta, [3, N] f32; the layer's Bias is not used. Errors: sizes
// that it cannot take, *metal.CompileError, and *metal.LimitError where the device lets the kernel have fewer threads
// than a row needs: then a Gemm and a Norm do the same.
func (l *Library) NewGemmNorm(linear Linear, vectors metal.Binding, epsilon float64) (*GemmNorm, error) {
	n := linear.Weights.N
	if err := linear.Weights.check("gemm_norm", l.dtype); err != nil {
		return nil, err
	}
	if err := checkSize("gemm_norm", "N", n, n%side == 0, "a multiple of 8"); err != nil {
		return nil, err
	}
	if n > MaxGemmNormColumns {
		return nil, &metal.LimitError{Kernel: "gemm_norm", What: "columns", Got: uint64(n), Limit: MaxGemmNormColumns}
	}
	g := &GemmNorm{
		linear: linear, dtype: l.dtype, vectors: vectors, epsilon: float32(epsilon), chooser: l.chooser("gemm_norm", gemmNormTiles),
	}
	for i := range gemmNormTiles {
		pipeline, err := l.linearPipeline("gemm_norm", &linear, &gemmNormTiles[i])
		if err != nil {
			return nil, err
		}
		info := pipeline.Info()
		if threads := simdWidth * gemmNormTiles[i].simdgroups(n); threads > info.MaxThreads {
			return nil, &metal.LimitError{
				Kernel: info.Kernel, What: "threads in a threadgroup", Got: uint64(threads), Limit: uint64(info.MaxThreads),
			}
		}
		g.pipelines[i] = pipeline
	}
	return g, nil
}

// Record records one run.
func (g *GemmNorm) Record(r *Recorder, rows Rows) error {
	n := g.linear.Weights.N
	i := g.chooser.choose(gemmNormTiles, rows.M, n, g.linear.Weights.K)
	if err := g.linear.bind(r, g.dtype, &rows, g.vectors, g.epsilon); err != nil {
		return err
	}
	_, groups := gemmNormTiles[i].groups(rows.M, n)
	return r.launch(g.pipelines[i], metal.Size{X: uint32(groups)}, gemmNormTiles[i].simdgroups(n))
}
