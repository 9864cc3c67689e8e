package kernels

import (
	"fmt"

	"github.com/metalrank/metalrank/metal"
)

// MaxHidden is the longest row that a SIMD-group normalises in registers (norm.h).
const MaxHidden = 4096

// rowSimdgroups is how many SIMD-groups a threadgroup of embed.metal or norm.metal has. They are independent of each
// other; several of them only make fewer threadgroups.
const rowSimdgroups = 4

// normRows is how many rows of size H a SIMD-group of norm.metal holds: at most 64 registers of them to a lane.
func normRows(hidden int) int {
	switch {
	case hidden <= 512:
		return 4
	case hidden <= 1024:
		return 2
	}
	return 1
}

// Norm is residual and layer norm over rows (norm.metal).
type Norm struct {
	hidden   int
	vectors  metal.Binding
	epsilon  float32
	pipeline metal.Pipeline
	residual bool
}

// NewNorm prepares one for rows [H]; vectors are gamma and beta, [2, H] f32.
func (l *Library) NewNorm(hidden int, vectors metal.Binding, epsilon float64, residual bool) (*Norm, error) {
	if err := checkHidden("norm", hidden); err != nil {
		return nil, err
	}
	n := &Norm{hidden: hidden, vectors: vectors, epsilon: float32(epsilon), residual: residual}
	var err error
	n.pipeline, err = l.pipeline("norm.metal", fmt.Sprintf("norm_%s_%d", l.dtype, normRows(hidden)),
		metal.Bool(constantResidual, residual), metal.Uint(constantRowVectors, rowVectors(hidden)))
	return n, err
}

// Record records y = norm(x + residual) over rows; all are [rows, H], and y may be x.
func (n *Norm) Record(r *Recorder, rows int, x, y, residual metal.Binding) error {
	if err := checkSize("norm", "rows", rows, rows > 0, "at least 1"); err != nil {
		return err
	}
	if !n.residual {
		residual = metal.Binding{}
	}
	normArgs{uint32(rows), uint32(n.hidden), n.epsilon}.record(r)
	r.bind(x, n.vectors, y, residual)
	return r.launch(n.pipeline, metal.Size{X: uint32(ceilDiv(rows, rowSimdgroups*normRows(n.hidden)))}, rowSimdgroups)
}

// rowVectors is how many vectors of four of a row each lane of a SIMD-group holds.
func rowVectors(hidden int) uint32 { return uint32(ceilDiv(hidden, 4*simdWidth)) }

func checkHidden(operation string, hidden int) error {
	return checkSize(operation, "H", hidden, hidden > 0 && hidden%4 == 0 && hidden <= MaxHidden, "a multiple of 4 up to 4096")
}
