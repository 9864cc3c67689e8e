package cpu

import (
	"math"

	"github.com/metalrank/metalrank/weights"
)

// packRow writes row n of a weight matrix of k padded terms into panels, as struct linear in kernels.h describes.
func packRow[T any](panels, row []T, n, k, panel, group int) {
	step := panel * group
	at := n/panel*(k/group)*step + n%panel*group
	for i := 0; i < len(row); i += group {
		copy(panels[at:at+group], row[i:min(i+group, len(row))])
		at += step
	}
}

// largestInt8 is the magnitude of the largest weight that is quantised here. -128 is not used, so that the range is symmetric.
const largestInt8 = 127

// int8Row returns row o of a matrix, from a column on, as bytes, as quantiseRow does. If the row is stored as bytes with one scale, it returns
// those: rounding them again to another scale could only add an error. row is scratch.
func int8Row(w weights.Tensor, o, column int, row []float32, q []int8) (scale float32, sum int32) {
	start := o*w.Shape[1] + column
	if w.Channel == nil {
		w.Float32s(row, start)
		return quantiseRow(row, q)
	}
	for i, code := range w.Channel.Codes.Bytes()[start : start+len(row)] {
		q[i] = int8(code)
		sum += int32(q[i])
	}
	var stored [1]float32
	w.Channel.Scales.Float32s(stored[:], o)
	return stored[0], sum
}

// rounding added to a float64 of magnitude below 2⁵¹ rounds it to the nearest integer, ties to even.
const rounding = 3 << 51

// quantiseRow turns one output channel into bytes: row[i] ≈ scale · q[i]. It returns the scale and the sum of q. A channel
// with a value that is not finite has scale NaN, which makes all its products NaN.
func quantiseRow(row []float32, q []int8) (scale float32, sum int32) {
	var bits uint32 // of the largest magnitude: those of a NaN are above all others
	for _, v := range row {
		bits = max(bits, math.Float32bits(v)&math.MaxInt32)
	}
	largest := float64(math.Float32frombits(bits))
	if largest == 0 || !(largest <= math.MaxFloat32) {
		clear(q)
		return float32(largest * 0), 0
	}
	inverse := largestInt8 / largest
	for i, v := range row {
		q[i] = int8(float64(float64(v)*inverse) + rounding - rounding)
		sum += int32(q[i])
	}
	return float32(largest / largestInt8), sum
}

// bfloat16 rounds to nearest, ties to even. A NaN stays one.
func bfloat16(v float32) uint16 {
	bits := math.Float32bits(v)
	if math.IsNaN(float64(v)) {
		return uint16(bits>>16) | 0x40
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}
