package selftest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
)

// Pool is the mean of the rows of each sequence.
type Pool struct {
	DType   kernels.DType
	H       int
	Lengths []int // of the sequences
	Normed  bool  // rows are a kept sum that waits for its norm
	RMS     bool  // which leaves the mean where it is
}

// Case makes operands and answer. Allowed: a norm as Epilogue.Case has it, then as many additions in f32 as there are rows.
func (p Pool) Case() Case {
	starts, d := []int{0}, p.DType
	for _, n := range p.Lengths {
		starts = append(starts, starts[len(starts)-1]+n)
	}
	rows, sequences := starts[len(p.Lengths)], len(p.Lengths)
	if p.Normed {
		d = kernels.F32
	}
	c := Case{File: "pool.metal", DType: p.DType, LeastBytes: rows*p.H*d.Size() + sequences*p.H*p.DType.Size(), Problem: problem.Problem{
		Name: fmt.Sprintf("pool %s %dx%d normed %v, rms %v", p.DType, rows, p.H, p.Normed, p.RMS), Result: 2,
		Operands: []problem.Operand{
			input("x", d, rows*p.H, 1, uint64(rows+p.H)), {Name: "starts", Raw: wordsOf(starts)}, output("y", p.DType, sequences*p.H),
			vectors("vectors", 2*p.H, 1, 3),
			{Name: "statistics", Values: Epilogue{Gemm: Gemm{K: p.H}}.madeStatistics(rows, rand.New(rand.NewPCG(uint64(rows), 5)))},
		},
	}}
	c.record = func(l *kernels.Library, r *kernels.Recorder, b []metal.Binding) error {
		var norm metal.Binding
		if p.Normed {
			norm = b[3]
		}
		op, err := l.NewPool(p.H, norm, epsilon, p.RMS)
		if err != nil {
			return err
		}
		return op.Record(r, sequences, b[0], b[4], b[1], b[2])
	}
	p.answer(&c, starts)
	return c
}

func (p Pool) answer(c *Case, starts []int) {
	e := Epilogue{Gemm: Gemm{K: p.H}, RMS: p.RMS}
	gamma, beta := c.Operands[3].Values[:p.H], c.Operands[3].Values[p.H:]
	for b := range p.Lengths {
		n := float64(p.Lengths[b])
		mean, off := make([]float64, p.H), make([]float64, p.H)
		for t := starts[b]; t < starts[b+1]; t++ {
			r := row{slices.Clone(c.Operands[0].Values[t*p.H : (t+1)*p.H]), make([]float64, p.H)}
			if p.Normed {
				magnitudes := make([]float64, p.H)
				for i, v := range r.values {
					magnitudes[i] = max(v, -v)
				}
				e.normed(r, magnitudes, c.Operands[4].Values[2*t*((p.H+stripColumns-1)/stripColumns):], slices.Repeat([]float64{1}, p.H))
			}
			for i, v := range r.values {
				if p.Normed {
					v, r.allowed[i] = v/kernels.KeptShrink, r.allowed[i]/kernels.KeptShrink
				}
				mean[i] += v / n
				off[i] += (r.allowed[i] + (n+4)*problem.FloatRoundoff*max(v, -v)) / n
			}
		}
		for i, v := range mean {
			if p.Normed {
				v, off[i] = v*gamma[i]+beta[i], off[i]*max(gamma[i], -gamma[i])
				off[i] += 3 * problem.FloatRoundoff * (max(v, -v) + max(beta[i], -beta[i]))
			}
			c.Want, c.Allowed = append(c.Want, v), append(c.Allowed, off[i]+stored(p.DType, v))
		}
	}
}

func poolCases(d kernels.DType) []Case {
	var cases []Case
	for i, lengths := range [][]int{{1}, {7, 8, 9, 1}, {40, 3}} {
		h := []int{4, 132, 260}[i]
		cases = append(cases, Pool{DType: d, H: h, Lengths: lengths}.Case(), Pool{DType: d, H: h, Lengths: lengths, Normed: true}.Case(),
			Pool{DType: d, H: h, Lengths: lengths, Normed: true, RMS: true}.Case())
	}
	return cases
}
