package kernels

import "testing"

func TestTuned(t *testing.T) {
	table := []tuning{
		{"Apple M2", "gemm", 1152, 384, 64, "8x32"}, {"Apple M2", "gemm", 1152, 384, 1 << 30, "32x32"},
		{"Apple M2", "gemm", 96, 384, 1 << 30, "7x7"},
	}
	for _, c := range []struct {
		device, kernel string
		m, n, k        int
		want           int
		ok             bool
	}{
		{"Apple M2", "gemm", 64, 1152, 384, 2, true},
		{"Apple M2", "gemm", 65, 1152, 384, 1, true},
		{"Apple M2", "gemm_norm", 65, 1152, 384, 0, false},
		{"Apple M2 Max", "gemm", 65, 1152, 384, 0, false},
		{"Apple M2", "gemm", 65, 1152, 385, 0, false},
		{"Apple M2", "gemm", 65, 96, 384, -1, false}, // no such tile
	} {
		got, ok := tuned(table, gemmTiles, c.device, c.kernel, c.m, c.n, c.k)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%+v: %d, %v", c, got, ok)
		}
	}
	l := &chooser{kernel: "gemm", cores: 10, forced: 1}
	if got := l.choose(gemmTiles, 4096, 1152, 384); got != 1 {
		t.Errorf("forced to take tile 1, it takes %d", got)
	}
}
