package sim_test

import (
	"errors"
	"testing"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
)

const twoKernels = `#include <metal_stdlib>
using namespace metal;
kernel void many(device uint* y [[buffer(0)]], uint i [[thread_position_in_grid]]) { y[i] = i; }
[[kernel, max_total_threads_per_threadgroup(64)]] void few(device uint* y [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    y[i] = i;
}`

// TestPipelineThreads: a pipeline has the least of the limits of the device, of the kernel's attribute, and of its registers;
// work that exceeds it is refused, even where no Encoder has checked it.
func TestPipelineThreads(t *testing.T) {
	for _, test := range []struct {
		kernel    string
		registers func(string) int
		want      int
	}{
		{"many", nil, 1024}, {"few", nil, 64},
		{"many", func(kernel string) int { return map[string]int{"many": 896}[kernel] }, 896},
		{"few", func(string) int { return 896 }, 64}, {"few", func(string) int { return 32 }, 32},
	} {
		device := simtest.Open(t, sim.Config{MaxThreads: test.registers})
		library, err := device.NewLibrary(metal.Source{Name: "two.metal", Text: twoKernels})
		if err != nil {
			t.Fatal(err)
		}
		simtest.CloseLater(t, library)
		pipeline, err := library.Pipeline(test.kernel)
		if err != nil {
			t.Fatal(err)
		}
		simtest.CloseLater(t, pipeline)
		if got := pipeline.Info().MaxThreads; got != test.want {
			t.Errorf("%s may have %d threads, want %d", test.kernel, got, test.want)
		}
		one := metal.Size{X: 1, Y: 1, Z: 1}
		_, err = device.Submit(&metal.CommandList{Commands: []metal.Command{
			{Pipeline: pipeline, Groups: one, Threads: metal.Size{X: uint32(test.want) + 1, Y: 1, Z: 1}},
		}})
		if limit, ok := errors.AsType[*metal.LimitError](err); !ok || limit.Limit != uint64(test.want) {
			t.Errorf("%s with one thread more: %v, want a LimitError", test.kernel, err)
		}
	}
}
