package reference

import (
	"math"
	"slices"
	"testing"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/backend/backendtest"
	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// The whole forward pass is compared with transformers in engine/goldens_test.go. These tests compare the pieces with
// values known otherwise, and check the contract of a Backend.

func open(t testing.TB, spec weightstest.Spec) (*Backend, weights.Config) {
	t.Helper()
	dir := t.TempDir()
	if err := weightstest.Write(dir, spec); err != nil {
		t.Fatal(err)
	}
	checkpoint, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := checkpoint.Close(); err != nil {
			t.Error(err)
		}
	})
	b, err := New(checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	return b, checkpoint.Config()
}

func TestActivationFunctions(t *testing.T) {
	for _, c := range []struct {
		name string
		f    func(float64) float64
		x    float64
		want float64
	}{
		// x·Φ(x), with Φ(1) = 0.841344746068543 and Φ(-2) = 0.022750131948179 (tables of the normal distribution).
		{"gelu", gelu, 1, 0.841344746068543},
		{"gelu", gelu, -2, -0.045500263896358},
		{"gelu", gelu, 0, 0},
		{"gelu", gelu, 40, 40},
		// 0.5(1 + tanh(√(2/π)·1.044715)): tanh(0.8335637...) = 0.682383988...
		{"gelu_new", geluNew, 1, 0.841191990608276},
		{"gelu_new", geluNew, -40, 0},
		{"relu", relu, -3, 0},
		{"relu", relu, 3, 3},
	} {
		if got := c.f(c.x); math.Abs(got-c.want) > 1e-14 {
			t.Errorf("%s(%v) = %.16g, want %.16g", c.name, c.x, got, c.want)
		}
	}
}

func TestSoftmax(t *testing.T) {
	x := []float64{1e4, 1e4 + math.Log(2), 1e4 + math.Log(5)} // would overflow without the shift
	softmax(x)
	for i, want := range []float64{0.125, 0.25, 0.625} {
		if math.Abs(x[i]-want) > 1e-11 { // the spacing of float64 at 1e4 is 2e-12
			t.Errorf("softmax[%d] = %v, want %v", i, x[i], want)
		}
	}
}

func TestNorm(t *testing.T) {
	n := norm{gamma: []float64{1, 1, 2, 1}, beta: []float64{0, 0, 0, 5}, epsilon: 1}
	row := []float64{1, 3, 5, 7} // mean 4, variance 5, so divided by √6
	n.apply(row)
	for i, want := range []float64{-3 / math.Sqrt(6), -1 / math.Sqrt(6), 2 / math.Sqrt(6), 5 + 3/math.Sqrt(6)} {
		if math.Abs(row[i]-want) > 1e-15 {
			t.Errorf("norm[%d] = %v, want %v", i, row[i], want)
		}
	}
}

func TestRMSNorm(t *testing.T) {
	n := norm{gamma: []float64{1, 2}, beta: []float64{0, 0}, epsilon: 0.5, rms: true}
	row := []float64{3, 4, 0, 1} // two heads: mean squares 12.5 and 0.5
	n.applyRows(row)
	for i, want := range []float64{3 / math.Sqrt(13), 8 / math.Sqrt(13), 0, 2} {
		if math.Abs(row[i]-want) > 1e-15 {
			t.Errorf("norm[%d] = %v, want %v", i, row[i], want)
		}
	}
}

// A query sees the keys of its window, and none after it where attention is causal.
func TestSees(t *testing.T) {
	for _, c := range []struct {
		window      int
		causal      bool
		at          int
		first, last int
	}{{0, false, 2, 0, 6}, {0, true, 2, 0, 3}, {1, false, 2, 1, 4}, {1, true, 2, 1, 3}, {9, true, 5, 0, 6}, {1, false, 5, 4, 6}} {
		if first, last := sees(&weights.Attention{Window: c.window, Causal: c.causal}, c.at, 6); first != c.first || last != c.last {
			t.Errorf("%+v: keys %d to %d", c, first, last)
		}
	}
}

// Keys of a prefix come before a sequence's own, wherever in the batch it is.
func TestSpan(t *testing.T) {
	batch := &backend.Batch{}
	for i, length := range []int{2, 3, 1, 4} {
		prefix := -1
		if i == 3 {
			prefix = 1
		}
		batch.AppendAfter(prefix, make([]int32, length), make([]int32, length))
	}
	s := span(batch, 3)
	var rows []int
	for i := range s.keys() {
		rows = append(rows, s.row(i))
	}
	if want := []int{2, 3, 4, 6, 7, 8, 9}; !slices.Equal(rows, want) || s.before != 3 || !slices.Equal(batch.Positions[6:], []int32{3, 4, 5, 6}) {
		t.Errorf("rows %d, want %d; positions %d", rows, want, batch.Positions)
	}
	if s := span(batch, 0); s.keys() != 2 || s.row(1) != 1 {
		t.Errorf("without a prefix: %+v", s)
	}
}

// Every blocking of the matrix product must give the plain sum, bit for bit.
func TestLinearIsThePlainSum(t *testing.T) {
	for _, n := range []int{1, 3, 4, 5, tokenBlock, tokenBlock + 1} {
		for _, out := range []int{1, 2, 3, outputBlock, outputBlock + 1} {
			l := linear{in: 7, out: out, weight: ramp(7*out, 0.37), bias: ramp(out, 0.11)}
			x, y := ramp(n*7, 0.53), make([]float64, n*out)
			if err := l.apply(t.Context(), x, y); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				for o := range out {
					var want float64
					for k := range l.in {
						want += float64(x[i*l.in+k] * l.weight[o*l.in+k])
					}
					if want += l.bias[o]; y[i*out+o] != want {
						t.Fatalf("n=%d out=%d: y[%d,%d] = %v, want %v", n, out, i, o, y[i*out+o], want)
					}
				}
			}
		}
	}
}

// ramp returns n values without pattern in [-1, 1].
func ramp(n int, step float64) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = math.Sin(step * float64(i*i+1))
	}
	return x
}

func TestContract(t *testing.T) {
	for _, spec := range weightstest.Specs() {
		t.Run(spec.Name, func(t *testing.T) {
			b, c := open(t, spec)
			limits := backend.Limits{Vocab: c.VocabSize, Types: c.TypeVocab, Positions: c.MaxPositions}
			backendtest.Contract(t, b, backendtest.Model{Limits: limits, Labels: len(c.Labels)})
		})
	}
}

func BenchmarkForward(b *testing.B) {
	spec := weightstest.Specs()[0]
	model, _ := open(b, spec)
	batch := &backend.Batch{}
	for range 8 {
		batch.Append(make([]int32, 64), make([]int32, 64))
	}
	out := make([]float32, batch.Sequences()*spec.Labels)
	for b.Loop() {
		if err := model.Forward(b.Context(), batch, out); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(batch.Tokens())*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
}

// A value that is not finite never becomes a number again on its way to the logits. Sums are float64, so that a value too
// large for float32 is a number here until it is a logit.
func TestNonFinite(t *testing.T) {
	backendtest.NonFinite(t, float32(math.Inf(1)), func(t *testing.T, spec weightstest.Spec) (backend.Backend, backendtest.Model) {
		t.Helper()
		b, c := open(t, spec)
		limits := backend.Limits{Vocab: c.VocabSize, Types: c.TypeVocab, Positions: c.MaxPositions}
		return b, backendtest.Model{Limits: limits, Labels: len(c.Labels)}
	})
}
