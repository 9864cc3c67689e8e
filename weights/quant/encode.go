package quant

import "math"

// smallestScale keeps the scale of a constant group away from 0 (eps in mlx/ops.cpp, affine_quantize).
const smallestScale = 1e-7

// Encode quantises w, which has Len elements, all finite. Scales and biases are left in float32: they are rounded to
// the type that they are stored in afterwards, while codes are computed from the unrounded ones, as MLX does.
func (q Quantized) Encode(w []float32) {
	var codes [128]uint8
	words := q.Words(q.GroupSize)
	for g := range q.Scales {
		group := w[g*q.GroupSize : (g+1)*q.GroupSize]
		q.Scales[g], q.Biases[g] = q.Fit(group)
		q.round(codes[:len(group)], group, q.Scales[g], q.Biases[g])
		q.Pack(q.Codes[g*words:(g+1)*words], codes[:len(group)])
	}
}

// Fit chooses scale and bias of one group. The bias is the end of the range that is farther from 0, and the scale is
// bent so that 0 is a code of its own: weights of exactly 0 stay 0.
//
//	scale = max((max - min) / levels, 1e-7), negative unless |min| > |max|
//	q0    = rint(edge / scale)
//	scale, bias = edge / q0, edge       or, if q0 is 0: scale, 0
func (a Affine) Fit(w []float32) (scale, bias float32) {
	low, high := w[0], w[0]
	for _, v := range w[1:] {
		// Not min and max, which handle NaN and the sign of 0, in twice the time.
		if v < low {
			low = v
		}
		if v > high {
			high = v
		}
	}
	scale = max((high-low)/float32(a.Levels()), smallestScale)
	edge := low
	if !(abs(low) > abs(high)) {
		edge, scale = high, -scale
	}
	zero := roundToEven(edge / scale)
	if zero == 0 {
		return scale, 0
	}
	return edge / zero, edge
}

// round computes the codes of one group: rint(clip((w - bias) / scale, 0, levels)), which MLX computes in the other
// order. From 2^23 on, float32 has steps of 1: the sum rounds to nearest, ties to even, and its low bits are the code. A
// NaN becomes 0.
func (a Affine) round(codes []uint8, w []float32, scale, bias float32) {
	const ones = 1 << 23
	top := float32(a.Levels())
	codes = codes[:len(w)]
	for i, v := range w {
		x := (v - bias) / scale
		if !(x > 0) {
			x = 0
		}
		if x > top {
			x = top
		}
		codes[i] = uint8(math.Float32bits(x + ones))
	}
}

func abs(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }

// roundToEven is C's rint under the default rounding mode. The way through float64 is exact.
func roundToEven(x float32) float32 { return float32(math.RoundToEven(float64(x))) }
