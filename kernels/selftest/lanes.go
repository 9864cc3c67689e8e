package selftest

import (
	"context"
	"errors"
	"fmt"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
)

// Lanes asks a device which element of an 8 x 8 matrix of half and of float each lane holds, by lanes.metal, and compares
// with the layout in simd.h, which all products rely on. It returns nil if they are the same; else the device's layout of
// each type that has another: a line for each of 32 lanes, with row and column of its two elements, "f16 lane 0: 0,0 0,1".
// Errors: the driver's.
func Lanes(ctx context.Context, device metal.Device) (other []string, err error) {
	source, err := metal.LoadSource(kernels.Files(), "lanes.metal")
	if err != nil {
		return nil, err
	}
	library, err := device.NewLibrary(source)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, library.Close()) }()
	for _, d := range []kernels.DType{kernels.F16, kernels.F32} {
		c := lanes(d)
		_, err := c.Run(ctx, device, library, problem.Guarded)
		wrong, ok := errors.AsType[*problem.AnswerError](err)
		if !ok && err != nil {
			return nil, err
		}
		for lane := 0; ok && lane < 32; lane++ {
			first, second := int(wrong.Answer[2*lane]), int(wrong.Answer[2*lane+1])
			other = append(other, fmt.Sprintf("%v lane %d: %d,%d %d,%d", d, lane, first/8, first%8, second/8, second%8))
		}
	}
	return other, nil
}

func lanes(d kernels.DType) problem.Case {
	c := problem.Case{
		Problem: problem.Problem{
			Name: "lanes " + d.String(), Result: 1,
			Operands: []problem.Operand{{Name: "a", Half: d == kernels.F16}, {Name: "y", SizeBytes: 4 * 64}},
		},
		Kernel:   "lanes_" + d.String(),
		Launches: []problem.Launch{{Operands: []int{0, 1}, Groups: metal.Size{X: 1}, Threads: metal.Size{X: 32}}},
	}
	for i := range 64 {
		c.Operands[0].Values = append(c.Operands[0].Values, float64(i))
	}
	for lane := range 32 {
		row, column := lane>>4*4+lane>>1&3, lane>>3&1*4+lane&1*2
		c.Want = append(c.Want, float64(8*row+column), float64(8*row+column+1))
		c.Allowed = append(c.Allowed, 0.1, 0.1)
	}
	return c
}
