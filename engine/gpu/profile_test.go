package gpu_test

import (
	"slices"
	"testing"

	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// TestProfile wants the operations of package cost one by one, in their order, with the logits of an ordinary pass.
func TestProfile(t *testing.T) {
	for _, spec := range weightstest.Specs()[:2] {
		r := newRig(t, sim.Config{}, written(t, spec), gpu.Config{})
		lengths := []int{9, 4}
		batch := r.batch(3, lengths...)
		want := r.forward(t, r.gpu, batch)
		b, ok := r.gpu.(*gpu.Backend)
		if !ok {
			t.Fatalf("the backend is a %T", r.gpu)
		}
		got := make([]float32, len(want))
		steps, err := b.Profile(t.Context(), batch, got)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: logits %v, else %v", spec.Name, got, want)
		}
		operations := cost.Pass(cost.ShapeOf(r.plan), lengths, cost.Format{})
		if len(steps) != len(operations) {
			t.Fatalf("%s: %d steps, want %d", spec.Name, len(steps), len(operations))
		}
		for i, s := range steps {
			if o := operations[i]; s.Layer != o.Layer || s.Name != o.Name || len(s.Kernels) == 0 || s.Wall <= 0 {
				t.Errorf("%s: step %d is %+v, want %s in layer %d", spec.Name, i, s, o.Name, o.Layer)
			}
		}
		if again := r.forward(t, r.gpu, batch); !slices.Equal(again, want) { // the slot is as it was
			t.Errorf("%s: afterwards, logits %v", spec.Name, again)
		}
	}
}
