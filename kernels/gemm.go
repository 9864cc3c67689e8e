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
}

// Rows are the operands of one run of a linear layer.
type Rows struct {
	M        int
	A        metal.Binding // [M or T, K]
	Y        metal.Binding // [M, N]
	Residual metal.Binding // [M or T, N], if the layer has one
	Index    metal.Binding // [M] u32, if the layer gathers
}

// Gemm is a linear layer (gemm.metal, gemm_quant.metal).
type Gemm struct {
	linear    Linear
	dtype     DType
	chooser   chooser
	pipelines [3]metal.Pipeline // by gemmTiles
}

// NewGemm prepares a linear layer. Errors: sizes that it cannot take, *metal.CompileError.
func (l *Library) NewGemm(linear Linear) (*Gemm, error) {
	if err := linear.Weights.check("gemm", l.dtype); err != nil {
		return nil, err
	}
	g := &Gemm{linear: linear, dtype: l.dtype, chooser: l.chooser("gemm", gemmTiles)}
	for i := range gemmTiles {
		var err error
		if g.pipelines[i], err = l.linearPipeline("gemm", &linear, &gemmTiles[i]); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// linearPipeline specialises the variant of gemm or gemm_norm for a tile.
func (l *Library) linearPipeline(kernel string, linear *Linear, t *tile) (metal.Pipeline, error) {
	file := kernel + ".metal"
	constants := []metal.Constant{
		metal.Uint(constantActivation, uint32(linear.Activation)),
		metal.Bool(constantResidual, linear.Residual),
		metal.Bool(constantGatherA, linear.GatherA),
		metal.Bool(constantGatherResidual, linear.GatherResidual),
		metal.Uint(constantSimdgroups, uint32(t.simdgroups(linear.Weights.N))),
	}
	if linear.Weights.Bits != 0 {
		file = kernel + "_quant.metal"
		constants = append(constants, metal.Uint(constantGroupSize, uint32(linear.Weights.GroupSize)))
	}
	return l.pipeline(file, kernel+"_"+linear.Weights.prefix()+l.dtype.String()+"_nt_"+t.name, constants...)
}

// Record records one run.
func (g *Gemm) Record(r *Recorder, rows Rows) error {
	n := g.linear.Weights.N
	i := g.chooser.choose(gemmTiles, rows.M, n, g.linear.Weights.K)
	if err := g.linear.bind(r, g.dtype, &rows, g.linear.Bias, 0); err != nil {
		return err
	}
	columns, groups := gemmTiles[i].groups(rows.M, n)
	return r.launch(g.pipelines[i], metal.Size{X: uint32(columns), Y: uint32(groups)}, gemmTiles[i].simdgroups(n))
}

// bind sets arguments and buffers as gemm.metal, gemm_norm.metal and their quantised forms have them. vectors are bias
// and, for a norm, gamma and beta.
func (l *Linear) bind(r *Recorder, dtype DType, rows *Rows, vectors metal.Binding, epsilon float32) error {
	for _, err := range []error{
		checkSize("gemm", "M", rows.M, rows.M > 0, "at least 1"),
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
