package kernels

import (
	"fmt"
	"slices"

	"github.com/metalrank/metalrank/metal"
)

// MaxHidden is the longest row that Norm, Embed and Head take.
const MaxHidden = 4096

// rowSimdgroups is how many SIMD-groups a threadgroup of embed.metal or norm.metal has. They are independent of each
// other; several of them only make fewer threadgroups.
const rowSimdgroups = 4

// normVariant is an instantiation of norm.metal: a SIMD-group holds rows of up to so many elements, at most 64 registers of
// them to a lane.
type normVariant struct {
	name         string // suffix of the kernels' names
	rows, widest int
}

var normVariants = []normVariant{{"4x512", 4, 512}, {"2x768", 2, 768}, {"2x1024", 2, 1024}, {"wide", 1, MaxHidden}}

// Norm is residual and layer norm over rows (norm.metal).
type Norm struct {
	hidden   int
	rows     int // of a SIMD-group
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
	v := normVariants[slices.IndexFunc(normVariants, func(v normVariant) bool { return hidden <= v.widest })]
	n := &Norm{hidden: hidden, rows: v.rows, vectors: vectors, epsilon: float32(epsilon), residual: residual}
	var err error
	n.pipeline, err = l.pipeline("norm.metal", fmt.Sprintf("norm_%s_%s", l.dtype, v.name),
		constants{simdgroups: rowSimdgroups, residual: residual})
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
	return r.launch(n.pipeline, metal.Size{X: uint32(ceilDiv(rows, rowSimdgroups*n.rows))}, rowSimdgroups)
}

func checkHidden(operation string, hidden int) error {
	return checkSize(operation, "H", hidden, hidden > 0 && hidden%4 == 0 && hidden <= MaxHidden, "a multiple of 4 up to 4096")
}
