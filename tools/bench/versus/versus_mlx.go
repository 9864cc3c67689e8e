package main

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/tools/bench/versus/mlx"
)

// mlxKernels is the contender that runs MLX's kernels as one GPU's.
type mlxKernels struct {
	device *sim.Device
	files  fs.FS
	gpu    mlx.GPU
}

func (m mlxKernels) name() string { return "MLX, " + m.gpu.Name }

func (m mlxKernels) solve(p *operation) (entry, error) {
	if p.kind == onePass {
		return m.forward(p)
	}
	r, err := mlx.NewRunner(m.device, m.files, m.gpu)
	if err != nil {
		return entry{}, err
	}
	defer r.Close()
	y := m.record(r, p)
	reports, err := r.Reports()
	if err != nil {
		return entry{}, err
	}
	return entry{
		contender: m.name(), counters: total(reports), dispatches: len(reports),
		kernels: strings.Join(mlx.Kernels(reports), ", "), output: y.Values(p.rows * p.n),
	}, nil
}

func (m mlxKernels) record(r *mlx.Runner, p *operation) mlx.Array {
	in := func(name string) mlx.Array { return r.Halves(p.operands[name]) }
	switch p.kind {
	case linear:
		return r.Linear(in("x"), in("w"), in("bias"), p.rows, p.n, p.k)
	case quantized:
		return r.QuantizedLinear(in("x"), r.Bytes(p.packed), in("scales"), in("offsets"), in("bias"), p.rows, p.n, p.k, p.group, 4)
	case attention:
		return r.Attention(in("q"), in("k"), in("v"), nil, p.batch, p.length, p.heads, p.d)
	case layerNorm:
		return r.LayerNorm(in("x"), in("gamma"), in("beta"), p.rows, p.n, layerNormEpsilon)
	}
	panic(fmt.Sprintf("BUG: versus: kind %d", p.kind))
}
