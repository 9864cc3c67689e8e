package metaltest

import (
	"math"
	"slices"
	"testing"
)

// TestAnswers checks the cases' own arithmetic against known results.
func TestAnswers(t *testing.T) {
	softmax := Softmax(3, 7, 32)
	for row := range slices.Chunk(softmax.Want, 7) {
		sum := 0.0
		for _, value := range row {
			sum += value
		}
		if math.Abs(sum-1) > 1e-12 {
			t.Errorf("a softmax sums to %g", sum)
		}
	}
	if got := Reduce(1, 1, 1); got.Want[0] != got.Operands[0].Values[0] {
		t.Errorf("the sum of %v is %v", got.Operands[0].Values, got.Want)
	}
	plain, gelu := Gemm(2, 3, 1, true, false), Gemm(2, 3, 1, true, true)
	for i, x := range plain.Want {
		a, w, bias := plain.Operands[0].Values[i/3], plain.Operands[1].Values[i%3], plain.Operands[2].Values[i%3]
		if math.Abs(x-(a*w+bias)) > 1e-12 {
			t.Errorf("element %d is %g, want %g·%g + %g", i, x, a, w, bias)
		}
		if want := x * (1 + math.Erf(x/math.Sqrt2)) / 2; math.Abs(gelu.Want[i]-want) > 1e-12 {
			t.Errorf("gelu(%g) is %g, want %g", x, gelu.Want[i], want)
		}
	}
	for _, c := range Cases() {
		for i, allowed := range c.Allowed {
			if !(allowed > 0) || allowed > 0.01+0.01*math.Abs(c.Want[i]) {
				t.Errorf("%s: element %d may be off by %g, of %g", c.Name, i, allowed, c.Want[i])
				break
			}
		}
	}
}
