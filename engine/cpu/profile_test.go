package cpu

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// profiled runs a pass of a MiniLM of six layers and returns where its time went.
func profiled(t *testing.T, options Options, lengths ...int) (Profile, func() Profile) {
	t.Helper()
	c := checkpoint(t, weightstest.MiniLM(6))
	b, err := New(c, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	batch := modelOf(c.Config()).Batch(lengths...)
	plain, out := make([]float32, len(lengths)), make([]float32, len(lengths))
	if err := b.Forward(t.Context(), batch, plain); err != nil {
		t.Fatal(err)
	}
	again := func() Profile {
		p, err := b.Profile(t.Context(), batch, out)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(plain, out) {
			t.Errorf("profiled, the logits are %v, else %v", out, plain)
		}
		return p
	}
	return again(), again
}

// TestProfileCounts compares the counts with a count by hand: MiniLM has H 384 and F 1536, and two sequences of 64 and 40
// tokens are one block of 104 rows.
func TestProfileCounts(t *testing.T) {
	const h, f, m, first, last = 384, 1536, 104, 2, 5
	type entry struct {
		layer               int
		name                cost.Name
		calls, flops, bytes uint64
	}
	// product reads weights, biases and rows, and perhaps a residual; and writes floats.
	product := func(rows, n, k, added uint64) uint64 { return 4 * (n*k + n + rows*k + rows*n + rows*added) }
	p, _ := profiled(t, Options{Workers: 1}, 64, 40)
	for _, want := range []entry{
		{0, cost.QKV, 1, 2 * m * 3 * h * h, product(m, 3*h, h, 0)},
		{3, cost.Attention, 2, 4 * (64*64 + 40*40) * h, 4 * h * 4 * m},
		{3, cost.AttentionOutput, 1, 2 * m * h * h, product(m, h, h, h)},
		{4, cost.Intermediate, 1, 2 * m * f * h, product(m, f, h, 0)},
		{4, cost.Output, 1, 2 * m * h * f, product(m, h, f, h)},
		{4, Norm, 2, 0, 2 * m * h * 8},
		{last, cost.KeysValues, 1, 2 * m * 2 * h * h, product(m, 2*h, h, 0)},
		{last, cost.Query, 1, 2 * first * h * h, product(first, h, h, 0)},
		{last, cost.Attention, 2, 4 * (64 + 40) * h, 4 * h * (2 + 2*m + 2)},
		{last, cost.Intermediate, 1, 2 * first * f * h, product(first, f, h, 0)},
		// One label is padded to 64 columns.
		{cost.NoLayer, cost.Head, 2, 2*first*h*h + 2*first*64*h, product(first, h, h, 0) + product(first, 64, h, 0)},
	} {
		i := slices.IndexFunc(p.Spans, func(s Span) bool { return s.Layer == want.layer && s.Name == want.name })
		if i < 0 {
			t.Fatalf("no %s in layer %d: %+v", want.name, want.layer, p.Spans)
		}
		got := p.Spans[i]
		if (entry{got.Layer, got.Name, got.Calls, got.FLOPs, got.Bytes}) != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

// TestProfileOfProducts holds valid FLOPs to those that package cost has: only MiniLM's label needs padding, not its rows.
func TestProfileOfProducts(t *testing.T) {
	lengths := []int{128, 1, 77, 300, 16}
	for _, precision := range []Precision{FP32, Int8} {
		p, _ := profiled(t, Options{Precision: precision, Workers: 2}, lengths...)
		shape := cost.BERT(6, 384, 1536, 64)
		want, _ := cost.Total(cost.Pass(shape, lengths, cost.Format{}))
		got := 0.0
		for _, s := range p.Spans {
			got += float64(s.FLOPs)
		}
		if got != want {
			t.Errorf("%s: %g FLOPs, want %g", precision, got, want)
		}
	}
}

// TestProfileTimes holds the times of all work to the time of the whole. A machine that is busy with something else can
// spoil a round, and so the best of several counts.
func TestProfileTimes(t *testing.T) {
	const rounds, allowed = 10, 0.05
	for _, workers := range []int{1, 2} {
		best := math.Inf(1)
		p, again := profiled(t, Options{Workers: workers}, slices.Repeat([]int{128}, 8)...)
		for round := 0; round < rounds && best > allowed; round++ {
			var sum time.Duration
			for _, s := range p.Spans {
				sum += s.Time
			}
			whole := p.Busy
			if workers == 1 {
				whole = p.Wall
			}
			best = min(best, math.Abs(float64(sum)/float64(whole)-1))
			p = again()
		}
		if best > allowed {
			t.Errorf("%d workers: the times of all work are %.1f %% off the whole", workers, 100*best)
		}
		t.Logf("%d workers: %.2f %% off", workers, 100*best)
	}
}
