package rankmetrics

import (
	"math"
	"testing"
)

func equal(a, b float64) bool { return math.Abs(a-b) < 1e-12 || (math.IsNaN(a) && math.IsNaN(b)) }

// The values with ties are from scipy.stats.kendalltau 1.17.1.
func TestKendallTauPublished(t *testing.T) {
	for _, c := range []struct {
		a, b []float64
		want float64
	}{
		{[]float64{1, 2, 3, 4}, []float64{10, 20, 30, 40}, 1},
		{[]float64{1, 2, 3, 4}, []float64{4, 3, 2, 1}, -1},
		{[]float64{1, 2, 3, 4}, []float64{1, 2, 4, 3}, 4.0 / 6},
		{[]float64{12, 2, 1, 12, 2}, []float64{1, 4, 7, 1, 0}, -0.4714045207910316},
		{[]float64{1, 1}, []float64{1, 2}, math.NaN()},
	} {
		if got := KendallTau(c.a, c.b); !equal(got, c.want) {
			t.Errorf("tau(%v, %v) = %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestScores(t *testing.T) {
	a := [][]float64{{1, 2, 3}, {5, 5}}
	b := [][]float64{{1, 2.5, 2}, {5, 6}}
	if got := LargestDifference(a, b); got != 1 {
		t.Errorf("largest difference %g, want 1", got)
	}
	if got := LargestDifference(a, [][]float64{{1, math.NaN(), 3}, {5, 5}}); !math.IsInf(got, 1) {
		t.Errorf("largest difference to a NaN: %g", got)
	}
	// The second request has no order on one side, and so does not count.
	if got := MeanTau(a, b); !equal(got, 1.0/3) {
		t.Errorf("mean tau %g, want 1/3", got)
	}
	if got := Deviation([][]float64{{1, 3}, {5, 7}}); !equal(got, math.Sqrt(5)) {
		t.Errorf("deviation %g, want √5", got)
	}
}
