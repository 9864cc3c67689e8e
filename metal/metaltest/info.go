package metaltest

import (
	"math/bits"
)

// testInfo checks a device's Info against the values that all our kernels assume.
func testInfo(t *subtest, r *rig) {
	info := r.device.Info()
	if info.Name == "" {
		t.Error("no name")
	}
	for _, least := range []struct {
		what      string
		got, want int
	}{
		{"MaxThreadsPerGroup", info.MaxThreadsPerGroup, 1024},
		{"MaxThreadgroupMemoryBytes", info.MaxThreadgroupMemoryBytes, 32 << 10},
		{"MaxBufferSizeBytes", info.MaxBufferSizeBytes, 256 << 20},
		{"PageSizeBytes", info.PageSizeBytes, 4096},
		{"WorkingSetSizeBytes", info.WorkingSetSizeBytes, 0},
	} {
		if least.got < least.want {
			t.Errorf("%s is %d, want at least %d", least.what, least.got, least.want)
		}
	}
	if info.SIMDWidth != 32 {
		t.Errorf("SIMDWidth is %d, want 32", info.SIMDWidth)
	}
	if bits.OnesCount(uint(info.PageSizeBytes)) != 1 {
		t.Errorf("PageSizeBytes is %d, want a power of two", info.PageSizeBytes)
	}

	kernel := r.pipeline(t, "reverse_static").Info()
	if kernel.Kernel != "reverse_static" {
		t.Errorf("the pipeline calls its kernel %q, want %q", kernel.Kernel, "reverse_static")
	}
	if kernel.MaxThreads < 1 || kernel.MaxThreads > info.MaxThreadsPerGroup {
		t.Errorf("MaxThreads is %d, want 1 to %d", kernel.MaxThreads, info.MaxThreadsPerGroup)
	}
	if kernel.SIMDWidth != info.SIMDWidth {
		t.Errorf("the pipeline's SIMD width is %d, the device's %d", kernel.SIMDWidth, info.SIMDWidth)
	}
	if got := kernel.ThreadgroupMemoryBytes; got < 4096 || got > 4096+64 { // 1024 uint; a driver may add to them
		t.Errorf("reverse_static declares 4096 bytes of threadgroup memory, the pipeline says %d", got)
	}
	if got := r.pipeline(t, "advance").Info().ThreadgroupMemoryBytes; got != 0 {
		t.Errorf("advance declares no threadgroup memory, the pipeline says %d bytes", got)
	}
}
