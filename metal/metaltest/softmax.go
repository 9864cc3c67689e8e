package metaltest

import (
	"fmt"
	"math"
	"slices"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
)

// softmaxArgs is SoftmaxArgs of softmax.metal.
type softmaxArgs struct {
	Columns uint32
	Scale   float32
}

// Softmax is the softmax of each row, with groups of threads, a multiple of 32.
//
// Allowed: one rounding to half, and in f32 the exponent's rounding, which exp turns into a relative error of
// |s - most|·2⁻²⁴, a few units of exp itself and of a sum of positive terms: below 64·2⁻²⁴ altogether.
func Softmax(rows, columns, threads int) problem.Case {
	const scale = 0.75
	x := problem.Normal(rows*columns, 3, uint64(rows*columns))
	c := problem.Case{
		Problem: problem.Problem{
			Name: fmt.Sprintf("softmax %dx%d by %d threads", rows, columns, threads),
			Operands: []problem.Operand{
				{Name: "x", Half: true, Values: x},
				{Name: "y", Half: true, SizeBytes: 2 * len(x)},
			},
			Result: 1,
			FLOPs:  float64(5 * rows * columns),
		},
		Source: "softmax.metal", Kernel: "softmax_f16",
		Launches: []problem.Launch{{
			Arguments: pack(softmaxArgs{uint32(columns), scale}), Operands: []int{0, 1},
			ThreadgroupMemory: []int{(4*columns + 15) &^ 15},
			Groups:            metal.Size{X: uint32(rows)}, Threads: metal.Size{X: uint32(threads)},
		}},
	}
	for row := range slices.Chunk(x, columns) {
		most, sum := slices.Max(row)*scale, 0.0
		for _, value := range row {
			sum += math.Exp(value*scale - most)
		}
		for _, value := range row {
			y := math.Exp(value*scale-most) / sum
			c.Want = append(c.Want, y)
			c.Allowed = append(c.Allowed, y*(problem.HalfRoundoff+64*problem.FloatRoundoff)+problem.HalfTiny)
		}
	}
	return c
}

func softmaxCases() []problem.Case {
	var cases []problem.Case
	for _, shape := range [][3]int{
		{1, 1, 32}, {3, 1, 64}, {1, 31, 32}, {2, 32, 32}, {3, 33, 32}, {5, 63, 64}, {2, 64, 64}, {3, 65, 64},
		{7, 101, 96}, {1, 127, 1024}, {2, 128, 32}, {3, 129, 128}, {1, 1009, 256}, {2, 8000, 1024},
	} {
		cases = append(cases, Softmax(shape[0], shape[1], shape[2]))
	}
	return cases
}
