package engine

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/weights/builtin"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// TestSelfCheckBatches: a batch repeats the sequences as far as there is room.
func TestSelfCheckBatches(t *testing.T) {
	c := &selfCheck{sequences: []sequence{{ids: []int32{1, 2}, types: []int32{0, 1}}, {ids: []int32{3, 4, 5}, types: []int32{0, 0, 1}}}}
	for r, want := range map[repeated][]int32{
		{0, 5}: {0, 2, 5}, {0, 6}: {0, 2, 5}, {0, 7}: {0, 2, 5, 7}, {0, 1}: nil, {1, 5}: {0, 3, 5}, {1, 8}: {0, 3, 5, 8},
	} {
		if diff := cmp.Diff(want, c.batch(r).Starts); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", r, diff)
		}
	}
}

// wrongFor is a backend that computes another last logit in batches of so many tokens.
type wrongFor struct {
	backend.Backend
	least, most int
}

func (b wrongFor) Forward(ctx context.Context, batch *backend.Batch, out []float32) error {
	err := b.Backend.Forward(ctx, batch, out)
	if n := batch.Tokens(); n >= b.least && n <= b.most {
		out[len(out)-1]++
	}
	return err
}

// TestSelfCheckSizes: the check finds a backend that is wrong for small batches alone, or for large ones: kernels have other
// tiles for them.
func TestSelfCheckSizes(t *testing.T) {
	model := t.TempDir()
	if err := weightstest.Write(model, weightstest.Tiny()); err != nil {
		t.Fatal(err)
	}
	e := openConfig(t, Config{Model: model, Backend: BackendCPU})
	c, err := e.newSelfCheck(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	right := e.replicas[0].backend
	if err := c.run(t.Context(), e, right); err != nil {
		t.Errorf("a right backend: %v", err)
	}
	most := min(e.config.MaxBatchTokens, largestCheck)
	for _, tokens := range [][2]int{{1, 8}, {9, 32}, {65, 128}, {most / 2, most}} {
		err := c.run(t.Context(), e, wrongFor{right, tokens[0], tokens[1]})
		if wrong, ok := errors.AsType[*MismatchError](err); !ok || wrong.BatchTokens < tokens[0] || wrong.BatchTokens > tokens[1] {
			t.Errorf("wrong in batches of %d to %d tokens: error %v", tokens[0], tokens[1], err)
		}
	}
}

// TestSelfCheckHasRoom: on the embedded model right kernels use a small part of what the check allows, so that it raises no
// false alarm.
func TestSelfCheckHasRoom(t *testing.T) {
	if testing.Short() {
		t.Skip("the simulator takes its time")
	}
	for _, precision := range []string{PrecisionFP16, PrecisionFP32} {
		e := openSim(t, Config{Precision: precision})
		c, b := e.gpu.check, e.replicas[0].backend
		batch := c.batch(c.batches[0])
		logits := make([]float32, batch.Sequences())
		if err := b.Forward(t.Context(), batch, logits); err != nil {
			t.Fatal(err)
		}
		worst := 0.0
		for i, got := range logits {
			worst = max(worst, math.Abs(float64(got)-float64(c.want[i])))
		}
		if allowed := tolerances[b.Info().DType].absolute; !(worst <= allowed/5) { // in this form, NaN fails
			t.Errorf("%s: a difference of %v, want at most a fifth of %v", precision, worst, allowed)
		}
		t.Logf("%s: %d pairs: largest difference %.2g", precision, len(logits), worst)
	}
}

// BenchmarkSelfCheck measures the CPU's part of the check of the embedded model: to pack it, to run seven pairs, to free it.
func BenchmarkSelfCheck(b *testing.B) {
	e, err := Open(b.Context(), Config{Embedded: builtin.Open, Backend: BackendCPU})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	for b.Loop() {
		if _, err := e.newSelfCheck(b.Context(), false); err != nil {
			b.Fatal(err)
		}
	}
}
