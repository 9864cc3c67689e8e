package weights

import (
	"encoding/binary"
	"math"
)

// Encode stores src as little-endian elements of type d, which is F32, F16 or BF16, rounding to nearest, ties to even.
// dst holds Size()*len(src) bytes. In F16, magnitudes from 65520 up become infinite.
func (d DType) Encode(dst []byte, src []float32) {
	switch d {
	case F32:
		for i, v := range src {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
		}
	case F16:
		for i, v := range src {
			binary.LittleEndian.PutUint16(dst[2*i:], floatToHalf(v))
		}
	case BF16:
		for i, v := range src {
			binary.LittleEndian.PutUint16(dst[2*i:], floatToBrain(v))
		}
	default:
		panic("BUG: weights: float32 written as " + d.String())
	}
}

// floatToHalf rounds to binary16. A NaN stays one, of the same sign.
func floatToHalf(x float32) uint16 {
	b := math.Float32bits(x)
	sign, magnitude := uint16(b>>16&0x8000), b&0x7fffffff
	switch {
	case magnitude > 0x7f800000:
		return sign | 0x7e00
	case magnitude >= 0x47800000: // 65536
		return sign | 0x7c00
	case magnitude < 0x38800000: // below 2^-14, the smallest normal binary16
		// The spacing of float32 at 0.5 is 2^-24, that of the subnormals of binary16: the addition rounds.
		return sign | uint16(math.Float32bits(math.Float32frombits(magnitude)+0.5)-0x3f000000)
	}
	// Rebase the exponent and round away 13 bits; a carry goes into the exponent, and at the top to infinity.
	return sign | uint16((magnitude-(127-15)<<23+0xfff+magnitude>>13&1)>>13)
}

// floatToBrain rounds to bfloat16. A NaN stays one, of the same sign.
func floatToBrain(x float32) uint16 {
	b := math.Float32bits(x)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}
