package cpu

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/convert"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// A row that has int8 codes and a scale keeps them; any other is at most half a step from its own.
func TestInt8Row(t *testing.T) {
	source, folder := checkpoint(t, weightstest.Specs()[0]), filepath.Join(t.TempDir(), "made")
	options := convert.Options{Bits: 8, Scheme: convert.W8A8, EmbeddingLevels: 20} // few, so that rounding again would show
	if err := convert.Folder(t.Context(), source, folder, options); err != nil {
		t.Fatal(err)
	}
	made, err := weights.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	for _, c := range []struct {
		name   string
		from   *weights.Checkpoint
		stored bool
	}{{"floats", source, false}, {"codes", made, true}} {
		bert, err := c.from.Plan()
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range []weights.Tensor{bert.Embeddings.Words, bert.Layers[0].Query.Weight, bert.Layers[1].Outer.Weight} {
			w, err := c.from.Read(w)
			if err != nil {
				t.Fatal(err)
			}
			out, in := w.Shape[0], w.Shape[1]
			row, want, q := make([]float32, in), make([]float32, in), make([]int8, in)
			for o := range out {
				scale, sum := int8Row(w, o, 0, row, q)
				w.Float32s(want, o*in)
				allowed := float64(scale) * 0.501
				if c.stored {
					allowed = 0
				}
				var total int32
				for i, code := range q {
					total += int32(code)
					if d := math.Abs(float64(scale*float32(code) - want[i])); !(d <= allowed) {
						t.Fatalf("%s: %q[%d %d]: %g · %d, want %g", c.name, w.Name, o, i, scale, code, want[i])
					}
				}
				if total != sum {
					t.Fatalf("%s: %q: row %d: sum %d, want %d", c.name, w.Name, o, sum, total)
				}
			}
		}
	}
}
