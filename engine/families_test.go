package engine

import (
	"path/filepath"
	"testing"
)

// Tiny random checkpoints of BERT's relatives, written by transformers with their tokenizers, score as they do there;
// see tools/golden/families.py.
func TestFamiliesAgainstTransformers(t *testing.T) {
	for _, name := range []string{"electra", "roberta", "xlm_roberta", "distilbert"} {
		t.Run(name, func(t *testing.T) {
			var golden []goldenPair
			readGolden(t, filepath.Join("families", name, "golden.json"), &golden)
			if len(golden) != 9 {
				t.Fatalf("%d pairs, want 9", len(golden))
			}
			e := openConfig(t, Config{Model: filepath.Join("testdata", "families", name)})
			if got := e.Info().MaxLength; got != 40 {
				t.Errorf("max length %d, want 40", got)
			}
			compareGoldens(t, e, golden, logitTolerance)
		})
	}
}
