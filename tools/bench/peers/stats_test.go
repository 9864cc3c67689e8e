package main

import "testing"

func TestSpread(t *testing.T) {
	if got := spread([]float64{8, 10, 12}); got != 0.4 {
		t.Errorf("spread %g, want 0.4", got)
	}
}
