package metaltest

import (
	"fmt"
	"math"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
)

// reduceArgs is ReduceArgs of reduce.metal.
type reduceArgs struct{ Count, Chunk uint32 }

// Reduce sums count numbers in pieces of chunk, with groups of threads; where there are several pieces, a second
// launch sums the sums.
//
// Allowed: in a sum that adds a number d times, each addition rounds once: d·2⁻²⁴·Σ|x|. d is the stride of a thread,
// five steps over lanes and five over SIMD-groups, for each launch.
func Reduce(count, chunk, threads int) problem.Case {
	pieces := (count + chunk - 1) / chunk
	x := problem.Normal(count, 1, uint64(count))
	c := problem.Case{
		Problem: problem.Problem{
			Name: fmt.Sprintf("reduce %d in pieces of %d by %d threads", count, chunk, threads),
			Operands: []problem.Operand{
				{Name: "x", Values: x},
				{Name: "sums", SizeBytes: 4 * pieces},
				{Name: "sum", SizeBytes: 4},
			},
			Result: 2,
			FLOPs:  float64(count),
		},
		Source: "reduce.metal", Kernel: "reduce_sum_f32",
	}
	launch := func(count, chunk, from, to int) {
		c.Launches = append(c.Launches, problem.Launch{
			Arguments: pack(reduceArgs{uint32(count), uint32(chunk)}), Operands: []int{from, to},
			Groups: metal.Size{X: uint32((count + chunk - 1) / chunk)}, Threads: metal.Size{X: uint32(threads)},
		})
	}
	launch(count, chunk, 0, 1)
	launch(pieces, pieces, 1, 2)

	var sum, magnitude float64
	for _, value := range x {
		sum += value
		magnitude += math.Abs(value)
	}
	depth := float64(chunk/threads + pieces/threads + 2*(1+5+5))
	c.Want, c.Allowed = []float64{sum}, []float64{depth * problem.FloatRoundoff * magnitude}
	return c
}

func reduceCases() []problem.Case {
	var cases []problem.Case
	for _, shape := range [][3]int{
		{1, 1, 1}, {1, 1, 32}, {2, 1, 1}, {31, 31, 32}, {32, 32, 32}, {33, 32, 32}, {33, 33, 33}, {37, 5, 64},
		{127, 127, 1}, {1023, 1023, 1024}, {1024, 512, 1024}, {1025, 128, 96}, {1031, 97, 97}, {4099, 1024, 256},
		{4099, 4099, 1023},
	} {
		cases = append(cases, Reduce(shape[0], shape[1], shape[2]))
	}
	return cases
}
