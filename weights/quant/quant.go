// Package quant turns float32 weights into small integers and back, one group or one row at a time.
//
// [Affine] is the layout of MLX: groups of 32, 64 or 128 neighbours along a row share a scale and a bias. It is
// byte-compatible with mx.quantize of MLX 0.32.1 on the CPU, in codes, scales and biases.
//
// The package must not know files, checkpoints or devices, and imports nothing else of this module.
package quant

import (
	"fmt"
	"slices"
)

// Affine says how weights are quantised: q = round((w - bias) / scale) in Bits bits, with one scale and one bias for
// GroupSize neighbours. The zero value is no scheme.
type Affine struct {
	GroupSize int // 32, 64 or 128 elements along the last axis
	Bits      int // 2, 3, 4, 6 or 8
}

var (
	groupSizes = []int{32, 64, 128}
	bitWidths  = []int{2, 3, 4, 6, 8}
)

// Check returns an error if the scheme does not exist.
func (a Affine) Check() error {
	if !slices.Contains(groupSizes, a.GroupSize) {
		return fmt.Errorf("quant: group size %d, want one of %d", a.GroupSize, groupSizes)
	}
	if !slices.Contains(bitWidths, a.Bits) {
		return fmt.Errorf("quant: %d bits, want one of %d", a.Bits, bitWidths)
	}
	return nil
}

// Fits says whether rows of n elements can be quantised: they must consist of whole groups.
func (a Affine) Fits(n int) bool { return n > 0 && n%a.GroupSize == 0 }

// Words returns how many uint32 hold the codes of n elements; n is a multiple of the group size.
func (a Affine) Words(n int) int { return n / 32 * a.Bits }

// Groups returns how many scales, and how many biases, n elements have; n is a multiple of the group size.
func (a Affine) Groups(n int) int { return n / a.GroupSize }

// Levels returns the largest code, 2^Bits - 1.
func (a Affine) Levels() int { return 1<<a.Bits - 1 }

// Quantized is a row-major matrix in an affine scheme. A row consists of whole groups and a group of whole words, so
// that nothing in here depends on where a row ends.
type Quantized struct {
	Affine

	// Codes are one little-endian stream of bits: element i is bits [i·Bits, (i+1)·Bits), counted from the lowest bit
	// of the first word.
	Codes  []uint32  // [n·Bits/32]
	Scales []float32 // [n/GroupSize]
	Biases []float32 // [n/GroupSize]
}

// Make returns room for n elements. A scheme that fails Check, or an n of no whole groups, is a bug of the caller.
func (a Affine) Make(n int) Quantized {
	if err := a.Check(); err != nil {
		panic("BUG: " + err.Error())
	}
	if n%a.GroupSize != 0 {
		panic(fmt.Sprintf("BUG: quant: %d elements, want a multiple of %d", n, a.GroupSize))
	}
	return Quantized{
		Affine: a, Codes: make([]uint32, a.Words(n)),
		Scales: make([]float32, a.Groups(n)), Biases: make([]float32, a.Groups(n)),
	}
}

// Quantize is Make and Encode in one.
func (a Affine) Quantize(w []float32) Quantized {
	q := a.Make(len(w))
	q.Encode(w)
	return q
}

// Len returns the number of elements.
func (q Quantized) Len() int { return len(q.Scales) * q.GroupSize }

// Slice returns the part of q that holds the groups [begin, end), which shares q's memory.
func (q Quantized) Slice(begin, end int) Quantized {
	words := q.Words(q.GroupSize)
	q.Codes = q.Codes[begin*words : end*words]
	q.Scales, q.Biases = q.Scales[begin:end], q.Biases[begin:end]
	return q
}
