package engine

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/metalrank/metalrank/weights"
)

// Observe shows the inputs of layers: the pooler's rows, put through pooler and classifier, give the scores.
func TestObserve(t *testing.T) {
	model := filepath.Join("testdata", "families", "roberta")
	pairs := []Pair{{Query: "How many crates?", Document: "ferry flag"}, {Query: "granite", Document: "wall"}}
	widths, first := map[string]int{}, []float64(nil)
	err := Observe(t.Context(), Config{Model: model}, pairs, func(layers []string, rows []float64, width int) {
		for _, layer := range layers {
			widths[layer] = width
		}
		if layers[0] == "classifier.dense" {
			first = append(first, rows...)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(widths) != 2*6+1 || widths["roberta.encoder.layer.1.output.dense"] != 64 || widths["roberta.encoder.layer.0.attention.self.key"] != 48 {
		t.Errorf("layers and widths: %v", widths)
	}
	scores, err := openConfig(t, Config{Model: model}).Score(t.Context(), pairs, raw)
	if err != nil {
		t.Fatal(err)
	}
	c, err := weights.Open(model)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := c.Plan()
	if err != nil {
		t.Fatal(err)
	}
	values := func(x weights.Tensor) []float32 {
		v := make([]float32, x.Len())
		x, err := c.Read(x)
		if err != nil {
			t.Fatal(err)
		}
		x.Float32s(v, 0)
		return v
	}
	const h = 48
	w, bias := values(b.Head[0].Linear.Weight), values(b.Head[0].Linear.Bias)
	last, logit := values(b.Head[1].Linear.Weight), values(b.Head[1].Linear.Bias)[0]
	for i := range pairs {
		sum := float64(logit)
		for o := range h {
			pooled := float64(bias[o])
			for k := range h {
				pooled += float64(w[o*h+k]) * first[i*h+k]
			}
			sum += float64(last[o]) * math.Tanh(pooled)
		}
		if d := sum - scores.Row(i)[0]; !(math.Abs(d) <= logitTolerance) {
			t.Errorf("pair %d: logit %v, want %v", i, sum, scores.Row(i)[0])
		}
	}
}
