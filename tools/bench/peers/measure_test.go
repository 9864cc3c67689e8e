package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSeries(t *testing.T) {
	documents := []int{32, 8}
	fast := series{Runs: []pass{{1, 1}, {0.5, 0.5}}}
	slow := series{Runs: []pass{{4}, {2, 1}}} // ran out of time in its first run
	if diff := cmp.Diff([]float64{20, 40}, fast.speeds(documents)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]float64{8, 40.0 / 3}, slow.speeds(documents)); diff != "" {
		t.Error(diff)
	}
	// Only the first request of the first run was done by both.
	if diff := cmp.Diff([]float64{4, 3}, fast.speedups(&slow)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]float64{0.25, 1.0 / 3}, slow.speedups(&fast)); diff != "" {
		t.Error(diff)
	}
	if !fast.whole(2) || slow.whole(2) {
		t.Errorf("whole: %v and %v, want true and false", fast.whole(2), slow.whole(2))
	}
	if diff := cmp.Diff([]float64{4, 2, 1}, slow.each()); diff != "" {
		t.Error(diff)
	}
}

func TestSpread(t *testing.T) {
	if got := spread([]float64{8, 10, 12}); got != 0.4 {
		t.Errorf("spread %g, want 0.4", got)
	}
}
