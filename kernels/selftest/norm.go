package selftest

import (
	"fmt"
	"math"
	"slices"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
)

// normalise replaces a row x by its layer norm, and allowed, the errors of x, by the errors of the result.
//
// With e the greatest of allowed: the mean is off by at most e, every centred value by 2e, and their root mean square by
// 2e too; so z = (x - mean)/sd is off by 2e/sd·(1 + |z|). The arithmetic itself, in f32, adds up n squares and rounds a
// few times: (n/32 + 16)·2⁻²⁴·(1 + |z|), since sums are made by 32 lanes side by side. The 16 have room for the 2 ulp of
// Metal's fast rsqrt.
func normalise(x, allowed, gamma, beta []float64) {
	n := float64(len(x))
	var mean, variance, magnitude float64
	for _, v := range x {
		mean += v / n
		magnitude = max(magnitude, math.Abs(v))
	}
	for _, v := range x {
		variance += (v - mean) * (v - mean) / n
	}
	sd := math.Sqrt(variance + epsilon)
	off := slices.Max(allowed) + 8*problem.FloatRoundoff*magnitude // sums of x and its mean round, too
	for i, v := range x {
		z := (v - mean) / sd
		slack := 2*off/sd + (n/32+16)*problem.FloatRoundoff
		allowed[i] = math.Abs(gamma[i])*slack*(1+math.Abs(z)) + 2*problem.FloatRoundoff*(math.Abs(z*gamma[i])+math.Abs(beta[i]))
		x[i] = z*gamma[i] + beta[i]
	}
}

// Norm is residual and layer norm over rows.
type Norm struct {
	DType    kernels.DType
	M, H     int
	Residual bool
}

// Case makes operands and answer. Allowed: as normalise says, for a sum of two that rounds once; and one rounding at the
// store.
func (n Norm) Case() Case {
	seed := uint64(n.M*977 + n.H)
	moved := 2 // rows in and out
	if n.Residual {
		moved++
	}
	c := Case{File: "norm.metal", DType: n.DType, LeastBytes: moved*n.M*n.H*n.DType.Size() + 2*n.H*4, Problem: problem.Problem{
		Name: fmt.Sprintf("norm %s %dx%d residual %v", n.DType, n.M, n.H, n.Residual), Result: 2,
		Operands: []problem.Operand{
			input("x", n.DType, n.M*n.H, 1, seed), vectors("vectors", 2*n.H, 1, seed+1),
			output("y", n.DType, n.M*n.H), input("residual", n.DType, n.M*n.H, 1, seed+2),
		},
	}}
	c.record = func(l *kernels.Library, r *kernels.Recorder, b []metal.Binding) error {
		op, err := l.NewNorm(n.H, b[1], epsilon, n.Residual)
		if err != nil {
			return err
		}
		return op.Record(r, n.M, b[0], b[2], b[3])
	}
	for m := range n.M {
		row, allowed := slices.Clone(c.Operands[0].Values[m*n.H:(m+1)*n.H]), make([]float64, n.H)
		for h := range row {
			if n.Residual {
				row[h] += c.Operands[3].Values[m*n.H+h]
				allowed[h] = problem.FloatRoundoff * math.Abs(row[h])
			}
		}
		normalise(row, allowed, c.Operands[1].Values[:n.H], c.Operands[1].Values[n.H:])
		for h, value := range row {
			c.Want, c.Allowed = append(c.Want, value), append(c.Allowed, allowed[h]+stored(n.DType, value))
		}
	}
	return c
}
