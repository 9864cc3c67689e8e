package kernels

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
)

// TestConstants wants a value of the right type for each function constant of params.h.
func TestConstants(t *testing.T) {
	header, err := files.ReadFile("params.h")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	types := map[string]metal.ConstantType{"uint": metal.ConstantUint, "bool": metal.ConstantBool}
	for _, m := range regexp.MustCompile(`(?m)^#define CONSTANT_\w+ +(\d+) +// (\w+): `).FindAllStringSubmatch(string(header), -1) {
		want = append(want, fmt.Sprintf("index %s, type %d", m[1], types[m[2]]))
	}
	for _, c := range (&constants{}).values() {
		got = append(got, fmt.Sprintf("index %d, type %d", c.Index, c.Type))
	}
	if len(want) < 8 || !slices.Equal(got, want) {
		t.Errorf("values of %q, want %q", got, want)
	}
}

// TestMissingConstant leaves out one constant at a time: there is no pipeline of a kernel that uses it, as on Metal.
func TestMissingConstant(t *testing.T) {
	device := simtest.Open(t, sim.Config{})
	for _, test := range []struct {
		file, kernel string
		uses         []uint32
	}{
		{"gemm.metal", "gemm_f16_nt_8x32", []uint32{0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 19}},
		{"gemm_quant.metal", "gemm_q8_f16_nt_8x32", []uint32{0, 1, 2, 3, 4, 5, 6, 12, 13, 14, 15, 19}},
		{"gemm_norm_quant.metal", "gemm_norm_q4_f32_nt_8x48", []uint32{0, 1, 2, 3, 4, 5, 6, 12, 13, 14, 15, 19}},
		{"head.metal", "head_f16", []uint32{0, 2, 4, 14, 17, 18, 19}},
		{"norm.metal", "norm_f16_wide", []uint32{1}},
		{"embed.metal", "embed_f16_384", []uint32{7, 15, 16}},
		{"pool.metal", "pool_f16", []uint32{14, 19}},
		{"head_norm.metal", "head_norm_f16", []uint32{2, 5, 13}},
		{"attention.metal", "attention_f32_64", []uint32{5, 8, 9, 10, 11, 20, 21}},
	} {
		source, err := metal.LoadSource(files, test.file)
		if err != nil {
			t.Fatal(err)
		}
		library, err := device.NewLibrary(source)
		if err != nil {
			t.Fatal(err)
		}
		simtest.CloseLater(t, library)
		for _, left := range (&constants{}).values() {
			rest := slices.DeleteFunc((&constants{}).values(), func(c metal.Constant) bool { return c == left })
			pipeline, err := library.Pipeline(test.kernel, rest...)
			if err == nil {
				simtest.CloseLater(t, pipeline)
			}
			compile, refused := errors.AsType[*metal.CompileError](err)
			if refused != slices.Contains(test.uses, left.Index) || refused && compile.Kernel != test.kernel {
				t.Errorf("%s without constant %d: %v", test.kernel, left.Index, err)
			}
		}
	}
}
