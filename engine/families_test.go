package engine

import (
	"os"
	"path/filepath"
	"testing"
)

// Tiny random checkpoints of BERT's relatives, written by transformers with their tokenizers, score as they do there;
// see tools/model/golden/families.py.
func TestFamiliesAgainstTransformers(t *testing.T) {
	for _, name := range []string{"electra", "roberta", "xlm_roberta", "distilbert", "camembert"} {
		for _, backend := range []string{BackendCPU, BackendReference} {
			t.Run(name+"/"+backend, func(t *testing.T) {
				var golden []goldenPair
				readGolden(t, filepath.Join("families", name, "golden.json"), &golden)
				if len(golden) != 9 {
					t.Fatalf("%d pairs, want 9", len(golden))
				}
				e := openConfig(t, Config{Model: filepath.Join("testdata", "families", name), Backend: backend})
				if got := e.Info().MaxLength; got != 40 {
					t.Errorf("max length %d, want 40", got)
				}
				compareGoldens(t, e, golden, logitTolerance)
			})
		}
	}
}

// The same weights in a pytorch_model.bin give the same scores.
func TestPickledCheckpoint(t *testing.T) {
	dir := t.TempDir()
	for from, names := range map[string][]string{
		"distilbert": {"config.json", "tokenizer.json", "tokenizer_config.json"}, "distilbert_pickle": {"pytorch_model.bin"},
	} {
		for _, name := range names {
			data, err := os.ReadFile(filepath.Join("testdata", "families", from, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	var golden []goldenPair
	readGolden(t, filepath.Join("families", "distilbert", "golden.json"), &golden)
	compareGoldens(t, openConfig(t, Config{Model: dir}), golden, logitTolerance)
}
