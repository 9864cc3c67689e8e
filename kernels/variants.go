package kernels

import (
	"fmt"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/metal"
)

// Variant is one way to compute a product. All variants of a shape give the same bits; they differ in the share of a
// threadgroup and in the way of its operands, and so in time.
//
// Package kernels/tune lists the Candidates of a product's Shape, times Product.By of each, and makes the best a Choice.
type Variant struct {
	Rows       int // of the result, that a threadgroup makes
	Columns    int // of the result, that a SIMD-group makes
	Simdgroups int // in a threadgroup, side by side; 0: as many as a whole row takes
}

// String returns the name of the variant, the end of its kernel's name: "32x16".
func (v Variant) String() string { return fmt.Sprintf("%dx%d", v.Rows, v.Columns) }

// Shape is a product as far as the choice of a variant depends on it; Linear.Shape returns a layer's.
type Shape struct {
	Norm bool  // with a layer norm: of a GemmNorm, not of a Gemm
	Type DType // of activations
	Bits int   // of quantised weights; 0: they are not quantised
	N, K int
}

// kernel returns the name that Metal's kernels of the shape begin with.
func (s Shape) kernel() string {
	if s.Norm {
		return "gemm_norm"
	}
	return "gemm"
}

// variants of gemm.metal and gemm_quant.metal, greatest first. 64 x 128 moves 3/4 of the bytes of the usual 64 x 64, and a
// SIMD-group's 64 x 32 leaves 64 registers of sums, which lets several threadgroups share a core.
var gemmVariants = []Variant{
	{Rows: 64, Columns: 32, Simdgroups: 4},
	{Rows: 32, Columns: 32, Simdgroups: 4},
	{Rows: 8, Columns: 32, Simdgroups: 4},
}

// variants of gemm_norm.metal and gemm_norm_quant.metal. SIMD-groups share a whole row: eight for H = 384.
var gemmNormVariants = []Variant{
	{Rows: 32, Columns: 48},
	{Rows: 16, Columns: 48},
	{Rows: 8, Columns: 48},
}

// variants returns those of the shape's kernel.
func (s Shape) variants() []Variant {
	if s.Norm {
		return gemmNormVariants
	}
	return gemmVariants
}

// Candidates returns the variants for a shape that a device can run by its limits, greatest first.
func Candidates(s Shape, device metal.Info) []Variant {
	return slices.DeleteFunc(slices.Clone(s.variants()), func(v Variant) bool { return v.exceeds(s, device) != nil })
}

// exceeds returns the limit of the device that the variant exceeds, as an error.
func (v Variant) exceeds(s Shape, device metal.Info) error {
	return overLimit(s.kernel()+" "+v.String(), "threads in a threadgroup", simdWidth*v.simdgroups(s.N), min(simdWidth*maxGroupSimdgroups, device.MaxThreadsPerGroup))
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

// simdgroups is how many a threadgroup has for rows of N columns.
func (v Variant) simdgroups(n int) int {
	if v.Simdgroups > 0 {
		return v.Simdgroups
	}
	return ceilDiv(n, v.Columns)
}

// groups is the grid for M rows and N columns.
func (v Variant) groups(m, n int) (columns, rows int) {
	return ceilDiv(n, v.Columns*v.simdgroups(n)), ceilDiv(m, v.Rows)
}
