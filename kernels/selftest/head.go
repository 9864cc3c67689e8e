package selftest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
)

// Head is the classifier over a row of each sequence.
type Head struct {
	DType      kernels.DType
	B, H, C    int
	N          int // columns of the layer before the classifier; 0: H
	Activation kernels.Activation
	Gather     bool
	Bare       bool // there is no layer before the classifier
	Normed     bool // rows are a kept sum that waits for its norm
	RMS        bool // which leaves the mean where it is
	Norm       bool // there is a norm before the classifier
}

// Indices of a Head's operands.
const (
	headX = iota
	headW
	headBias
	headOut
	headOutBias
	headZ
	headIndex
	headStatistics
)

// width is N; filled is that with the columns of zeros that fill up a block.
func (h Head) width() int {
	if h.N == 0 {
		return h.H
	}
	return h.N
}

func (h Head) filled() int { return (h.width() + 7) / 8 * 8 }

// Case makes operands and answer. Allowed: the dense layer as Gemm.Case has it, or Epilogue.Case; the norm as normalise says;
// then N + 1 additions in f32 of products with the classifier; nothing is rounded in between.
func (h Head) Case() Case {
	n, filled := h.width(), h.filled()
	seed := uint64(h.B*331 + n + h.C)
	rows := h.B
	if h.Gather {
		rows = 3*h.B + 1
	}
	index := make([]int, h.B)
	random := rand.New(rand.NewPCG(seed, 3))
	for i := range index {
		index[i] = i
		if h.Gather {
			index[i] = random.IntN(rows)
		}
	}
	width := 1 / math.Sqrt(float64(n))
	c := Case{File: "head.metal", DType: h.DType, LeastBytes: h.leastBytes(distinct(index)), Problem: problem.Problem{
		Name: fmt.Sprintf("head %s %dx%d to %d act%d gather %v", h.DType, h.B, h.H, h.C, h.Activation, h.Gather), Result: headZ,
		FLOPs: 2 * float64(h.B) * float64(n) * float64(h.H+h.C),
		Operands: []problem.Operand{
			input("x", h.DType, rows*h.H, 1, seed), input("w", h.DType, n*h.H, 1/math.Sqrt(float64(h.H)), seed+1),
			vectors("bias", 2*n, 0.1, seed+2), vectors("v", h.C*n, width, seed+3), vectors("d", 2*h.C, 1, seed+4),
			output("z", kernels.F32, h.B*h.C), {Name: "index", Raw: wordsOf(index)}, {Name: "none", Raw: []byte{0}},
		},
	}}
	if h.N != 0 {
		c.Name += fmt.Sprintf(" by %d, bare %v, normed %v, norm %v, rms %v", n, h.Bare, h.Normed, h.Norm, h.RMS)
	}
	if h.Normed {
		values := Epilogue{Gemm: Gemm{K: h.H}}.madeStatistics(rows, random)
		c.Operands[headStatistics] = problem.Operand{Name: "statistics", Values: values}
	}
	fill := func(operand, width, to int) {
		o := &c.Operands[operand]
		values := make([]float64, len(o.Values)/width*to)
		for i, v := range o.Values {
			values[i/width*to+i%width] = v
		}
		o.Values = values
	}
	h.answer(&c, index)
	fill(headBias, n, filled)
	fill(headOut, n, filled)
	c.Operands[headW].Values = append(slices.Clip(c.Operands[headW].Values), make([]float64, (filled-n)*h.H)...)
	c.record = h.record
	return c
}

func (h Head) record(l *kernels.Library, r *kernels.Recorder, b []metal.Binding) error {
	classifier := kernels.Classifier{
		Dense: kernels.Matrix{N: h.filled(), K: h.H, Data: b[headW]}, Width: h.width(), Bias: b[headBias], Activation: h.Activation,
		Labels: h.C, Out: b[headOut], OutBias: b[headOutBias], Gather: h.Gather, Normed: h.Normed, Epsilon: epsilon, RMS: h.RMS,
		Norm: h.Norm, NormEpsilon: epsilon,
	}
	if h.Bare {
		classifier.Dense.Data = metal.Binding{}
	}
	op, err := l.NewHead(classifier)
	if err != nil {
		return err
	}
	return op.Record(r, h.B, b[headX], b[headStatistics], b[headZ], b[headIndex])
}

// before is the row before the classifier, of row `from` of x.
func (h Head) before(c *Case, from int) row {
	n := h.width()
	e := Epilogue{Gemm: Gemm{DType: h.DType, N: n, K: h.H}, RMS: h.RMS}
	var r row
	var magnitudes []float64
	if h.Bare {
		r = row{slices.Clone(c.Operands[headX].Values[from*h.H : (from+1)*h.H]), make([]float64, n)}
		magnitudes = make([]float64, n)
		for i, v := range r.values {
			magnitudes[i] = math.Abs(v)
		}
	} else {
		r, magnitudes = e.sums(c, from, c.Operands[headW].Values)
	}
	bias := c.Operands[headBias].Values
	if h.Normed {
		e.normed(r, magnitudes, c.Operands[headStatistics].Values[2*from*((h.H+stripColumns-1)/stripColumns):], bias[n:])
	}
	for i := range n {
		if !h.Bare || h.Normed {
			r.values[i] += bias[i]
			r.allowed[i] += 2 * problem.FloatRoundoff * (math.Abs(r.values[i]) + math.Abs(bias[i]))
		}
		off := activated(kernels.F32, h.Activation, r.values[i], r.allowed[i])
		r.values[i], r.allowed[i] = activate(h.Activation, r.values[i]), off
	}
	return r
}

func (h Head) answer(c *Case, index []int) {
	n := h.width()
	v, d := c.Operands[headOut].Values, c.Operands[headOutBias].Values
	for b := range h.B {
		r := h.before(c, index[b])
		if h.Norm { // v has gamma, and d the rest
			normalise(r.values, r.allowed, slices.Repeat([]float64{1}, n), make([]float64, n))
		}
		for label := range h.C {
			sum := d[label]
			allowed := math.Abs(sum) * problem.FloatRoundoff
			for i, p := range r.values {
				w := v[label*n+i]
				sum += p * w
				allowed += math.Abs(w) * (r.allowed[i] + math.Abs(p)*float64(n+1)*problem.FloatRoundoff)
			}
			c.Want, c.Allowed = append(c.Want, sum), append(c.Allowed, allowed+stored(kernels.F32, sum))
		}
	}
	if h.Norm { // the second row of d has the sums of v
		for label := range h.C {
			var sum float64
			for _, w := range v[label*n : (label+1)*n] {
				sum += w
			}
			d[h.C+label] = rounded(kernels.F32, sum)
		}
	}
}

func (h Head) leastBytes(rows int) int {
	n := h.width()
	least := (n*h.H+rows*h.H)*h.DType.Size() + 4*(n+h.C*(n+1)+h.B*h.C)
	if h.Gather {
		least += 4 * h.B
	}
	return least
}
