package kernels

import "strings"

// tile is a threadgroup's share of a product: its rows, and the columns of each of its SIMD-groups.
type tile struct {
	name            string // as kernels end
	rows, columns   int
	fixedSimdgroups int // 0: as many as a row needs
}

// gemmTiles are the variants of gemm.metal, greatest first. 64 x 128 moves 3/4 of the bytes of the usual 64 x 64, and a
// SIMD-group's 64 x 32 leaves 64 registers of sums, which lets several threadgroups share a core.
var gemmTiles = []tile{
	{name: "64x32", rows: 64, columns: 32, fixedSimdgroups: 4},
	{name: "32x32", rows: 32, columns: 32, fixedSimdgroups: 4},
	{name: "8x32", rows: 8, columns: 32, fixedSimdgroups: 4},
}

// gemmNormTiles are those of gemm_norm.metal, whose SIMD-groups share out a whole row: eight for H = 384.
var gemmNormTiles = []tile{
	{name: "32x48", rows: 32, columns: 48},
	{name: "16x48", rows: 16, columns: 48},
	{name: "8x48", rows: 8, columns: 48},
}

// maxGroupSimdgroups is the most that a threadgroup may have: 1,024 threads.
const maxGroupSimdgroups = 32

// simdgroups is how many a threadgroup has for rows of N columns.
func (t *tile) simdgroups(n int) int {
	if t.fixedSimdgroups > 0 {
		return t.fixedSimdgroups
	}
	return ceilDiv(n, t.columns)
}

// groups is the grid for M rows and N columns.
func (t *tile) groups(m, n int) (columns, rows int) {
	return ceilDiv(n, t.columns*t.simdgroups(n)), ceilDiv(m, t.rows)
}

// groupsPerCore is how many threadgroups a core should get, so that one computes while another waits for memory. Not
// measured: no Mac has run this yet.
const groupsPerCore = 2

// choose returns the index of the greatest tile that still gives every core of the GPU enough to do and wastes no more
// than 1/16 of its rows; where none does, the smallest.
func choose(tiles []tile, m, n, cores int) int {
	for i := range tiles {
		columns, rows := tiles[i].groups(m, n)
		if columns*rows >= groupsPerCore*cores && 16*(rows*tiles[i].rows-m) <= m {
			return i
		}
	}
	return len(tiles) - 1
}

// gpuCores guesses the cores of a GPU by the name of its chip; Metal has no call that tells. Sizes are Apple's, of the
// larger variant of each chip: 10, 20, 40 and 80.
func gpuCores(device string) int {
	switch {
	case strings.HasSuffix(device, "Ultra"):
		return 80
	case strings.HasSuffix(device, "Max"):
		return 40
	case strings.HasSuffix(device, "Pro"):
		return 20
	}
	return 10
}
