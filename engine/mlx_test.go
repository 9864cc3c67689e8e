package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/convert"
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
			pairs := make([]Pair, len(golden))
			for i, g := range golden {
				pairs[i] = Pair{Query: g.Query, Document: g.Document}
			}
			check := func(e *Engine, tolerance float64) {
				t.Helper()
				scores, err := e.Score(t.Context(), pairs, raw)
				if err != nil {
					t.Fatal(err)
				}
				for i, g := range golden {
					if d := scores.Row(i)[0] - g.Logit; !(max(d, -d) <= tolerance) {
						t.Errorf("pair %d: logit %v, want %v", i, scores.Row(i)[0], g.Logit)
					}
				}
			}
			check(openConfig(t, Config{Model: dir}), logitTolerance)

			// Written as floats, and in other codes, as TestFamiliesConverted does with the other families.
			source, err := weights.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer source.Close()
			for o, tolerance := range map[*convert.Options]float64{
				{Float: weights.F32}: logitTolerance, {Bits: 8, GroupSize: 32}: 0.1, {Bits: 8, Scheme: convert.W8A8}: 0.2,
			} {
				folder := filepath.Join(t.TempDir(), "converted")
				if err := convert.Folder(t.Context(), source, folder, *o); err != nil {
					t.Fatal(err)
				}
				check(openConfig(t, Config{Model: folder}), tolerance)
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
