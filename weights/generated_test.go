package weights_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// TestGenerated opens the checkpoints that the other packages are tested with. Other code than this package's tests
// writes them, after the folders of Hugging Face's tools.
func TestGenerated(t *testing.T) {
	for _, s := range append(weightstest.Specs(), weightstest.Tiny()) {
		t.Run(s.Name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), s.Name)
			if err := weightstest.Write(dir, s); err != nil {
				t.Fatal(err)
			}
			c, err := weights.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			b, err := c.Plan()
			if err != nil {
				t.Fatal(err)
			}
			cfg := c.Config()
			got := []int{cfg.HiddenSize, cfg.Layers, cfg.Heads, cfg.FeedForward, cfg.MaxPositions, cfg.TypeVocab, cfg.VocabSize, len(cfg.Labels)}
			want := []int{s.Hidden, s.Layers, s.Heads, s.FeedForward, s.MaxPositions, s.TypeVocab, len(s.Vocab), s.Labels}
			if !slices.Equal(got, want) || cfg.Activation.String() != s.Activation || len(b.Layers) != s.Layers {
				t.Errorf("config %+v, want %+v", cfg, s)
			}
			if d := b.Embeddings.Words.DType.String(); d != s.DType {
				t.Errorf("dtype %s, want %s", d, s.DType)
			}
			if _, err := c.File("tokenizer.json"); err != nil {
				t.Error(err)
			}
		})
	}
}
