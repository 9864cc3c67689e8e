package metaltest

import (
	"fmt"
	"math"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
)

// gemmArgs is GemmArgs of gemm.metal.
type gemmArgs struct{ M, N, K uint32 }

// gemmTile is the side of the tile that a threadgroup makes.
const gemmTile = 64

// Gemm is a linear layer of n outputs and k inputs over m rows.
//
// Allowed: k + 2 additions in f32 in some order round to at most (k+2)·2⁻²⁴·(Σ|a·w| + |bias|); GELU's slope is below
// 1.13 and its polynomial is off by 1.5e-7·|x|/2 and a few roundings of values near one, 8·2⁻²⁴·|x|; the store rounds
// once to half.
func Gemm(m, n, k int, bias, gelu bool) problem.Case {
	c := problem.Case{
		Problem: problem.Problem{
			Name: fmt.Sprintf("gemm %dx%dx%d, bias %v, gelu %v", m, n, k, bias, gelu),
			Operands: []problem.Operand{
				{Name: "a", Half: true, Values: problem.Normal(m*k, 1, uint64(m*k))},
				{Name: "w", Half: true, Values: problem.Normal(n*k, 1/math.Sqrt(float64(k)), uint64(n*k+1))},
				{Name: "bias", Values: problem.Normal(n, 1, uint64(n+2))},
				{Name: "y", Half: true, SizeBytes: 2 * m * n},
			},
			Result: 3,
			FLOPs:  2 * float64(m) * float64(n) * float64(k),
		},
		Source: "gemm.metal", Kernel: "gemm_f16_nt_64x64x32",
		Constants: []metal.Constant{metal.Bool(0, bias), metal.Bool(1, gelu)},
		Launches: []problem.Launch{{
			Arguments: pack(gemmArgs{uint32(m), uint32(n), uint32(k)}), Operands: []int{0, 1, 2, 3},
			Groups:  metal.Size{X: uint32((n + gemmTile - 1) / gemmTile), Y: uint32((m + gemmTile - 1) / gemmTile)},
			Threads: metal.Size{X: 128},
		}},
	}
	if !bias {
		c.Launches[0].Operands[2] = -1 // the kernel's parameter is absent
	}
	answer(&c, m, n, k, bias, gelu)
	return c
}

// answer fills in the right answer of a Gemm, and the allowed errors.
func answer(c *problem.Case, m, n, k int, bias, gelu bool) {
	a, w := c.Operands[0].Values, c.Operands[1].Values
	c.Want, c.Allowed = make([]float64, 0, m*n), make([]float64, 0, m*n)
	for i := range m {
		for j := range n {
			var sum, magnitude float64
			for p := range k {
				product := a[i*k+p] * w[j*k+p]
				sum += product
				magnitude += math.Abs(product)
			}
			if bias {
				sum += c.Operands[2].Values[j]
				magnitude += math.Abs(c.Operands[2].Values[j])
			}
			allowed := float64(k+2) * problem.FloatRoundoff * magnitude
			if gelu {
				allowed = 1.13*allowed + math.Abs(sum)*(0.75e-7+8*problem.FloatRoundoff)
				sum *= 0.5 * math.Erfc(-sum/math.Sqrt2)
			}
			c.Want = append(c.Want, sum)
			c.Allowed = append(c.Allowed, allowed+math.Abs(sum)*problem.HalfRoundoff+problem.HalfTiny)
		}
	}
}

func gemmCases() []problem.Case {
	var cases []problem.Case
	for _, shape := range [][3]int{
		{1, 1, 1}, {1, 64, 32}, {64, 1, 33}, {63, 65, 31}, {64, 64, 32}, {65, 63, 33}, {65, 65, 65}, {37, 61, 7},
		{7, 131, 101}, {128, 96, 40},
	} {
		for flags := range 4 {
			cases = append(cases, Gemm(shape[0], shape[1], shape[2], flags&1 != 0, flags&2 != 0))
		}
	}
	return cases
}
