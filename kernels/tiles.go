package kernels

import (
	"slices"
	"strings"
)

// tile is a threadgroup's share of a product: its rows, and the columns of each of its SIMD-groups.
type tile struct {
	name            string // suffix of the kernels' names
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

// gemmNormTiles are the variants of gemm_norm.metal. Its SIMD-groups share a whole row: eight for H = 384.
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

// tuning is a tile that was measured to be the fastest of a device, for products of N columns that sum over K terms and
// have up to so many rows. `kprof --sweep-tiles` prints them.
type tuning struct {
	device     string // metal.Info.Name
	kernel     string // gemm or gemm_norm
	n, k, rows int
	tile       string
}

// tunings are in the order of rows. Where a device or a shape has none, choose's rule decides. No Mac has run this yet, so
// that there are none.
var tunings []tuning

// tuned returns the index of the tile that tunings have for a product.
func tuned(tunings []tuning, tiles []tile, device, kernel string, m, n, k int) (index int, ok bool) {
	for i := range tunings {
		t := &tunings[i]
		if t.device == device && t.kernel == kernel && t.n == n && t.k == k && m <= t.rows {
			index = slices.IndexFunc(tiles, func(other tile) bool { return other.name == t.tile })
			return index, index >= 0
		}
	}
	return 0, false
}

// chooser picks tiles for the products of a library.
type chooser struct {
	kernel string
	device string
	cores  int
	forced int // index in the tiles; less than 0: none
}

func (l *Library) chooser(kernel string, tiles []tile) chooser {
	name := l.device.Info().Name
	forced := slices.IndexFunc(tiles, func(t tile) bool { return t.name == l.forced })
	return chooser{kernel: kernel, device: name, cores: gpuCores(name), forced: forced}
}

// choose returns the index of the tile for a product of M rows, N columns and K terms.
func (c *chooser) choose(tiles []tile, m, n, k int) int {
	if c.forced >= 0 {
		return c.forced
	}
	if i, ok := tuned(tunings, tiles, c.device, c.kernel, m, n, k); ok {
		return i
	}
	return choose(tiles, m, n, c.cores)
}

// Tiles are the names of a kernel's tiles, greatest first: of gemm or gemm_norm.
func Tiles(kernel string) []string {
	tiles := gemmTiles
	if kernel == "gemm_norm" {
		tiles = gemmNormTiles
	}
	var names []string
	for i := range tiles {
		names = append(names, tiles[i].name)
	}
	return names
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
