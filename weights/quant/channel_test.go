package quant

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestStepsAreKept: weights that are codes times a scale have that scale, or a multiple of it, and come back as they were,
// so that quantising again adds no error. The scale itself may be off by the rounding of the product it was found in.
func TestStepsAreKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		levels := rapid.IntRange(1, ChannelLevels).Draw(t, "levels")
		codes := rapid.SliceOfN(rapid.IntRange(-levels, levels), 1, 400).Draw(t, "codes")
		scale := rapid.Float32Range(1e-6, 1e3).Draw(t, "scale")
		w := make([]float32, len(codes))
		for i, code := range codes {
			w[i] = float32(code) * scale
		}
		back, stored := make([]float32, len(w)), make([]byte, len(w))
		found := FitChannel(w, levels)
		EncodeChannel(stored, w, found)
		DecodeChannel(back, stored, found)
		for i, v := range w {
			if d := math.Abs(float64(back[i] - v)); d > 2.5e-7*math.Abs(float64(v)) {
				t.Fatalf("weight %d: %g became %g, with scale %g of %g", i, v, back[i], found, scale)
			}
			if code := int8(stored[i]); int(code) > levels || int(code) < -levels {
				t.Fatalf("weight %d: code %d, want at most %d", i, code, levels)
			}
		}
	})
}

// TestFitChannel: rows that lie on no steps are scaled by their largest weight.
func TestFitChannel(t *testing.T) {
	for _, c := range []struct {
		name string
		w    []float32
		code int
		want float32
	}{
		{"no steps", []float32{1, -3, math.Pi}, 127, math.Pi / 127},
		{"more steps than codes", []float32{1, 200}, 127, float32(200) / 127},
		{"more steps than asked for", []float32{1, -56}, 55, float32(56) / 55},
		{"as many as asked for", []float32{1, -55}, 55, 1},
		{"off by one part in a million", []float32{1, 2.000002, 5}, 127, float32(5) / 127},
		{"zeros", []float32{0, 0}, 127, 1},
		{"none", nil, 127, 1},
		{"the smallest weight is two steps", []float32{0.5, 0.75}, 127, 0.25},
		{"infinity", []float32{1, float32(math.Inf(1))}, 127, float32(math.Inf(1))},
		{"subnormal", []float32{1e-45, 3e-45}, 127, 1e-45},
	} {
		if got := FitChannel(c.w, c.code); got != c.want {
			t.Errorf("%s: scale %g, want %g", c.name, got, c.want)
		}
	}
}
