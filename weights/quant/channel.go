package quant

import "math"

// ChannelLevels is the largest magnitude of an int8 code; -128 is not used, so that codes are symmetric and a product
// of two never needs 17 bits.
const ChannelLevels = 127

// FitChannel returns the scale of a row: the step that w lies on already, if it does, so that weights which were
// quantised before are not rounded twice; else the one that maps the largest magnitude of w to a code, at most
// ChannelLevels; 1 for a row of zeros.
func FitChannel(w []float32, code int) float32 {
	if step := stepOf(w, code); step > 0 {
		return step
	}
	var largest float32
	for _, v := range w {
		largest = max(largest, abs(v))
	}
	if scale := largest / float32(code); scale > 0 {
		return scale
	}
	return 1
}

// stepOf returns the largest step of which every weight is a whole multiple, between -code and code times; 0 where there
// is none. A weight that was stored as code · scale differs from the multiple by a rounding or two of float32.
func stepOf(w []float32, code int) float32 {
	smallest := float32(math.Inf(1))
	for _, v := range w {
		if v != 0 && abs(v) < smallest {
			smallest = abs(v)
		}
	}
	for divisor := 1; divisor <= code; divisor++ {
		if step := smallest / float32(divisor); onSteps(w, step, float32(code)) {
			return step
		}
	}
	return 0
}

// stepTolerance bounds how far from whole a quotient may be, relative to it: the weight, the step and the quotient are
// each rounded to 24 bits.
const stepTolerance = 2e-7

func onSteps(w []float32, step, code float32) bool {
	for _, v := range w {
		multiple := v / step
		if off := abs(multiple - roundToEven(multiple)); !(abs(multiple) <= code && off <= stepTolerance*abs(multiple)) {
			return false
		}
	}
	return step < math.MaxFloat32
}

// EncodeChannel computes codes = clip(rint(w / scale), -127, 127), one byte each in two's complement.
func EncodeChannel(codes []byte, w []float32, scale float32) {
	codes = codes[:len(w)]
	for i, v := range w {
		switch code := roundToEven(v / scale); {
		case code >= ChannelLevels:
			codes[i] = ChannelLevels
		case code >= -ChannelLevels:
			codes[i] = byte(int8(code))
		case code < -ChannelLevels:
			codes[i] = 256 - ChannelLevels
		default: // NaN
			codes[i] = 0
		}
	}
}

// DecodeChannel computes w = code · scale.
func DecodeChannel(dst []float32, codes []byte, scale float32) {
	codes = codes[:len(dst)]
	for i, code := range codes {
		dst[i] = float32(int8(code)) * scale
	}
}
