package engine

import (
	"testing"

	"pgregory.net/rapid"
)

func TestFittingCutsAtTheBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lengths := rapid.SliceOfN(rapid.IntRange(1, 20), 1, 30).Draw(t, "lengths")
		budget := rapid.IntRange(1, 60).Draw(t, "budget")
		sequences := make([]sequence, len(lengths))
		for i, n := range lengths {
			sequences[i].ids = make([]int32, n)
		}
		n := fitting(sequences, budget)
		tokens := 0
		for _, length := range lengths[:n] {
			tokens += length
		}
		if n < 1 || n > 1 && tokens > budget {
			t.Fatalf("%d sequences of %d tokens for a budget of %d", n, tokens, budget)
		}
		if n < len(lengths) && tokens+lengths[n] <= budget {
			t.Fatalf("stopped at %d of %d tokens, the next sequence has %d", tokens, budget, lengths[n])
		}
	})
}
