package workload

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metalrank/metalrank/tools/bench/peers/wire"
)

func generate(t *testing.T, seed uint64) (map[string][]wire.Request, *Counter) {
	t.Helper()
	corpus, err := ReadCorpus()
	if err != nil {
		t.Fatal(err)
	}
	counter, err := NewCounter()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := counter.Close(); err != nil {
			t.Error(err)
		}
	})
	requests, err := Generate(corpus, counter, Specs(), seed)
	if err != nil {
		t.Fatal(err)
	}
	workloads := map[string][]wire.Request{}
	for _, r := range requests {
		workloads[r.Workload] = append(workloads[r.Workload], r)
	}
	return workloads, counter
}

// The shapes are those that README.md states.
func TestShapes(t *testing.T) {
	workloads, counter := generate(t, 1)
	for name, want := range map[string]struct{ requests, documents, mean, padding float64 }{
		"equal":   {4, 32, 128, 1},
		"msmarco": {4, 32, 89, 2.0},
		"mixed":   {4, 32, 107, 3.9},
		"short":   {8, 32, 33, 1.4},
		Latency:   {24, 8, 33, 1.3},
	} {
		shape := Measure(counter, workloads[name], 512)
		if len(workloads[name]) != int(want.requests) || shape.Pairs != int(want.requests*want.documents) {
			t.Errorf("%s: %d requests, %d pairs", name, len(workloads[name]), shape.Pairs)
		}
		if math.Abs(shape.Mean-want.mean) > 0.5 {
			t.Errorf("%s: mean %.2f tokens, want %g", name, shape.Mean, want.mean)
		}
		if math.Abs(shape.Padding-want.padding) > 0.12*want.padding {
			t.Errorf("%s: padding ×%.2f, want ×%g", name, shape.Padding, want.padding)
		}
		if shape.Longest > maxLength {
			t.Errorf("%s: a pair of %d tokens", name, shape.Longest)
		}
	}
	if shape := Measure(counter, workloads[Long], 1024); shape.Longest != 1024 {
		t.Errorf("a long pair has %d tokens, want 1024", shape.Longest)
	}
	if shape := Measure(counter, workloads["equal"], 512); shape.Mean != 128 || shape.Longest != 128 || shape.Padding != 1 {
		t.Errorf("equal is not: %+v", shape)
	}
}

func TestSeedDecides(t *testing.T) {
	first, _ := generate(t, 1)
	again, _ := generate(t, 1)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Error("one seed, two texts:", diff)
	}
	other, _ := generate(t, 2)
	if cmp.Equal(first["mixed"], other["mixed"]) {
		t.Error("two seeds, one text")
	}
	if !cmp.Equal(first[Evaluation], other[Evaluation]) {
		t.Error("the evaluation texts depend on the seed")
	}
}

// OpenVINO's quantisation is not calibrated on the texts that it is judged by.
func TestCalibrationStandsApart(t *testing.T) {
	workloads, _ := generate(t, 1)
	seen := map[string]bool{}
	for _, r := range workloads[Calibration] {
		for _, d := range r.Documents {
			seen[d] = true
		}
	}
	for name, requests := range workloads {
		if name == Calibration || name == Latency || name == "short" {
			continue // a sentence or two may well be the same
		}
		for _, r := range requests {
			for _, d := range r.Documents {
				if name != Evaluation && seen[d] {
					t.Errorf("%s: a document of the calibration: %q", name, d)
				}
			}
		}
	}
}

func TestLengths(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, sigma := range []float64{0, 0.2, 0.9} {
		for _, mean := range []float64{30, 90, 200} {
			got := lengths(random, 128, mean, sigma, 20, 512)
			sum := 0
			for _, n := range got {
				sum += n
			}
			if math.Abs(float64(sum)/128-mean) > 0.5 {
				t.Errorf("sigma %g: mean %g, want %g", sigma, float64(sum)/128, mean)
			}
			if slices.Min(got) < 20 || slices.Max(got) > 512 {
				t.Errorf("sigma %g, mean %g: from %d to %d", sigma, mean, slices.Min(got), slices.Max(got))
			}
			if sigma == 0 && slices.Min(got) != slices.Max(got) {
				t.Errorf("sigma 0: from %d to %d", slices.Min(got), slices.Max(got))
			}
			if sigma > 0 && slices.IsSorted(got) {
				t.Errorf("sigma %g: not shuffled", sigma)
			}
		}
	}
}
