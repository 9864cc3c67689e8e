package gpu_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// TestPipelineThreads runs the shapes of BERT's base and large models on devices with pipelines that may have as many threads
// as Apple's may, by the registers of their kernels (Mesa's table of AGX: 1,024 threads of 52 registers to 384 of 128).
func TestPipelineThreads(t *testing.T) {
	notShort(t)
	for _, hidden := range []int{768, 1024} {
		checkpoint := written(t, weightstest.BERT(2, hidden))
		r := newRig(t, sim.Config{}, checkpoint, gpu.Config{})
		batch := r.batch(8, 7, 5)
		want := r.forward(t, r.reference, batch)
		for _, threads := range []int{1024, 896, 704, 576, 512, 384} {
			t.Run(fmt.Sprintf("H %d, %d threads", hidden, threads), func(t *testing.T) {
				device := simtest.Open(t, sim.Config{MaxThreads: func(string) int { return threads }})
				g, err := gpu.Open(func(string) (metal.Device, error) { return device, nil }, checkpoint, gpu.Config{MaxBatchTokens: 16})
				if err != nil {
					t.Fatal(err)
				}
				simtest.CloseLater(t, g)
				near(t, r.forward(t, g, batch), want, halfAllowed)
			})
		}
	}
}

// TestLarge opens a model of the shape of bge-reranker-large on the device with the fewest threads. A long test scores a pair,
// too: the reference takes 3 GB.
func TestLarge(t *testing.T) {
	notShort(t)
	limits := sim.Config{MaxThreads: func(string) int { return 384 }}
	checkpoint := written(t, weightstest.BERT(24, 1024))
	if simtest.Long() {
		r := newRig(t, limits, checkpoint, gpu.Config{})
		r.compare(t, r.batch(9, 6), halfAllowed)
		return
	}
	simtest.CloseLater(t, checkpoint)
	device := simtest.Open(t, limits)
	g, err := gpu.Open(func(string) (metal.Device, error) { return device, nil }, checkpoint, gpu.Config{MaxBatchTokens: 16})
	if err != nil {
		t.Fatal(err)
	}
	simtest.CloseLater(t, g)
}

// TestTooFewThreads takes threads from some kernels: others are used in their place, or opening says which kernel it was.
func TestTooFewThreads(t *testing.T) {
	spec := weightstest.Specs()[0]
	spec.Hidden, spec.Heads, spec.FeedForward, spec.Layers, spec.TokenizerKeys = 256, 8, 512, 2, nil
	for _, test := range []struct {
		lacks   string   // part of the names of kernels that lack threads
		without []string // parts of the names of kernels that must not run
		with    []string // and that must
		fails   string   // the kernel that opening names
	}{
		{"none", nil, []string{"gemm_norm_f16_nt_8x48", "gemm_f16_nt_"}, ""},
		{"gemm_norm_f16_nt_8x48", []string{"gemm_norm_f16_nt_8x48"}, []string{"gemm_norm_f16_nt_"}, ""},
		{"gemm_norm_", []string{"gemm_norm_"}, []string{"norm_f16_4x512"}, ""},
		{"gemm_f16", nil, nil, "gemm_f16_nt_"},
		{"attention", nil, nil, "attention_f16_32"},
		{"head", nil, nil, "head_f16"},
		{"embed", nil, nil, "embed_f16_384"},
	} {
		t.Run(test.lacks, func(t *testing.T) {
			checkpoint := written(t, spec)
			limits := sim.Config{MaxThreads: func(kernel string) int {
				if strings.Contains(kernel, test.lacks) {
					return 96
				}
				return 384
			}}
			if test.fails != "" {
				simtest.CloseLater(t, checkpoint)
				device := simtest.Open(t, limits)
				_, err := gpu.Open(func(string) (metal.Device, error) { return device, nil }, checkpoint, gpu.Config{MaxBatchTokens: 16})
				limit, ok := errors.AsType[*metal.LimitError](err)
				if !ok || !strings.HasPrefix(limit.Kernel, test.fails) || limit.Limit != 96 {
					t.Errorf("opening fails with %v, want a LimitError of %s", err, test.fails)
				}
				return
			}
			r := newRig(t, limits, checkpoint, gpu.Config{})
			r.compare(t, r.batch(12, 9, 30), halfAllowed)
			var ran []string
			for _, report := range r.device.reports() {
				ran = append(ran, report.Kernel)
			}
			contains := func(part string) bool {
				return slices.ContainsFunc(ran, func(kernel string) bool { return strings.Contains(kernel, part) })
			}
			for _, part := range test.without {
				if contains(part) {
					t.Errorf("%s ran, of which the device lets no threadgroup have the threads: %q", part, ran)
				}
			}
			for _, part := range test.with {
				if !contains(part) {
					t.Errorf("no kernel %s ran: %q", part, ran)
				}
			}
		})
	}
}
