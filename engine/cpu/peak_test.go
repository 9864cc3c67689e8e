package cpu

import (
	"math"
	"testing"
	"time"
)

// TestPeaks wants a rate for every precision that the variant has a chain for, and for every copy. It has no bounds for the
// rates: another program may have the cores meanwhile.
func TestPeaks(t *testing.T) {
	rate := func(name string, x float64) {
		t.Helper()
		if !(x > 0) || math.IsInf(x, 0) {
			t.Errorf("%s: %g a second", name, x)
		}
	}
	p, err := MeasurePeaks(Options{Workers: 2}, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if p.Variant == "" || p.Workers != 2 {
		t.Errorf("%+v", p)
	}
	if p.Variant != "portable" {
		for _, precision := range []Precision{FP32, Int8} {
			rate(string(precision), p.FLOPS[precision])
		}
	}
	rate("copies in the cache", p.CacheCopy)
	rate("copies in the shared cache", p.SharedCopy)
	rate("copies in memory", p.MemoryCopy)
	if _, err := MeasurePeaks(Options{Variant: "abacus"}, time.Millisecond); err == nil {
		t.Error("a variant that there is not was measured")
	}
}
