package engine

import (
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/cpu"
	"github.com/metalrank/metalrank/weights"
)

// decoderBatches are the goldens of a decoder together, each alone, and behind prefixes: of one token, of all that they have in
// common, and of one less. rows are the places of the goldens in the last batch, once for each prefix.
func decoderBatches(golden []decoderPair) (together *backend.Batch, alone []*backend.Batch, behind *backend.Batch, rows []int) {
	together, behind = &backend.Batch{}, &backend.Batch{}
	common := 0
	differs := func(g decoderPair) bool { return common >= len(g.IDs)-1 || g.IDs[common] != golden[0].IDs[common] }
	for !slices.ContainsFunc(golden, differs) {
		common++
	}
	for _, g := range golden {
		one := &backend.Batch{}
		appendTo(one, -1, g.IDs)
		appendTo(together, -1, g.IDs)
		alone = append(alone, one)
	}
	for _, length := range []int{1, common, common - 1} {
		prefix := behind.Sequences()
		appendTo(behind, -1, golden[0].IDs[:length])
		for _, g := range golden {
			rows = append(rows, behind.Sequences())
			appendTo(behind, prefix, g.IDs[length:])
		}
	}
	return together, alone, behind, rows
}

// maxNarrowShare is how far a logit may be off at int8 and bf16, as a part of the range of the goldens' logits. These models are
// random and more sensitive than trained ones; the worst seen is 0.1.
const maxNarrowShare = 0.15

// On every variant of the CPU, decoders have transformers' logits at fp32 and nearly so at others; and the same bits alone, among
// others, behind prefixes, and on several workers.
func TestDecodersOnCPU(t *testing.T) {
	for _, name := range triedDecoders() {
		golden, files := decoderGoldens(t, name)
		together, alone, behind, rows := decoderBatches(golden)
		var want []float32
		for _, g := range golden {
			for _, v := range g.Logits {
				want = append(want, float32(v))
			}
		}
		labels := len(golden[0].Logits)
		for _, v := range cpu.Variants() {
			narrow := maxNarrowShare * float64(slices.Max(want)-slices.Min(want))
			for precision, tolerance := range map[cpu.Precision]float64{cpu.FP32: logitTolerance, cpu.Int8: narrow, cpu.BF16: narrow} {
				t.Run(name+"/"+v.Name+"/"+string(precision), func(t *testing.T) {
					if !v.Available {
						t.Skipf("this machine lacks %s", v.Needs)
					}
					on := func(workers int) func(*weights.Checkpoint) (backend.Backend, error) {
						return func(c *weights.Checkpoint) (backend.Backend, error) {
							return opened(cpu.New(c, cpu.Options{Variant: v.Name, Precision: precision, Workers: workers}))
						}
					}
					got := forward(t, files, on(1), together)
					worst := farthest(got, want)
					if !(worst <= tolerance) {
						t.Errorf("a logit differs by %.2g, allowed is %.2g", worst, tolerance)
					}
					t.Logf("largest difference %.2g", worst)
					for _, workers := range []int{1, 2, 5} {
						if by := forward(t, files, on(workers), alone...); !slices.Equal(by, got) {
							t.Errorf("%d workers: %v alone, %v together", workers, by, got)
						}
						if strings.HasPrefix(name, "llama") {
							refusesPrefixes(t, files, on(workers), behind)
							continue
						}
						by := forward(t, files, on(workers), behind)
						for i, row := range rows {
							g := i % len(golden) * labels
							if own := by[row*labels : (row+1)*labels]; !slices.Equal(own, got[g:g+labels]) {
								t.Errorf("%d workers: sequence %d: %v behind a prefix, %v repeated", workers, row, own, got[g:g+labels])
							}
						}
					}
				})
			}
		}
	}
}
