package selftest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
)

// Gemm is a linear layer.
type Gemm struct {
	DType          kernels.DType
	M, N, K        int
	Bits           int // of the weights; 0: not quantised
	GroupSize      int
	Activation     kernels.Activation
	Residual       bool
	GatherA        bool
	GatherResidual bool
	FewRows        bool   // as kernels.Linear has it
	Norm           bool   // with a layer norm, by gemm_norm.metal
	Variant        string // "": chosen by M
	Unanswered     bool   // no answer is computed, which takes seconds for a large shape: the case can only be timed
}

// Shape returns the product as far as the choice of a variant depends on it.
func (g Gemm) Shape() kernels.Shape {
	return kernels.Shape{Norm: g.Norm, Type: g.DType, Bits: g.Bits, N: g.N, K: g.K, FewRows: g.FewRows}
}

// Variants returns the case once for each variant; the answer is computed once.
func (g Gemm) Variants(variants []kernels.Variant) []Case {
	return eachVariant(g.Case(), g.Shape(), variants, func(variant string) (string, recordFunc) {
		g.Variant = variant
		return g.name(), g.record
	})
}

// eachVariant returns copies of a case, each with a variant of its shape. as gives the name of a copy and what records it.
func eachVariant(whole Case, shape kernels.Shape, variants []kernels.Variant, as func(variant string) (string, recordFunc)) []Case {
	cases := make([]Case, len(variants))
	for i, v := range variants {
		cases[i] = whole
		cases[i].File = v.File(shape)
		cases[i].Name, cases[i].record = as(v.String())
	}
	return cases
}

// epsilon of layer norms: greater than that of any model (BERT has 1e-12), so that a kernel without it shows.
const epsilon = 1e-3

func (g Gemm) name() string {
	words := []string{g.kernel(), g.DType.String(), fmt.Sprintf("%dx%dx%d", g.M, g.N, g.K)}
	for _, flag := range []struct {
		set  bool
		text string
	}{
		{g.Bits != 0, fmt.Sprintf("q%d/%d", g.Bits, g.GroupSize)}, {g.Activation != kernels.None, fmt.Sprintf("act%d", g.Activation)},
		{g.Residual, "+residual"}, {g.GatherA, "gather"}, {g.GatherResidual, "gatherResidual"}, {g.FewRows, "few"},
		{g.Variant != "", "by " + g.Variant},
	} {
		if flag.set {
			words = append(words, flag.text)
		}
	}
	return strings.Join(words, " ")
}

func (g Gemm) kernel() string {
	if g.Norm {
		return "gemm_norm"
	}
	return "gemm"
}

func (g Gemm) file() string {
	if g.Bits != 0 {
		return g.kernel() + "_quant.metal"
	}
	return g.kernel() + ".metal"
}

// Indices of a Gemm's operands.
const (
	gemmA = iota
	gemmWeights
	gemmScales
	gemmOffsets
	gemmVectors
	gemmY
	gemmResidual
	gemmIndex
)

// Case makes operands and answer.
//
// Allowed: k + 3 additions in f32 in some order round to at most (k+3)·2⁻²⁴·(Σ|a·w| + |bias| + |residual|); then the
// effect of the activation on that error (activated), that of a norm (normalise), and one rounding at the store.
// Dequantised weights are the same numbers here and in the kernel: code·scale is exact in f32, adding the offset rounds
// once, and so does the conversion to a's type.
func (g Gemm) Case() Case {
	seed, rows := g.seed(), g.M
	if g.GatherA || g.GatherResidual {
		rows = 2*g.M + 3
	}
	weights, w := g.weights(seed)
	index := make([]int, g.M)
	random := rand.New(rand.NewPCG(seed, 4))
	for i := range index {
		index[i] = random.IntN(rows)
	}
	c := Case{File: g.file(), DType: g.DType, Problem: problem.Problem{
		Name: g.name(), Result: gemmY, FLOPs: 2 * float64(g.M) * float64(g.N) * float64(g.K),
		Operands: []problem.Operand{
			input("a", g.DType, rows*g.K, 1, seed+1), weights[0], weights[1], weights[2],
			vectors("vectors", g.vectorRows()*g.N, 1, seed+3), output("y", g.DType, g.M*g.N),
			input("residual", g.DType, rows*g.N, 1, seed+5), {Name: "index", Raw: wordsOf(index)},
		},
	}}
	c.record, c.LeastBytes = g.record, g.leastBytes(distinct(index))
	if !g.Unanswered {
		g.answer(&c, w, index)
	}
	return c
}

// vectorRows is how many rows of vectors there are: bias, and for a norm gamma and beta. Reads behind them are found.
func (g Gemm) vectorRows() int {
	if g.Norm {
		return 3
	}
	return 1
}

func (g Gemm) seed() uint64 { return uint64(g.M*7919+g.N*31+g.K) + uint64(g.Bits) }

// leastBytes counts a gathered row once, however often it is gathered; gathered is the number of different ones.
func (g Gemm) leastBytes(gathered int) int {
	size := g.DType.Size()
	weights, vectors, elements := g.N*g.K*size, g.vectorRows()*g.N, g.M*g.N
	if g.Bits != 0 {
		weights = g.N * (g.K*g.Bits/8 + g.K/g.GroupSize*4)
	}
	rows := func(yes bool) int {
		if yes {
			return gathered
		}
		return g.M
	}
	elements += rows(g.GatherA) * g.K
	if g.Residual {
		elements += rows(g.GatherResidual) * g.N
	}
	least := weights + 4*vectors + elements*size
	if g.GatherA || g.GatherResidual && g.Residual {
		least += 4 * g.M
	}
	return least
}

// weights are the operands that hold w, and w [N, K] itself as the kernel multiplies it.
func (g Gemm) weights(seed uint64) (operands [3]problem.Operand, w []float64) {
	width := 1 / math.Sqrt(float64(g.K))
	if g.Bits == 0 {
		dense := input("w", g.DType, g.N*g.K, width, seed+2)
		none := problem.Operand{Name: "none", Raw: []byte{0}}
		return [3]problem.Operand{dense, none, none}, dense.Values
	}
	q := quantised(g.DType, g.N, g.K, g.Bits, g.GroupSize, width, seed+2)
	return q.operands(), q.values
}

// linear is the layer of the operands.
func (g Gemm) linear(b []metal.Binding) kernels.Linear {
	linear := kernels.Linear{
		Weights: kernels.Matrix{N: g.N, K: g.K, Data: b[gemmWeights]}, Bias: b[gemmVectors], Activation: g.Activation,
		Residual: g.Residual, GatherA: g.GatherA, GatherResidual: g.GatherResidual,
		FewRows: g.FewRows, Variant: g.Variant,
	}
	if g.Bits != 0 {
		w := &linear.Weights
		w.Bits, w.GroupSize, w.Scales, w.Offsets = g.Bits, g.GroupSize, b[gemmScales], b[gemmOffsets]
	}
	return linear
}

// record records the operation.
func (g Gemm) record(l *kernels.Library, r *kernels.Recorder, b []metal.Binding) error {
	linear := g.linear(b)
	rows := kernels.Rows{M: g.M, A: b[gemmA], Y: b[gemmY], Residual: b[gemmResidual], Index: b[gemmIndex]}
	if g.Norm {
		op, err := l.NewGemmNorm(linear, b[gemmVectors], epsilon)
		if err != nil {
			return err
		}
		return op.Record(r, rows)
	}
	op, err := l.NewGemm(linear)
	if err != nil {
		return err
	}
	return op.Record(r, rows)
}

func (g Gemm) answer(c *Case, w []float64, index []int) {
	a, add, residual := c.Operands[gemmA].Values, c.Operands[gemmVectors].Values, c.Operands[gemmResidual].Values
	c.Want, c.Allowed = make([]float64, 0, g.M*g.N), make([]float64, 0, g.M*g.N)
	for m := range g.M {
		from, of := m, m
		if g.GatherA {
			from = index[m]
		}
		if g.GatherResidual {
			of = index[m]
		}
		row, allowed := make([]float64, g.N), make([]float64, g.N)
		for n := range g.N {
			sum, magnitude := add[n], math.Abs(add[n])
			for k, x := range a[from*g.K : (from+1)*g.K] {
				sum += x * w[n*g.K+k]
				magnitude += math.Abs(x * w[n*g.K+k])
			}
			if g.Residual {
				sum += residual[of*g.N+n]
				magnitude += math.Abs(residual[of*g.N+n])
			}
			row[n] = activate(g.Activation, sum)
			allowed[n] = activated(g.DType, g.Activation, sum, float64(g.K+3)*problem.FloatRoundoff*magnitude)
		}
		if g.Norm {
			normalise(row, allowed, add[g.N:2*g.N], add[2*g.N:])
		}
		for n, value := range row {
			c.Want = append(c.Want, value)
			c.Allowed = append(c.Allowed, allowed[n]+stored(g.DType, value))
		}
	}
}
