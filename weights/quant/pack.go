package quant

import "encoding/binary"

// Pack writes the codes of one group. Their bits fill whole words.
func (a Affine) Pack(words []uint32, codes []uint8) {
	if a.Bits == 8 {
		for i := range words {
			words[i] = binary.LittleEndian.Uint32(codes[4*i:])
		}
		return
	}
	if a.Bits == 4 {
		for i := range words {
			c := binary.LittleEndian.Uint64(codes[8*i:]) // a code in the low half of each byte
			c |= c >> 4
			c = c&0x00ff | c>>8&0xff00 | c>>16&0xff0000 | c>>24&0xff000000
			words[i] = uint32(c)
		}
		return
	}
	var buffer uint64
	filled := 0
	for _, code := range codes {
		buffer |= uint64(code) << filled
		if filled += a.Bits; filled >= 32 {
			words[0] = uint32(buffer)
			words, buffer, filled = words[1:], buffer>>32, filled-32
		}
	}
}

// Unpack reads len(codes) codes, a multiple of 32, from the words that hold them.
func (a Affine) Unpack(codes []uint8, words []uint32) {
	var buffer uint64
	held := 0
	mask := uint64(a.Levels())
	for i := range codes {
		if held < a.Bits {
			buffer |= uint64(words[0]) << held
			words, held = words[1:], held+32
		}
		codes[i] = uint8(buffer & mask)
		buffer, held = buffer>>a.Bits, held-a.Bits
	}
}

// Decode computes w = code · scale + bias, rounded to float32 after the product and after the sum. With scales and
// biases that came from fp16 or bf16 the product is exact, so there a fused multiply-add gives the same. dst has Len
// elements.
func (q Quantized) Decode(dst []float32) {
	var codes [128]uint8
	words := q.Words(q.GroupSize)
	for g, scale := range q.Scales {
		group := codes[:q.GroupSize]
		q.Unpack(group, q.Codes[g*words:(g+1)*words])
		out, bias := dst[g*q.GroupSize:(g+1)*q.GroupSize], q.Biases[g]
		for i, code := range group {
			// The conversion forbids fusing, which arm64 would do (Go specification, "Floating-point operators").
			out[i] = float32(float32(code)*scale) + bias
		}
	}
}
