package main

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/sim"
)

// kernelText is a kernel that sums up four products N times; UNROLL is put before its loop.
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
template [[host_name("sum_f16")]] [[kernel]] decltype(sum<half, 12>) sum<half, 12>;
template [[host_name("sum_f32")]] [[kernel]] decltype(sum<float, 12>) sum<float, 12>;
`

func TestCompile(t *testing.T) {
	t.Chdir("../../..")
	clang, err := sim.FindCompiler("")
	if errors.Is(err, metal.ErrNoDevice) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		unroll   string
		products int
		onStack  bool
	}{{"", 1, true}, {`_Pragma("clang loop unroll(full)")`, 12, false}} {
		text := strings.ReplaceAll(kernelText, "UNROLL", test.unroll)
		found, err := compile(t.Context(), clang, fstest.MapFS{"sum.metal": &fstest.MapFile{Data: []byte(text)}}, "sum.metal")
		if err != nil {
			t.Fatal(err)
		}
		if len(found) != 2 || found[0].name != "sum.metal sum<float, 12>" || found[1].name != "sum.metal sum<half, 12>" {
			t.Fatalf("%+v", found)
		}
		for _, k := range found {
			if k.products != test.products || (k.onStack != "-") != test.onStack {
				t.Errorf("with %q: %+v", test.unroll, k)
			}
		}
	}
}

func TestCompare(t *testing.T) {
	var out bytes.Buffer
	if err := compare(&out, "a\t1\t-\nb\t2\t-\n", "a\t1\t-\nb\t2\t-\n"); err != nil || out.Len() > 0 {
		t.Errorf("%v, %s", err, out.String())
	}
	if err := compare(&out, "a\t1\t-\n", "a\t1\t[4 x float]\n"); err == nil || !strings.Contains(out.String(), "is:   a\t1\t[4 x float]\nwant: a\t1\t-\n") {
		t.Errorf("%v, %q", err, out.String())
	}
}
