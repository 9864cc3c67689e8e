package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/metalrank/metalrank/weights/weightstest"
)

// Checkpoints that MLX's own functions quantised and wrote score as transformers does with the weights that MLX
// dequantised; see tools/model/golden/mlx_model.py.
func TestMLXCheckpoint(t *testing.T) {
	for _, name := range []string{"mlx_random_f32", "mlx_modernbert"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if name == "mlx_modernbert" {
				for _, file := range []string{"tokenizer.json", "tokenizer_config.json"} {
					copyFile(t, filepath.Join("families", "modernbert_cls", file), dir)
				}
			} else if err := weightstest.Write(dir, weightstest.Specs()[0]); err != nil { // for the tokenizer
				t.Fatal(err)
			}
			for _, file := range []string{"config.json", "model.safetensors"} {
				copyFile(t, filepath.Join(name, file), dir)
			}
			var golden []goldenPair
			readGolden(t, filepath.Join(name, "logits.json"), &golden)
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
		})
	}
}

// copyFile copies a file of testdata into a folder.
func copyFile(t *testing.T, name, dir string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), data, 0o644); err != nil {
		t.Fatal(err)
	}
}
