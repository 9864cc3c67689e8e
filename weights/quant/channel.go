package quant

// ChannelLevels is the largest magnitude of an int8 code; -128 is not used, so that codes are symmetric and a product
// of two never needs 17 bits.
const ChannelLevels = 127

// FitChannel returns the scale that maps the largest magnitude of w to a code, at most ChannelLevels; 1 for a row of
// zeros.
func FitChannel(w []float32, code int) float32 {
	var largest float32
	for _, v := range w {
		largest = max(largest, abs(v))
	}
	if scale := largest / float32(code); scale > 0 {
		return scale
	}
	return 1
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
