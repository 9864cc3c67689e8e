package workload

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestMixed draws the list again, and checks the numbers in its comment.
func TestMixed(t *testing.T) {
	random := rand.New(rand.NewPCG(195, 0))
	want := make([]int, 32)
	total := 0
	for i := range want {
		want[i] = min(max(int(math.Round(math.Exp(4.38+0.75*random.NormFloat64()))), 16), 512)
		total += want[i]
	}
	if got := Mixed(); !slices.Equal(got, want) || total != 3414 || slices.Max(got) != 512 {
		t.Errorf("%v, %d tokens, drawn are %v", got, total, want)
	}
	Mixed()[0] = 0
	if Mixed()[0] == 0 {
		t.Error("Mixed returns its own list")
	}
}
