package mlx

import (
	"fmt"
	"slices"
)

// GPU has the properties of a device by which MLX's host code chooses kernels.
type GPU struct {
	Name string
	// Class is the last letter of the architecture's name: 'g' for the base chips, 's' for Max, 'd' for Ultra.
	Class byte
	// Generation is the number in the architecture's name: 15 is the M3.
	Generation int
}

// GPUs are the supported ones. Generation 17 (M5) has kernels of its own, which use instructions that the simulator
// doesn't have; they are left out.
var GPUs = []GPU{{"base", 'g', 15}, {"max", 's', 15}}

// tile is how a steel GEMM is divided: bm×bn of the output in a threadgroup of wm×wn simdgroups, bk of the inner
// dimension at a time.
type tile struct{ bm, bn, bk, wm, wn int }

// gemmTile is GEMM_TPARAM_MACRO of matmul.cpp for half, without large devices, which choose by size too.
func (g GPU) gemmTile(transposeB bool) tile {
	switch {
	case g.Class == 'g' && transposeB:
		return tile{64, 32, 32, 2, 2}
	case g.Class == 'g':
		return tile{64, 64, 16, 1, 2}
	default:
		return tile{64, 64, 16, 2, 2}
	}
}

// splitsK is the first case of steel_matmul_axpby: few tiles and a large inner dimension.
func (g GPU) splitsK(m, n, k, batch int) bool {
	most := 1024
	if g.Class == 's' || g.Class == 'd' {
		most = 2048
	}
	return batch == 1 && ceilDiv(m, 16)*ceilDiv(n, 16) <= most && k/16 >= 8 && k >= max(m, n)
}

// splitK is the division of steel_gemm_splitk_axpby: its tile, the number of partitions, and their size in k.
func splitK(m, n, k int) (t tile, partitions, size int) {
	t = tile{32, 32, 16, 2, 2}
	if m < 40 {
		t.bm = 16
	}
	if n < 40 {
		t.bn = 16
	}
	partitions = min(max(2, nextPowerOf2(k/16/(ceilDiv(m, 32)*ceilDiv(n, 32)))), 32)
	return t, partitions, k / t.bk / partitions * t.bk
}

// gemvShape is how a product of a matrix and a vector is divided: bm×bn SIMD-groups in a threadgroup, sm×sn lanes in each,
// tm rows a thread.
type gemvShape struct{ bm, bn, sm, sn, tm int }

// gemvTile is the part of gemv_axbpy for a matrix that is not transposed (matmul.cpp, line 1164): long rows of few outputs
// are divided among eight SIMD-groups.
func gemvTile(k, outputs int) gemvShape {
	t := gemvShape{bm: 4, bn: 1, sm: 1, sn: 32, tm: 4}
	if outputs >= 4096 {
		t.bm = 8
	}
	switch {
	case k <= 64:
		t.bm, t.sm, t.sn = 1, 8, 4
	case k >= 16*outputs:
		t.bm, t.bn = 1, 8
	}
	if outputs < t.tm {
		t.tm = 1
	}
	return t
}

// gemvIsWide is the choice of gemv_wide_config (matmul.cpp, line 1299) for operands that lie at multiples of four: 2 to 15
// rows, from the M3 on.
func (g GPU) gemvIsWide(m, n, k int) bool {
	return g.Generation >= 15 && m > 1 && m <= 15 && n > 1 && k%4 == 0
}

// gemvWide is the division of gemv_wide_config for fewer than 65,536 outputs: passes over the weight, rows in each, and the
// lanes that share a row of the weight.
func gemvWide(m, n int) (passes, vectors, lanes int) {
	passes, lanes = ceilDiv(m, 5), 16
	if passes == 1 || n <= 64 {
		lanes = 32
	}
	return passes, ceilDiv(m, passes), lanes
}

// fewQueries are so few that attention has a kernel of its own for them (scaled_dot_product_attention.cpp, line 807).
const fewQueries = 8

// fuses says whether MLX has a fused kernel for heads of d and takes it (has_fused_kernel and use_fallback of
// scaled_dot_product_attention.cpp, lines 593 and 712).
func fuses(d, queries int) bool {
	if queries <= fewQueries {
		return slices.Contains([]int{64, 96, 128, 256}, d)
	}
	return slices.Contains([]int{64, 72, 80, 96, 128}, d)
}

// workPerThread is get_work_per_thread of utils.h for half: 8 bytes a thread, one element where there is little to do.
func workPerThread(elements int) int {
	if elements < 1<<16 {
		return 1
	}
	return 4
}

// blockDims is get_block_dims: powers of two, grown in turn while they fit, up to 1024 threads.
func blockDims(grid [3]int) [3]int {
	block, threads := [3]int{1, 1, 1}, 1
	for before := 0; before != threads && threads < 1024; {
		before = threads
		for axis := range block {
			if threads < 1024 && grid[axis] >= 2*block[axis] {
				block[axis] *= 2
				threads *= 2
			}
		}
	}
	return block
}

// rowThreads is how normalization.cpp and softmax.cpp size a threadgroup that has one row: so many elements a thread,
// in whole simdgroups.
func rowThreads(axis, reads int) int { return ceilDiv(ceilDiv(axis, reads), 32) * 32 }

// qmmSplitK is qmm_splitk of quantized.cpp: the number of parts of k, for about 512 threadgroups; 1: k stays whole and
// qmm runs.
func qmmSplitK(m, n, k, group int) int {
	align := max(group, 32)
	parts := min(max(1, 512/(ceilDiv(n, 32)*ceilDiv(m, 32))), k/align)
	for parts > 1 && k%(parts*align) != 0 {
		parts--
	}
	return parts
}

func letter(b bool) string {
	if b {
		return "t"
	}
	return "n"
}

func (t tile) String() string {
	return fmt.Sprintf("bm%d_bn%d_bk%d_wm%d_wn%d", t.bm, t.bn, t.bk, t.wm, t.wn)
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

func nextPowerOf2(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}
