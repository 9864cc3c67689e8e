package kernels

import (
	"fmt"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/metal"
)

// Variant is one way to compute a product. Variants differ in the share of a threadgroup and in the way of its operands, and so
// in time. Those of a shape with the same Split give the same bits; others add up in another order.
//
// Package kernels/tune lists the Candidates of a product's Shape, times Product.By of each, and makes the best a Choice.
type Variant struct {
	Rows       int // of the result, that a threadgroup makes
	Columns    int // of the result, that a SIMD-group makes, or with a Split all of a threadgroup
	Simdgroups int // in a threadgroup, side by side; 0: as many as a whole row takes
	Depth      int // terms of the sums in a step: 32, or 64, which are a line of 128 bytes in half precision
	Way        Way // of the weights
	Split      int // SIMD-groups of a threadgroup that share each sum over K; 0: each makes sums of its own
}

// Way is how weights come into registers.
type Way string

// The ways.
const (
	Direct Way = ""       // when they are multiplied
	Ahead  Way = "ahead"  // a step before they are multiplied
	Staged Way = "staged" // through threadgroup memory, a step before
)

// String returns the name of the variant, the end of its kernel's name: "32x16", "32x16_k64_staged", "8x32_split4".
func (v Variant) String() string {
	name := fmt.Sprintf("%dx%d", v.Rows, v.Columns)
	if v.Depth != depth {
		name += fmt.Sprintf("_k%d", v.Depth)
	}
	if v.Way != Direct {
		name += "_" + string(v.Way)
	}
	if v.Split != 0 {
		name += fmt.Sprintf("_split%d", v.Split)
	}
	return name
}

// File returns the source of the variant's kernel for a shape.
func (v Variant) File(s Shape) string {
	name := s.kernel()
	if v.Split != 0 {
		name += "_split"
	}
	if s.Bits != 0 {
		name += "_quant"
	}
	if v.Depth != depth || v.Way != Direct {
		name += "_variants"
	}
	return name + ".metal"
}

// depth is the usual Variant.Depth.
const depth = 32

// Shape is a product as far as the choice of a variant depends on it; Linear.Shape returns a layer's.
type Shape struct {
	Norm bool  // with a layer norm: of a GemmNorm, not of a Gemm
	Type DType // of activations
	Bits int   // of quantised weights; 0: they are not quantised
	N, K int
	// FewRows allows variants with a Split, and leaves out most of those that are for many rows. It is a property of the layer and
	// not of a run, so that a row has the same bits in every run.
	FewRows bool
}

// kernel returns the name that Metal's kernels of the shape begin with.
func (s Shape) kernel() string {
	if s.Norm {
		return "gemm_norm"
	}
	return "gemm"
}

// listed is a variant of a kernel, with the shapes that have it and those of them whose runs take it without a Choice, where it
// fits. Both are by the registers of tools/check/registers, of which a thread has 128.
type listed struct {
	Variant   // rows, columns, SIMD-groups, depth, way
	has, fits func(Shape) bool
}

func every(Shape) bool          { return true }
func none(Shape) bool           { return false }
func half(s Shape) bool         { return s.Type == F16 }
func halfAndDense(s Shape) bool { return s.Type == F16 && s.Bits == 0 }
func halfOrDense(s Shape) bool  { return s.Type == F16 || s.Bits == 0 }
func few(s Shape) bool          { return s.FewRows }
func fewAndHalf(s Shape) bool   { return s.FewRows && s.Type == F16 }

func many(s Shape) bool         { return s.Type == F16 && !s.FewRows }
func manyAndDense(s Shape) bool { return many(s) && s.Bits == 0 }

// gemmVariants are those of gemm.metal and gemm_quant.metal, greatest first. 64 x 128 for a threadgroup reads 3/4 of the bytes
// of 64 x 64. But its 126 registers leave none for values that AMDGPU keeps in scalar registers.
var gemmVariants = []listed{
	{Variant{64, 32, 4, depth, Direct, 0}, manyAndDense, none},
	{Variant{64, 16, 4, depth, Direct, 0}, half, half},
	{Variant{64, 16, 4, 64, Direct, 0}, manyAndDense, none},
	{Variant{64, 16, 4, depth, Ahead, 0}, many, none},
	{Variant{32, 32, 4, depth, Direct, 0}, halfOrDense, halfOrDense},
	{Variant{32, 32, 4, 64, Direct, 0}, manyAndDense, none},
	{Variant{32, 32, 4, depth, Ahead, 0}, many, none},
	{Variant{32, 32, 4, depth, Staged, 0}, manyAndDense, none},
	{Variant{32, 16, 4, depth, Direct, 0}, every, every},
	{Variant{32, 16, 4, 64, Direct, 0}, many, none},
	{Variant{32, 16, 4, depth, Ahead, 0}, many, none},
	{Variant{32, 16, 4, depth, Staged, 0}, manyAndDense, none},
	{Variant{32, 16, 4, 64, Staged, 0}, many, none},
	{Variant{8, 32, 4, depth, Direct, 0}, every, every},
	{Variant{8, 32, 4, 64, Direct, 0}, half, none},
	{Variant{8, 32, 4, depth, Ahead, 0}, half, none},
	{Variant{16, 32, 4, depth, Direct, 4}, fewAndHalf, none},
	{Variant{8, 32, 4, depth, Direct, 4}, few, none},
	{Variant{8, 16, 4, depth, Direct, 4}, fewAndHalf, none},
	{Variant{8, 32, 8, depth, Direct, 8}, few, none},
}

// gemmNormVariants are those of gemm_norm.metal and gemm_norm_quant.metal. SIMD-groups share a whole row: twelve for H = 384, with
// 32 columns each. Wider rows take 48.
var gemmNormVariants = []listed{
	{Variant{32, 32, 0, depth, Direct, 0}, halfOrDense, half},
	{Variant{32, 32, 0, 64, Direct, 0}, halfAndDense, none},
	{Variant{32, 32, 0, depth, Ahead, 0}, half, none},
	{Variant{32, 48, 0, depth, Direct, 0}, halfAndDense, halfAndDense},
	{Variant{32, 48, 0, 64, Direct, 0}, halfAndDense, none},
	{Variant{16, 48, 0, depth, Direct, 0}, halfOrDense, halfOrDense},
	{Variant{16, 48, 0, 64, Direct, 0}, halfAndDense, none},
	{Variant{16, 48, 0, depth, Ahead, 0}, half, none},
	{Variant{8, 48, 0, depth, Direct, 0}, every, every},
	{Variant{8, 48, 0, 64, Direct, 0}, halfAndDense, none},
	{Variant{8, 48, 0, depth, Ahead, 0}, half, none},
}

// listed returns the variants of the shape, greatest first.
func (s Shape) listed() []listed {
	variants := gemmVariants
	if s.Norm {
		variants = gemmNormVariants
	}
	return slices.DeleteFunc(slices.Clone(variants), func(v listed) bool { return !v.has(s) })
}

// Candidates returns the variants for a shape that a device can run by its limits, greatest first.
func Candidates(s Shape, device metal.Info) []Variant {
	var all []Variant
	for _, v := range s.listed() {
		if v.exceeds(s, device) == nil {
			all = append(all, v.Variant)
		}
	}
	return all
}

// exceeds returns the limit of the device that the variant exceeds, as an error.
func (v Variant) exceeds(s Shape, device metal.Info) error {
	name := s.kernel() + " " + v.String()
	if err := overLimit(name, "bytes of threadgroup memory", v.memory(s), device.MaxThreadgroupMemoryBytes); err != nil {
		return err
	}
	return overLimit(name, "threads in a threadgroup", simdWidth*v.simdgroups(s.N), min(simdWidth*maxGroupSimdgroups, device.MaxThreadsPerGroup))
}

// memory returns the bytes of threadgroup memory: as the kernels' comments have them.
func (v Variant) memory(s Shape) int {
	if v.Split > 0 {
		return v.Split * v.Rows * v.Columns * 4
	}
	sizeBytes := 2 * v.Rows * (v.Depth + 8) * s.Type.Size()
	if v.Way == Staged {
		row := (v.Depth + 8) * s.Type.Size()
		if s.Bits != 0 {
			row = v.Depth*s.Bits/8 + 4
		}
		sizeBytes += v.simdgroups(s.N) * v.Columns * row
	}
	if s.Norm {
		sizeBytes += 2 * maxStrips * v.Rows * 4
	}
	return sizeBytes
}

// overLimit returns a *metal.LimitError for a kernel that takes more than the limit.
func overLimit(kernel, what string, got, limit int) error {
	if got <= limit {
		return nil
	}
	return &metal.LimitError{Kernel: kernel, What: what, Got: uint64(got), Limit: uint64(limit)}
}

// names are the variants' names, with commas between.
func names(variants []Variant) string {
	var all []string
	for _, v := range variants {
		all = append(all, v.String())
	}
	return strings.Join(all, ", ")
}

// maxGroupSimdgroups is the most that a threadgroup has: every pipeline may have their 384 threads, with all of a thread's
// 128 registers. It is also in rownorm.h.
const maxGroupSimdgroups = 12

// maxStrips are those of rownorm.h.
const maxStrips = 36

// simdgroups is how many a threadgroup has for rows of N columns.
func (v Variant) simdgroups(n int) int {
	if v.Simdgroups > 0 {
		return v.Simdgroups
	}
	return ceilDiv(n, v.Columns)
}

// groups is the grid for M rows and N columns.
func (v Variant) groups(m, n int) (columns, rows int) {
	width := v.Columns
	if v.Split == 0 {
		width *= v.simdgroups(n)
	}
	return ceilDiv(n, width), ceilDiv(m, v.Rows)
}
