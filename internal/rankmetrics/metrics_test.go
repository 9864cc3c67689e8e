package rankmetrics

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func near(t *testing.T, name string, got, want float64) {
	t.Helper()
	if !equal(got, want) {
		t.Errorf("%s: %v, want %v", name, got, want)
	}
}

// Values worked out by hand from the formulas.
func TestMetrics(t *testing.T) {
	scores, grades := []float64{0.1, 0.9, 0.5, 0.3}, []float64{1, 0, 2, 0} // ranked: 1 2 3 0
	near(t, "NDCG", NDCG(scores, grades, 10), (3/math.Log2(3)+1/math.Log2(5))/(3/math.Log2(2)+1/math.Log2(3)))
	near(t, "NDCG@2", NDCG(scores, grades, 2), (3/math.Log2(3))/(3/math.Log2(2)+1/math.Log2(3)))
	near(t, "MRR", ReciprocalRank(scores, grades, 10), 0.5)
	near(t, "MRR@1", ReciprocalRank(scores, grades, 1), 0)
	near(t, "recall@2", Recall(scores, grades, 2), 0.5)
	near(t, "recall@4", Recall(scores, grades, 4), 1)
	near(t, "nothing relevant", NDCG(scores, make([]float64, 4), 10)+Recall(scores, make([]float64, 4), 10), 0)
	near(t, "a tie keeps the order", ReciprocalRank([]float64{1, 1}, []float64{0, 1}, 10), 0.5)
	near(t, "no documents", NDCG(nil, nil, 10), 0)
	// 12 pairs of ranks with ties, tau-b by hand: 4 concordant, 1 discordant, 1 tied in a only.
	near(t, "tau", KendallTau([]float64{1, 2, 2, 3}, []float64{1, 3, 2, 2.5}), (4.0-1)/math.Sqrt(6*5))
	near(t, "tau of ties", KendallTau([]float64{1, 1}, []float64{1, 2}), math.NaN())
}

// The best ranking has the best values, and a permutation of the documents changes nothing.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 20).Draw(t, "n")
		grades := rapid.SliceOfN(rapid.Float64Range(0, 3), n, n).Draw(t, "grades")
		scores := rapid.SliceOfNDistinct(rapid.Float64Range(-9, 9), n, n, rapid.ID[float64]).Draw(t, "scores")
		if v := NDCG(scores, grades, 10); v < 0 || v > 1+1e-12 {
			t.Fatalf("NDCG %v", v)
		}
		grades[0] = 1
		if v := NDCG(grades, grades, 10); math.Abs(v-1) > 1e-12 {
			t.Fatalf("NDCG of the ideal order %v", v)
		}
		negated := slices.Clone(scores)
		for i := range negated {
			negated[i] = -negated[i]
		}
		if a, b := KendallTau(scores, scores), KendallTau(scores, negated); math.Abs(a-1) > 1e-12 || math.Abs(b+1) > 1e-12 {
			t.Fatalf("tau with itself %v, with its reverse %v", a, b)
		}
		turn := rapid.IntRange(0, n-1).Draw(t, "turn")
		rotate := func(x []float64) []float64 { return slices.Concat(x[turn:], x[:turn]) }
		if a, b := NDCG(scores, grades, 5), NDCG(rotate(scores), rotate(grades), 5); math.Abs(a-b) > 1e-12 {
			t.Fatalf("NDCG %v, of the same documents in another order %v", a, b)
		}
	})
}
