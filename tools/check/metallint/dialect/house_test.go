package dialect

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/metal"
)

func TestHouse(t *testing.T) {
	const header = "// k.metal: y[i] = 1\n// Buffers: 0 y [n] f32\n// Grid: n\n// Needs: nothing\n"
	long := func(n int) string { return strings.Repeat("    y[0] += 1;\n", n) }
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"right", header + prelude + "kernel void k(device float* y [[buffer(0)]]) {\n" + long(148) + "}\n", nil},
		{"long body", header + prelude + "kernel void k(device float* y [[buffer(0)]]) {\n" + long(149) + "}\n", []string{"7 length"}},
		{"long file", header + prelude + "kernel void k(device float* y [[buffer(0)]]) { y[0] = 1; }\n" +
			strings.Repeat("\n", 294), []string{"301 length"}},
		{"no header", prelude + "kernel void k(device float* y [[buffer(0)]]) { y[0] = 1; }\n",
			[]string{"1 header", "1 header", "1 header"}},
		{"half a header", "// Buffers: 0\n// Needs: nothing\n" + prelude + "kernel void k(device float* y [[buffer(0)]]) {}\n",
			[]string{"1 header"}},
		{"no kernels, no header", prelude + "inline float f(float x) { return x; }\n", nil},
		{"fast", header + prelude + "kernel void k(device float* y [[buffer(0)]]) {\n    y[0] = fast::exp(y[1]);\n" +
			"    y[0] = fast::exp(y[1]); // why\n    // why\n    y[0] = fast::exp(y[1]);\n}\n", []string{"8 fast"}},
		{"a function of the library", header + prelude + "float dot(device float* x) { return x[0]; }\n" +
			"kernel void k(device float* y [[buffer(0)]]) { y[0] = dot(y); }\n", []string{"7 names"}},
		{"simulator", header + "#ifdef METALRANK_SIM\n#endif\n#if defined(__linux__) || X\n#endif\n#if __METAL_VERSION__ > 310\n#endif\n" +
			prelude + "kernel void k(device float* y [[buffer(0)]]) {}\n", []string{"5 simulator", "7 simulator"}},
		{"simd is no simulator", header + "#ifdef SIMD_WIDTH\n#endif\n#if SIMDGROUPS > 1\n#endif\n" + prelude +
			"kernel void k(device float* y [[buffer(0)]]) {}\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			problems := check(t, metal.Source{Name: "k.metal", Text: tt.text}, Options{House: true})
			var got []string
			for _, p := range problems {
				got = append(got, fmt.Sprintf("%d %s", p.Line, p.Rule))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", problems, tt.want)
			}
			if len(tt.want) > 0 {
				for _, p := range check(t, metal.Source{Name: "k.metal", Text: tt.text}, Options{}) {
					t.Errorf("without house rules: %s", p)
				}
			}
		})
	}
}
