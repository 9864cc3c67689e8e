package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/metalrank/metalrank/metal"
)

// kernelText is a kernel that adds N products up; UNROLL is put before its loop.
const kernelText = `#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;
template <typename T, int N>
kernel void sum(device const T* a [[buffer(0)]], device float* y [[buffer(1)]], uint lane [[thread_index_in_simdgroup]]) {
    simdgroup_float8x8 sums[N];
    UNROLL
    for (uint i = 0; i < N; i++) {
        sums[i] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
    }
    for (uint k = 0; k < 64; k++) {
        simdgroup_matrix<T, 8, 8> left;
        left.thread_elements()[0] = a[2 * k];
        left.thread_elements()[1] = a[2 * k + 1];
        const simdgroup_matrix<T, 8, 8> right = left;
        UNROLL
        for (uint i = 0; i < N; i++) {
            simdgroup_multiply_accumulate(sums[i], left, right, sums[i]);
        }
    }
    UNROLL
    for (uint i = 0; i < N; i++) {
        y[64 * i + lane] = sums[i].thread_elements()[0];
    }
}
template [[host_name("sum_f16")]] [[kernel]] decltype(sum<half, COUNT>) sum<half, COUNT>;
template [[host_name("sum_f32")]] [[kernel]] decltype(sum<float, COUNT>) sum<float, COUNT>;
`

func TestKernels(t *testing.T) {
	t.Chdir("../../..")
	clang, err := findClang(t.Context())
	if errors.Is(err, metal.ErrNoDevice) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	const unroll = `_Pragma("clang loop unroll(full)")`
	for _, test := range []struct {
		unroll            string
		sums, products    int
		onStack, spilling bool
	}{
		{"", 60, 1, true, false}, {unroll, 12, 12, false, false}, {unroll, 60, 60, false, false}, {unroll, 70, 70, false, true},
	} {
		text := strings.NewReplacer("UNROLL", test.unroll, "COUNT", strconv.Itoa(test.sums)).Replace(kernelText)
		found, err := clang.kernels(t.Context(), fstest.MapFS{"sum.metal": &fstest.MapFile{Data: []byte(text)}}, "sum.metal")
		if err != nil {
			t.Fatal(err)
		}
		name := func(dtype string) string { return fmt.Sprintf("sum.metal sum<%s, %d>", dtype, test.sums) }
		if len(found) != 2 || found[0].name != name("float") || found[1].name != name("half") {
			t.Fatalf("%+v", found)
		}
		for _, k := range found {
			if k.products != test.products || (k.onStack != "-") != test.onStack {
				t.Errorf("with %q: %+v", test.unroll, k)
			}
			// A sum is two registers, of which there are 128.
			if fits := !test.onStack && !test.spilling; clang.amdgpu && (fits && k.registers < 2*test.sums || !test.onStack && (k.spilled > 0) != test.spilling) {
				t.Errorf("with %d sums: %+v", test.sums, k)
			}
		}
	}
}

func TestCompare(t *testing.T) {
	budget := []kernel{{"a", 16, "-", 80, 0}, {"b", 64, "[4 x float]", 128, 3}}
	for _, c := range []struct {
		found         []kernel
		withRegisters bool
		want          string // "": as the budget
	}{
		{budget, true, ""},
		{[]kernel{{"a", 16, "-", 79, 0}, {"b", 64, "[4 x float]", 120, 0}}, true, ""},
		{[]kernel{{"a", 16, "-", 81, 0}, budget[1]}, true, "a: 81 registers, the budget is 80"},
		{[]kernel{{"a", 16, "-", 81, 1}, budget[1]}, false, ""},
		{[]kernel{{"a", 16, "-", 80, 1}, budget[1]}, true, "a: 1 registers are spilled, the budget is 0"},
		{[]kernel{{"a", 4, "-", 80, 0}, budget[1]}, false, "a: 4 products, want 16"},
		{[]kernel{budget[0], {"b", 64, "-", 128, 3}}, false, "b: on the stack is -, want [4 x float]"},
		{[]kernel{budget[0]}, true, "b: is in the budget alone"},
		{append(slices.Clone(budget), kernel{name: "c"}), true, "c: has no budget"},
	} {
		var out strings.Builder
		err := compare(&out, budget, c.found, c.withRegisters)
		if got := strings.TrimSuffix(out.String(), "\n"); got != c.want || (err == nil) != (c.want == "") {
			t.Errorf("%+v: %q, %v, want %q", c.found, got, err, c.want)
		}
	}
}

func TestBudget(t *testing.T) {
	kernels := []kernel{{"a b<half, 4>", 16, "-", 80, 0}, {"c", 64, "[4 x float] float", 128, 3}}
	got, major, err := parse(format(kernels, 19))
	if err != nil || major != 19 || !slices.Equal(got, kernels) {
		t.Errorf("%+v, %d, %v", got, major, err)
	}
	for _, text := range []string{"", "# by clang 19:\n", "# by clang 19:\n" + columns + "\na\t1\n", "# by clang 19:\n" + columns + "\na\tx\t-\t1\t1\n"} {
		if _, _, err := parse(text); err == nil {
			t.Errorf("parsed %q", text)
		}
	}
}

func TestSpecialise(t *testing.T) {
	const text = `static uint simdgroups; static sim::shim::ConstantOf<uint> simdgroups_registration(4, "simdgroups", simdgroups);` +
		`static bool two; static sim::shim::DerivedOf two_registration([] { two = simdgroups == 2; });`
	const want = `static constexpr uint simdgroups = uint(4);static constexpr bool two = simdgroups == 2;`
	if got, err := specialise(text, nil); err != nil || got != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	other := map[string]string{"simdgroups": "8"}
	want8 := strings.Replace(want, "(4)", "(8)", 1)
	if got, err := specialise(text, other); err != nil || got != want8 || suffixOf(other) != " simdgroups=8" || !hasAll(text, other) {
		t.Errorf("%q, %v, want %q", got, err, want8)
	}
	if other["window"] = "1"; hasAll(text, other) {
		t.Error("it has a window")
	}
	if got, err := specialise(strings.ReplaceAll(text, "simdgroups", "unheard"), nil); err == nil {
		t.Errorf("gave a value to a constant without one: %q", got)
	}
}
