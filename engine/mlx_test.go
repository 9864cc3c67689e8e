package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/metalrank/metalrank/weights/weightstest"
)

// A checkpoint that MLX's own functions quantised and wrote scores as transformers does with the weights that MLX
// dequantised; see tools/model/golden/mlx_model.py.
func TestMLXCheckpoint(t *testing.T) {
	dir := t.TempDir()
	if err := weightstest.Write(dir, weightstest.Specs()[0]); err != nil { // for the tokenizer
		t.Fatal(err)
	}
	for _, name := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join("testdata", "mlx_random_f32", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var golden []goldenPair
	readGolden(t, "mlx_random_f32/logits.json", &golden)
	if len(golden) != 4 {
		t.Fatalf("%d pairs, want 4", len(golden))
	}
	e := openConfig(t, Config{Model: dir})
	pairs := make([]Pair, len(golden))
	for i, g := range golden {
		pairs[i] = Pair{Query: g.Query, Document: g.Document}
	}
	scores, err := e.Score(t.Context(), pairs, raw)
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range golden {
		if d := scores.Row(i)[0] - g.Logit; !(max(d, -d) <= logitTolerance) {
			t.Errorf("pair %d: logit %v, want %v", i, scores.Row(i)[0], g.Logit)
		}
	}
}
