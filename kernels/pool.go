package kernels

import (
	"github.com/metalrank/metalrank/metal"
)

// Pool is the mean of each sequence's rows (pool.metal).
type Pool struct {
	hidden   int
	norm     metal.Binding
	epsilon  float32
	pipeline metal.Pipeline
}

// Sizes of pool.metal.
const (
	poolColumns    = 128
	poolSimdgroups = 8
)

// NewPool prepares one for rows [H]. norm is gamma and beta, [2, H] f32, of the norm of kept sums, which leaves the mean where it
// is if rms; without a buffer the rows are taken as they are.
func (l *Library) NewPool(hidden int, norm metal.Binding, epsilon float64, rms bool) (*Pool, error) {
	if err := checkHidden("pool", hidden); err != nil {
		return nil, err
	}
	p := &Pool{hidden: hidden, norm: norm, epsilon: float32(epsilon)}
	var err error
	p.pipeline, err = l.pipeline("pool.metal", "pool_"+l.dtype.String(), constants{simdgroups: poolSimdgroups, normed: norm.Buffer != nil, rms: rms})
	return p, err
}

// Record records y [B, H] for B sequences. x is [T, H], of a kept sum in f32 and with its statistics; starts is [B + 1] u32.
func (p *Pool) Record(r *Recorder, sequences int, x, statistics, starts, y metal.Binding) error {
	if err := checkSize("pool", "B", sequences, sequences > 0, "at least 1"); err != nil {
		return err
	}
	if p.norm.Buffer == nil {
		statistics = metal.Binding{}
	}
	poolArgs{uint32(p.hidden), p.epsilon}.record(r)
	r.bind(x, starts, y, p.norm, statistics)
	return r.launch(p.pipeline, metal.Size{X: uint32(ceilDiv(p.hidden, poolColumns)), Y: uint32(sequences)}, poolSimdgroups)
}
