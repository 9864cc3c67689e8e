package kernels

import "github.com/metalrank/metalrank/metal"

// constants are the values of the function constants in params.h.
type constants struct {
	activation                        Activation
	residual, gatherA, gatherResidual bool
	simdgroups                        int // that a threadgroup is launched with
	headSize, groupSize, wordBits     int
	window                            int
	slopes                            bool
	positionKeys, positionQueries     bool
	gated                             bool
	turned                            int // columns
	normed, kept                      bool
	parts                             uint32
	dense, headNorm                   bool
	rms, causal                       bool
	sharing                           int // heads of queries
}

// values returns a value for each of them, by its index in params.h. Metal makes no pipeline of a kernel that uses a constant
// without a value, and ignores values of constants that it does not use.
func (c *constants) values() []metal.Constant {
	return []metal.Constant{
		metal.Uint(0, uint32(c.activation)),
		metal.Bool(1, c.residual), metal.Bool(2, c.gatherA), metal.Bool(3, c.gatherResidual),
		metal.Uint(4, uint32(c.simdgroups)),
		metal.Uint(5, uint32(c.headSize)), metal.Uint(6, uint32(c.groupSize)), metal.Uint(7, uint32(c.wordBits)),
		metal.Uint(8, uint32(c.window)), metal.Bool(9, c.slopes),
		metal.Bool(10, c.positionKeys), metal.Bool(11, c.positionQueries),
		metal.Bool(12, c.gated), metal.Uint(13, uint32(c.turned)), metal.Bool(14, c.normed), metal.Bool(15, c.kept),
		metal.Uint(16, c.parts), metal.Bool(17, c.dense), metal.Bool(18, c.headNorm),
		metal.Bool(19, c.rms), metal.Bool(20, c.causal), metal.Uint(21, uint32(c.sharing)),
	}
}
