package gpu_test

import (
	"slices"
	"testing"

	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// TestCuts: a pass that is estimated to take long is cut into lists, and has the same logits bit for bit.
func TestCuts(t *testing.T) {
	spec := weightstest.Specs()[0]
	r := newRig(t, sim.Config{}, written(t, spec), gpu.Config{})
	batch := r.batch(1, 9, 1, 17)
	want := r.forward(t, r.gpu, batch)
	whole := r.lists()
	if len(whole) != 1 {
		t.Fatalf("lists of %v commands on a simulated device, want one", whole)
	}
	b, ok := r.gpu.(*gpu.Backend)
	if !ok {
		t.Fatal("the rig's backend is another")
	}
	flops := r.useful([]int{9, 1, 17})
	for _, c := range []struct {
		rate        float64 // of passes in a tenth of a second
		least, most int     // lists
	}{
		{10, 1, 1}, {0.3, 3, 8}, {1e-9, spec.Layers * 5, whole[0]},
	} {
		gpu.SetRate(b, 10*flops*c.rate)
		got := r.forward(t, b, batch)
		lists := r.lists()
		commands := 0
		for _, n := range lists {
			commands += n
		}
		if len(lists) < c.least || len(lists) > c.most || commands != whole[0] || slices.Contains(lists, 0) {
			t.Errorf("%g passes in the time of a list: lists of %v commands, want %d to %d lists of %d in all", c.rate, lists, c.least, c.most, whole[0])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%g passes in the time of a list: logits %v, want %v", c.rate, got, want)
		}
	}
}

// TestOperationsAreInTheOrderOfCosts: a pass records the operations that package cost lists, one after another.
func TestOperationsAreInTheOrderOfCosts(t *testing.T) {
	for _, spec := range specs()[:3] {
		r := newRig(t, sim.Config{}, written(t, spec), gpu.Config{})
		batch := r.batch(1, 3)
		b, _ := r.gpu.(*gpu.Backend)
		steps, err := b.Profile(t.Context(), batch, make([]float32, spec.Labels))
		if err != nil {
			t.Fatal(err)
		}
		costs := gpu.Operations(b, batch)
		if len(steps) != len(costs) {
			t.Fatalf("%s: %d operations, %d have costs", spec.Name, len(steps), len(costs))
		}
		for i, step := range steps {
			if step.Name != costs[i].Name || step.Layer != costs[i].Layer {
				t.Errorf("%s: operation %d is %q of layer %d, its cost that of %q of layer %d",
					spec.Name, i, step.Name, step.Layer, costs[i].Name, costs[i].Layer)
			}
		}
	}
}
