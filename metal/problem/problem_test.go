package problem

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// TestCompare: each element is checked against its allowed error, and NaN is never right.
func TestCompare(t *testing.T) {
	c := Problem{Name: "c", Want: []float64{1, 2, 3}, Allowed: []float64{0.5, 0.5, 0.5}}
	if err := c.compare([]float64{1.5, 1.5, 3}); err != nil {
		t.Errorf("an answer within what is allowed: %v", err)
	}
	for _, test := range []struct {
		got   []float64
		index int
		wrong int
	}{
		{[]float64{1, 2.75, 3}, 1, 1},
		{[]float64{2, 2, 5}, 2, 2},
		{[]float64{1, math.NaN(), 3}, 1, 1},
		{[]float64{math.Inf(1), 2, 3}, 0, 1},
	} {
		err := c.compare(test.got)
		answer, ok := errors.AsType[*AnswerError](err)
		if !ok || answer.Index != test.index || answer.Wrong != test.wrong || answer.Count != 3 {
			t.Errorf("%v: error %v, want element %d of %d wrong ones", test.got, err, test.index, test.wrong)
		}
	}
	if err := c.compare([]float64{1, 2}); err == nil {
		t.Error("an answer that is too short: no error")
	}
}

// TestGuardIsNaN: a guard word that a kernel reads spoils its answer, read as f16, f32 or bf16.
func TestGuardIsNaN(t *testing.T) {
	for _, values := range [][]float64{DecodeHalf(guard()), DecodeFloat(guard()), DecodeFloat(slices.Concat(make([]byte, 2), guard()[:2]))} {
		for i, value := range values {
			if !math.IsNaN(value) {
				t.Errorf("guard word %d is %g", i, value)
			}
		}
	}
}

// TestNormal: inputs are exact in f16 and in f32, so that rounding them is no source of error, and always the same.
func TestNormal(t *testing.T) {
	values := Normal(1000, 2, 3)
	if !slices.Equal(values, Normal(1000, 2, 3)) || slices.Equal(values, Normal(1000, 2, 4)) {
		t.Error("the numbers don't depend on the seed alone")
	}
	if !slices.Equal(values, DecodeHalf(EncodeHalf(values))) || !slices.Equal(values, DecodeFloat(EncodeFloat(values))) {
		t.Error("the numbers are not exact as f16 and f32")
	}
	var square float64
	for _, value := range values {
		square += value * value / 1000
	}
	if square < 3.2 || square > 4.8 { // 2² within four standard deviations
		t.Errorf("the mean square is %g, want about 4", square)
	}
}
