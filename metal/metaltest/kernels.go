package metaltest

import (
	"context"
	"testing"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
)

// Cases are computations of odd sizes by every test kernel: 1, a tile, a tile and one more or less, primes.
func Cases() []problem.Case {
	cases := reduceCases()
	cases = append(cases, softmaxCases()...)
	return append(cases, gemmCases()...)
}

// testKernels runs Cases in both layouts.
func testKernels(t *subtest, r *rig) {
	libraries := Libraries(t, r.device)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) {
			for layout, name := range map[problem.Layout]string{problem.Exact: "exact", problem.Guarded: "guarded"} {
				if _, err := c.Run(ctx, r.device, libraries[c.Source], layout); err != nil {
					t.Errorf("%s buffers: %v", name, err)
				}
			}
		})
	}
}

// Libraries compiles the sources of Cases, by name. They are closed when the test ends.
func Libraries(tb testing.TB, device metal.Device) map[string]metal.Library {
	tb.Helper()
	libraries := map[string]metal.Library{}
	for _, name := range []string{"reduce.metal", "softmax.metal", "gemm.metal"} {
		source, err := metal.LoadSource(Files(), name)
		if err != nil {
			tb.Fatal(err)
		}
		library, err := device.NewLibrary(source)
		if err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		libraries[name] = library
		tb.Cleanup(func() {
			if err := library.Close(); err != nil {
				tb.Errorf("%s: close: %v", name, err)
			}
		})
	}
	return libraries
}
