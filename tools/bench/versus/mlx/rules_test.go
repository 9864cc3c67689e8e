package mlx

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// TestRules compares the rules with values worked out by hand from MLX's host code.
func TestRules(t *testing.T) {
	base, large := GPUs[0], GPUs[1]
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"nt tile, base", base.gemmTile(true).String(), "bm64_bn32_bk32_wm2_wn2"},
		{"nn tile, base", base.gemmTile(false).String(), "bm64_bn64_bk16_wm1_wn2"},
		{"nt tile, max", large.gemmTile(true).String(), "bm64_bn64_bk16_wm2_wn2"},
		{"a large product", base.splitsK(2048, 1536, 384, 1), false},
		{"32·96 tiles are more than 2,048", large.splitsK(2048, 384, 1536, 1), false},
		{"64·24 tiles are more than 1,024", base.splitsK(1024, 384, 1536, 1), false},
		{"and fewer than 2,048", large.splitsK(1024, 384, 1536, 1), true},
		{"k below m", large.splitsK(512, 384, 384, 1), false},
		{"a batch", base.splitsK(32, 384, 384, 2), false},
		{"8 threads of 8", rowThreads(64, 8), 32},
		{"48 threads", rowThreads(384, 8), 64},
		{"128 threads", rowThreads(512, 4), 128},
		{"little to do", workPerThread(65535), 1},
		{"much to do", workPerThread(65536), 4},
		{"flat block", blockDims([3]int{384, 32, 1}), [3]int{32, 32, 1}},
		{"narrow block", blockDims([3]int{16, 12, 16384}), [3]int{16, 8, 8}},
		{"small block", blockDims([3]int{2, 3, 1}), [3]int{2, 2, 1}},
		{"enough tiles", qmmSplitK(2048, 384, 1536, 64), 1},
		{"16 tiles, and 6 groups of 64", qmmSplitK(32, 512, 384, 64), 6},
		{"a row of the weight for each SIMD-group", gemvTile(768, 768), gemvShape{4, 1, 1, 32, 4}},
		{"many outputs", gemvTile(768, 4096), gemvShape{8, 1, 1, 32, 4}},
		{"short rows", gemvTile(64, 4096), gemvShape{1, 1, 8, 4, 4}},
		{"long rows of few outputs", gemvTile(768, 48), gemvShape{1, 8, 1, 32, 4}},
		{"and of one more", gemvTile(768, 49), gemvShape{4, 1, 1, 32, 4}},
		{"fewer outputs than rows of a thread", gemvTile(384, 3), gemvShape{1, 8, 1, 32, 1}},
		{"15 rows", base.gemvIsWide(15, 768, 768), true},
		{"16 rows", base.gemvIsWide(16, 768, 768), false},
		{"one row", base.gemvIsWide(1, 768, 768), false},
		{"one output", base.gemvIsWide(4, 1, 768), false},
		{"k beside fours", base.gemvIsWide(4, 768, 770), false},
		{"an M2", GPU{"", 'g', 14}.gemvIsWide(4, 768, 768), false},
		{"heads of 64", fuses(64, 9), true},
		{"heads of 32", fuses(32, 64), false},
		{"heads of 80, few queries", fuses(80, 8), false},
		{"heads of 256", fuses(256, 9), false},
		{"heads of 256, few queries", fuses(256, 8), true},
	} {
		if diff := cmp.Diff(c.want, c.got, cmp.AllowUnexported(gemvShape{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
}

// TestSplitK divides the pooler of 32 sequences as steel_gemm_splitk_axpby does.
func TestSplitK(t *testing.T) {
	tile, parts, size := splitK(32, 384, 384)
	if got := tile.String(); got != "bm16_bn32_bk16_wm2_wn2" || parts != 2 || size != 192 {
		t.Errorf("%s, %d parts of %d, want bm16_bn32_bk16_wm2_wn2, 2 of 192", got, parts, size)
	}
}

// TestGemvWide divides 2 to 15 rows as gemv_wide_config does: at most five share a pass.
func TestGemvWide(t *testing.T) {
	for _, c := range []struct{ m, n, passes, vectors, lanes int }{
		{4, 768, 1, 4, 32}, {5, 768, 1, 5, 32}, {6, 768, 2, 3, 16}, {11, 768, 3, 4, 16}, {15, 64, 3, 5, 32},
	} {
		if passes, vectors, lanes := gemvWide(c.m, c.n); passes != c.passes || vectors != c.vectors || lanes != c.lanes {
			t.Errorf("%d rows, %d outputs: %d passes of %d by %d lanes, want %+v", c.m, c.n, passes, vectors, lanes, c)
		}
	}
}

// TestAmended wants every amendment made, and a file that has changed refused.
func TestAmended(t *testing.T) {
	files := fstest.MapFS{}
	for _, a := range amendments {
		name := kernelFolder + a.file
		if files[name] == nil {
			files[name] = &fstest.MapFile{}
		}
		files[name].Data = append(files[name].Data, a.old...)
	}
	// Later amendments begin with the shortened array declarations.
	root := amended{files, "root"}
	for name := range files {
		if _, err := fs.ReadFile(root, name); err != nil {
			t.Error(err)
		}
		files[name].Data = []byte("something else")
		if _, err := fs.ReadFile(root, name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s changed: %v", name, err)
		}
	}
	if text, err := fs.ReadFile(root, rootName); err != nil || string(text) != "root" {
		t.Errorf("root: %q, %v", text, err)
	}
}

// TestSet wants arguments laid out as C's structs are: little-endian, one value after another.
func TestSet(t *testing.T) {
	got := bindBytes(5, ints(1, -1), int64(2), []float32{1})
	want := []byte{1, 0, 0, 0, 255, 255, 255, 255, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 63}
	if diff := cmp.Diff(want, got.bytes); diff != "" || got.index != 5 {
		t.Errorf("index %d (-want +got):\n%s", got.index, diff)
	}
}
