package engine

import (
	"path/filepath"
	"testing"

	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/convert"
)

// Checkpoints in all types of GGUF that are read, written with llama.cpp's names by its Python package, score as
// transformers does with the weights that the package dequantises, and so do the folders that they are converted to; see
// tools/model/golden/ggufs.py.
func TestGGUFAgainstTransformers(t *testing.T) {
	for _, name := range []string{"roberta", "xlm_roberta", "distilbert", "modernbert"} {
		t.Run(name, func(t *testing.T) {
			var golden []goldenPair
			readGolden(t, filepath.Join("gguf", name, "golden.json"), &golden)
			if len(golden) != 9 {
				t.Fatalf("%d pairs, want 9", len(golden))
			}
			file := filepath.Join("testdata", "gguf", name, "model.gguf")
			compareGoldens(t, openConfig(t, Config{Model: file}), golden, logitTolerance)

			source, err := weights.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			folder := filepath.Join(t.TempDir(), "converted")
			if err := convert.Folder(t.Context(), source, folder, convert.Options{Float: weights.F32}); err != nil {
				t.Fatal(err)
			}
			if err := source.Close(); err != nil {
				t.Error(err)
			}
			compareGoldens(t, openConfig(t, Config{Model: folder}), golden, logitTolerance)
		})
	}
}
