package weights

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// Decode reads len(dst) little-endian elements of type d, which is F32, F16 or BF16. It is exact.
func (d DType) Decode(dst []float32, src []byte) {
	switch d {
	case F32:
		decodeF32(dst, src)
	case F16:
		decodeF16(dst, src)
	case BF16:
		decodeBF16(dst, src)
	default:
		panic("BUG: weights: " + d.String() + " read as float32")
	}
}

// decodeF32 copies little-endian floats: src holds 4*len(dst) bytes at any alignment. The host is little-endian
// (see endian_big.go), so the bytes are the values, and a byte copy asks no alignment of src.
func decodeF32(dst []float32, src []byte) {
	if len(dst) == 0 {
		return
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&dst[0])), 4*len(dst)), src)
}

// decodeF16 widens IEEE 754 binary16: src holds 2*len(dst) bytes at any alignment. Exact for every value; a NaN
// stays a NaN of the same sign. Four elements per load and test, since nearly all of a checkpoint are normal numbers.
func decodeF16(dst []float32, src []byte) {
	const (
		exponents = 0x7c00_7c00_7c00_7c00
		one       = 0x0400_0400_0400_0400 // in the exponent
		signs     = 0x8000_8000_8000_8000
	)
	n := len(dst) &^ 3
	for i := 0; i < n; i += 4 {
		d, v := dst[i:i+4:i+4], binary.LittleEndian.Uint64(src[2*i:])
		// Per 16 bits, without carries: the first sum reaches the sign bit if the exponent is not 0, the second if it
		// is 31, which stands for infinities and NaNs.
		e := v & exponents
		if (e+exponents)&^(e+one)&signs == signs {
			low, high := widenNormals(uint32(v)), widenNormals(uint32(v>>32))
			d[0], d[1] = math.Float32frombits(uint32(low)), math.Float32frombits(uint32(low>>32))
			d[2], d[3] = math.Float32frombits(uint32(high)), math.Float32frombits(uint32(high>>32))
			continue
		}
		for j := range d {
			d[j] = halfToFloat(uint32(v>>(16*j)) & 0xffff)
		}
	}
	for i := n; i < len(dst); i++ {
		dst[i] = halfToFloat(uint32(binary.LittleEndian.Uint16(src[2*i:])))
	}
}

// widenNormals turns two normal binary16 into two binary32, 32 bits each: the exponent is rebased from 15 to 127 and
// the mantissa moves up by 13.
func widenNormals(pair uint32) uint64 {
	const (
		sign      = 0x0000_8000_0000_8000
		magnitude = 0x0000_7fff_0000_7fff
		rebase    = (127 - 15) << 23 * (1<<32 + 1)
	)
	w := uint64(pair)&0xffff | uint64(pair)&0xffff_0000<<16
	return w&sign<<16 | (w&magnitude<<13 + rebase)
}

// halfToFloat widens one binary16 of any kind, given in the low 16 bits of h. Subnormals go through an integer
// rather than a multiplication of a float32 subnormal, so a thread that flushes those to zero still decodes right.
func halfToFloat(h uint32) float32 {
	sign, magnitude := h<<16&0x80000000, h&0x7fff
	switch {
	case magnitude >= 0x7c00:
		return math.Float32frombits(sign | 0x7f800000 | magnitude<<13)
	case magnitude >= 0x0400:
		return math.Float32frombits(sign | (magnitude<<13 + (127-15)<<23))
	}
	f := float32(magnitude) * (1.0 / (1 << 24)) // the spacing of subnormals is 2^-24
	return math.Float32frombits(sign | math.Float32bits(f))
}

// decodeBF16 widens bfloat16, the upper half of a float32: src holds 2*len(dst) bytes at any alignment.
func decodeBF16(dst []float32, src []byte) {
	src = src[:2*len(dst)]
	for len(dst) >= 4 && len(src) >= 8 {
		v := binary.LittleEndian.Uint64(src)
		dst[0] = math.Float32frombits(uint32(v) << 16)
		dst[1] = math.Float32frombits(uint32(v) & 0xffff0000)
		dst[2] = math.Float32frombits(uint32(v>>32) << 16)
		dst[3] = math.Float32frombits(uint32(v>>32) & 0xffff0000)
		dst, src = dst[4:], src[8:]
	}
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
	}
}
