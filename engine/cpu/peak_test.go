package cpu

import (
	"testing"
	"time"
)

// TestPeaks has a peak for every precision that the machine computes in, and caches that are not slower than memory by
// far.
func TestPeaks(t *testing.T) {
	p, err := MeasurePeaks(Options{Workers: 1}, 5*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if p.Variant != "portable" && (p.FLOPS[FP32] < 1e8 || p.FLOPS[Int8] < p.FLOPS[FP32]/4) {
		t.Errorf("%+v", p)
	}
	if p.MemoryCopy < 1e7 || p.CacheCopy < p.MemoryCopy/4 || p.SharedCopy < p.MemoryCopy/4 {
		t.Errorf("copies: %+v", p)
	}
	if _, err := MeasurePeaks(Options{Variant: "abacus"}, time.Millisecond); err == nil {
		t.Error("a variant that there is not was measured")
	}
}
