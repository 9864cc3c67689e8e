package main

import (
	"math"
	"testing"
)

func near(a, b float64) bool { return math.Abs(a-b) < 1e-12 || (math.IsNaN(a) && math.IsNaN(b)) }

func TestPercentile(t *testing.T) {
	for _, c := range []struct {
		values        []float64
		percent, want float64
	}{
		{[]float64{3}, 50, 3},
		{[]float64{5, 1, 3}, 50, 3},
		{[]float64{4, 1, 3, 2}, 50, 2.5},
		{[]float64{5, 1, 2, 3, 4}, 95, 4.8},
		{[]float64{2, 1}, 0, 1},
		{[]float64{2, 1}, 100, 2},
		{nil, 50, math.NaN()},
	} {
		if got := percentile(c.values, c.percent); !near(got, c.want) {
			t.Errorf("percentile(%v, %g) = %g, want %g", c.values, c.percent, got, c.want)
		}
	}
	values := []float64{3, 1, 2}
	if median(values); values[0] != 3 {
		t.Error("the caller's values were sorted")
	}
	if got := spread([]float64{8, 10, 12}); !near(got, 0.4) {
		t.Errorf("spread %g, want 0.4", got)
	}
}

// The values with ties are from scipy.stats.kendalltau 1.17.1.
func TestKendallTau(t *testing.T) {
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
		if got := kendallTau(c.a, c.b); !near(got, c.want) {
			t.Errorf("tau(%v, %v) = %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestScores(t *testing.T) {
	a := [][]float64{{1, 2, 3}, {5, 5}}
	b := [][]float64{{1, 2.5, 2}, {5, 6}}
	if got := largestDifference(a, b); got != 1 {
		t.Errorf("largest difference %g, want 1", got)
	}
	if got := largestDifference(a, [][]float64{{1, math.NaN(), 3}, {5, 5}}); !math.IsInf(got, 1) {
		t.Errorf("largest difference to a NaN: %g", got)
	}
	// The second request has no order on one side, and so does not count.
	if got := meanTau(a, b); !near(got, 1.0/3) {
		t.Errorf("mean tau %g, want 1/3", got)
	}
	if got := deviation([][]float64{{1, 3}, {5, 7}}); !near(got, math.Sqrt(5)) {
		t.Errorf("deviation %g, want √5", got)
	}
}
