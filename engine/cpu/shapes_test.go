package cpu

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/metalrank/metalrank/engine/backend/backendtest"
	"github.com/metalrank/metalrank/weights/weightstest"
)

const (
	// A shape counts with its shortest pass. Passes are spread over rounds, since a shared machine is slower for seconds.
	shapeRounds = 10
	shapeTime   = 10 * time.Millisecond // of a shape's passes in a round, at least one
	// shapeTokens bounds the tokens of a batch, so that no shape takes seconds.
	shapeTokens = 4096
)

// BenchmarkShapes reports how evenly the time of a token depends on a batch's shape: the largest ratio of the time at one number of
// tokens, or of sequences, to the line between its neighbours, over models of two or three layers with random weights.
func BenchmarkShapes(b *testing.B) {
	tokens, sequences := []int{16, 32, 64, 128, 256, 512, 1024, 2048}, []int{1, 2, 4, 8, 16, 32, 64}
	for _, spec := range []weightstest.Spec{
		weightstest.MiniLM(2), weightstest.BERT(2, 768), weightstest.BERT(2, 1024), weightstest.ModernBERT(3, 768, 1152),
	} {
		checkpoint := checkpoint(b, spec)
		model := modelOf(checkpoint.Config())
		for _, precision := range []Precision{FP32, Int8} {
			for _, workers := range []int{1, 2} {
				b.Run(fmt.Sprintf("%s/%s/workers=%d", spec.Name, precision, workers), func(b *testing.B) {
					backend := open(b, checkpoint, Options{Precision: precision, Workers: workers})
					times := map[[2]int]float64{} // ns a token by sequences and tokens
					for range shapeRounds {
						for _, n := range sequences {
							for _, length := range tokens {
								if length > model.Positions || n*length > shapeTokens {
									continue
								}
								took := float64(shortest(b, backend, model, n, length).Nanoseconds()) / float64(n*length)
								if shape := [2]int{n, length}; times[shape] == 0 || took < times[shape] {
									times[shape] = took
								}
							}
						}
					}
					for b.Loop() { // all has been measured before
					}
					b.ReportMetric(0, "ns/op")
					b.ReportMetric(worst(b, times, sequences, tokens), "of-line")
				})
			}
		}
	}
}

// shortest returns the time of the shortest of some passes.
func shortest(b *testing.B, backend *Backend, model backendtest.Model, n, length int) time.Duration {
	b.Helper()
	batch := model.Batch(slices.Repeat([]int{length}, n)...)
	out := make([]float32, n*model.Labels)
	least := time.Duration(math.MaxInt64)
	for begun, passes := time.Now(), 0; passes == 0 || time.Since(begun) < shapeTime; passes++ {
		start := time.Now()
		if err := backend.Forward(b.Context(), batch, out); err != nil {
			b.Fatal(err)
		}
		least = min(least, time.Since(start))
	}
	return least
}

// worst returns the largest ratio of a time to the line between its neighbours, on a logarithmic axis of sequences or of tokens.
func worst(b *testing.B, times map[[2]int]float64, sequences, tokens []int) (most float64) {
	b.Helper()
	look := func(before, at, after [2]int) {
		low, here, high := times[before], times[at], times[after]
		if low == 0 || here == 0 || high == 0 {
			return
		}
		size := func(shape [2]int) float64 { return math.Log(float64(shape[0] * shape[1])) }
		part := (size(at) - size(before)) / (size(after) - size(before))
		ratio := here / (low + part*(high-low))
		if ratio > 1.15 {
			b.Logf("%d sequences of %d tokens: %.2f of its neighbours' line", at[0], at[1], ratio)
		}
		most = max(most, ratio)
	}
	for i, n := range sequences {
		for j, length := range tokens {
			if i > 0 && i < len(sequences)-1 {
				look([2]int{sequences[i-1], length}, [2]int{n, length}, [2]int{sequences[i+1], length})
			}
			if j > 0 && j < len(tokens)-1 {
				look([2]int{n, tokens[j-1]}, [2]int{n, length}, [2]int{n, tokens[j+1]})
			}
		}
	}
	return most
}
