package gguf

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/x448/float16"
)

// Format is the storage of a tensor's elements. A block of a row has Elements of them in Bytes.
type Format struct {
	Name     string // ggml's, which for floats is that of safetensors: "F16", "Q4_0"
	Elements int    // 1 in floats, 32, or 256
	Bytes    int

	number uint32                            // ggml's
	decode func(dst []float32, block []byte) // nil in floats
}

// formats are those that are read, by enum ggml_type (ggml/include/ggml.h in ggml-org/llama.cpp). The blocks are structs
// of ggml/src/ggml-common.h, and are decoded as by dequantize_row_* of ggml/src/ggml-quants.c. Scales are float16; each
// product and each sum is rounded to float32.
var formats = []*Format{
	{"F32", 1, 4, 0, nil},
	{"F16", 1, 2, 1, nil},
	{"BF16", 1, 2, 30, nil},
	{"Q4_0", 32, 18, 2, decodeQ40},
	{"Q4_1", 32, 20, 3, decodeQ41},
	{"Q5_0", 32, 22, 6, decodeQ50},
	{"Q5_1", 32, 24, 7, decodeQ51},
	{"Q8_0", 32, 34, 8, decodeQ80},
	{"Q4_K", 256, 144, 12, decodeQ4K},
	{"Q5_K", 256, 176, 13, decodeQ5K},
	{"Q6_K", 256, 210, 14, decodeQ6K},
}

// otherTypes are names for error texts.
var otherTypes = map[uint32]string{
	9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL",
	21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 34: "TQ1_0",
	35: "TQ2_0", 39: "MXFP4",
}

func formatOf(number uint32) *Format {
	for _, f := range formats {
		if f.number == number {
			return f
		}
	}
	return nil
}

func typeName(number uint32) string {
	if name, ok := otherTypes[number]; ok {
		return name
	}
	return fmt.Sprint(number)
}

func formatNames() string {
	var all []string
	for _, f := range formats {
		all = append(all, f.Name)
	}
	return strings.Join(all, ", ")
}

// IsFloat says whether elements are plain floats, without blocks.
func (f *Format) IsFloat() bool { return f.decode == nil }

// largestBlock is in elements.
const largestBlock = 256

// Float32s decodes len(dst) elements of data into dst, the first being element start. The format must have blocks.
func (f *Format) Float32s(dst []float32, data []byte, start int) {
	var whole [largestBlock]float32
	for len(dst) > 0 {
		at, skip := start/f.Elements, start%f.Elements
		block := data[at*f.Bytes : (at+1)*f.Bytes]
		n := min(len(dst), f.Elements-skip)
		if n == f.Elements {
			f.decode(dst[:n], block)
		} else {
			f.decode(whole[:f.Elements], block)
			copy(dst[:n], whole[skip:])
		}
		dst, start = dst[n:], start+n
	}
}

// half reads a float16 at the start of b.
func half(b []byte) float32 { return float16.Frombits(binary.LittleEndian.Uint16(b)).Float32() }

// The codes of a block of 32 are the low halves of 16 bytes, and then the high ones.

// Block: d f16, codes [16]. Element i is (code - 8) · d.
func decodeQ40(dst []float32, block []byte) {
	d := half(block)
	for i, b := range block[2:18] {
		dst[i], dst[i+16] = float32(int(b&15)-8)*d, float32(int(b>>4)-8)*d
	}
}

// Block: d f16, m f16, codes [16]. Element i is code · d + m.
func decodeQ41(dst []float32, block []byte) {
	d, m := half(block), half(block[2:])
	for i, b := range block[4:20] {
		dst[i], dst[i+16] = float32(float32(b&15)*d)+m, float32(float32(b>>4)*d)+m
	}
}

// fifthBit returns bit i of a word at its place in a code of five bits.
func fifthBit(word uint32, i int) byte { return byte(word>>i&1) << 4 }

// Block: d f16, the fifth bits [4], codes [16]. Element i is (code - 16) · d.
func decodeQ50(dst []float32, block []byte) {
	d, high := half(block), binary.LittleEndian.Uint32(block[2:])
	for i, b := range block[6:22] {
		dst[i] = float32(int(b&15|fifthBit(high, i))-16) * d
		dst[i+16] = float32(int(b>>4|fifthBit(high, i+16))-16) * d
	}
}

// Block: d f16, m f16, the fifth bits [4], codes [16]. Element i is code · d + m.
func decodeQ51(dst []float32, block []byte) {
	d, m, high := half(block), half(block[2:]), binary.LittleEndian.Uint32(block[4:])
	for i, b := range block[8:24] {
		dst[i] = float32(float32(b&15|fifthBit(high, i))*d) + m
		dst[i+16] = float32(float32(b>>4|fifthBit(high, i+16))*d) + m
	}
}

// Block: d f16, codes [32] i8. Element i is code · d.
func decodeQ80(dst []float32, block []byte) {
	d := half(block)
	for i, b := range block[2:34] {
		dst[i] = float32(int8(b)) * d
	}
}

// scalesAndMins unpacks eight pairs of six bits from twelve bytes. The first four scales, and then the first four mins,
// are the lower six bits of a byte each; its upper two bits are those of the last four. The last four bytes have the
// lower four bits of the last four: scales in the low halves, mins in the high ones.
func scalesAndMins(packed []byte) (scales, mins [8]float32) {
	for i := range 4 {
		scale, low, both := packed[i], packed[i+4], packed[i+8]
		scales[i], mins[i] = float32(scale&63), float32(low&63)
		scales[i+4], mins[i+4] = float32(both&15|scale>>6<<4), float32(both>>4|low>>6<<4)
	}
	return scales, mins
}

// Block: d f16, dmin f16, scales and mins [12], codes [128]. Element i of group g of 32 is code · (d · scale(g)) -
// dmin · min(g). Groups 2k and 2k + 1 are the lower and upper halves of 32 bytes.
func decodeQ4K(dst []float32, block []byte) {
	groupsOf32(dst, block, block[16:144], func(int, int) byte { return 0 })
}

// Block: that of Q4_K, with the fifth bits [32] before the codes: bit g of byte i is that of element i of group g.
func decodeQ5K(dst []float32, block []byte) {
	high := block[16:48]
	groupsOf32(dst, block, block[48:176], func(g, i int) byte { return high[i] >> g & 1 << 4 })
}

// groupsOf32 decodes a block of Q4_K or Q5_K; upper returns the fifth bit of a code, in its place.
func groupsOf32(dst []float32, header, codes []byte, upper func(g, i int) byte) {
	d, dmin := half(header), half(header[2:])
	scales, mins := scalesAndMins(header[4:16])
	for g := range 8 {
		scale, low := d*scales[g], dmin*mins[g]
		for i, b := range codes[g/2*32 : g/2*32+32] {
			code := b>>(g%2*4)&15 | upper(g, i)
			dst[g*32+i] = float32(scale*float32(code)) - low
		}
	}
}

// Block: lower four bits of the codes [128], upper two [64], scales [16] i8, d f16. Element i is (code - 32) · (d ·
// scale(i/16)). In each half of 128 elements, element 32k + i has its lower bits in byte 32(k mod 2) + i, in the low
// half for k < 2 and else in the high one, and its upper bits in bits 2k and 2k + 1 of byte i.
func decodeQ6K(dst []float32, block []byte) {
	d := half(block[208:])
	for i := range dst[:256] {
		part, k, j := i/128, i%128/32, i%32
		low := block[part*64+k%2*32+j] >> (k / 2 * 4) & 15
		high := block[128+part*32+j] >> (2 * k) & 3
		scale := d * float32(int8(block[192+i/16]))
		dst[i] = float32(int(low|high<<4)-32) * scale
	}
}
