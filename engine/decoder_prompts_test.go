package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// openDecoder opens a decoder of the tests under the name of a model whose prompt is known.
func openDecoder(t *testing.T, name string, config Config) (*Engine, error) {
	t.Helper()
	known := "Qwen3-Reranker-"
	if strings.HasPrefix(name, "llama") {
		known = "llama-nemotron-rerank-1b-v2-"
	}
	config.Model, config.Backend = filepath.Join(t.TempDir(), known+name), BackendReference
	for file, data := range familyFiles(t, name) {
		path := filepath.Join(config.Model, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e, err := Open(t.Context(), config)
	if err == nil {
		t.Cleanup(func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return e, err
}

// Decoders read texts as the cards of the models say, and score them as in transformers.
func TestDecodersReadPrompts(t *testing.T) {
	for _, name := range triedDecoders() {
		t.Run(name, func(t *testing.T) {
			var golden []struct {
				Query    string  `json:"query"`
				Document string  `json:"document"`
				IDs      []int32 `json:"ids"`
				goldenPair
			}
			readGolden(t, filepath.Join("families", name, "golden.json"), &golden)
			e, err := openDecoder(t, name, Config{})
			if err != nil {
				t.Fatal(err)
			}
			var pairs []goldenPair
			for i, g := range golden {
				made, err := e.encode(t.Context(), []Pair{{Query: g.Query, Document: g.Document}}, &Options{})
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(made[0].ids, g.IDs) {
					t.Errorf("pair %d has ids %d, want %d", i, made[0].ids, g.IDs)
				}
				g.goldenPair.Query, g.goldenPair.Document = g.Query, g.Document
				pairs = append(pairs, g.goldenPair)
			}
			compareGoldens(t, e, pairs, logitTolerance)
		})
	}
}

// An instruction of a call goes before that of the configuration, and both change scores.
func TestInstructions(t *testing.T) {
	ask := func(config Config, options Options) float64 {
		e, err := openDecoder(t, "qwen3", config)
		if err != nil {
			t.Fatal(err)
		}
		options.RawScores = true
		ranking, err := e.Rerank(t.Context(), "ferry", []string{"the ferry waits"}, options)
		if err != nil {
			t.Fatal(err)
		}
		return ranking.Results[0].Score
	}
	none := ask(Config{}, Options{})
	server, call := ask(Config{Instruction: "boats"}, Options{}), ask(Config{}, Options{Instruction: "flags"})
	if none == server || none == call || server == call {
		t.Errorf("scores %g without, %g with the configuration's, %g with the call's instruction", none, server, call)
	}
	if got := ask(Config{Instruction: "boats"}, Options{Instruction: "flags"}); got != call {
		t.Errorf("score %g with both, want %g, the call's", got, call)
	}
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Instruction: strings.Repeat("x", MaxInstructionBytes+1)}, "Instruction"},
		{Config{MaxLength: 60}, "MaxLength is 60, want at least"},
	} {
		if _, err := openDecoder(t, "qwen3", c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
	if _, err := Open(t.Context(), Config{Model: filepath.Join("testdata", "families", "electra"), Backend: BackendReference, Instruction: "x"}); err == nil ||
		!strings.Contains(err.Error(), "Instruction") {
		t.Errorf("an instruction for a model that takes none: %v", err)
	}
	e := openConfig(t, Config{Model: filepath.Join("testdata", "families", "electra"), Backend: BackendReference})
	if _, err := e.Rerank(t.Context(), "q", []string{"d"}, Options{Instruction: "x"}); err == nil || !strings.Contains(err.Error(), "no instruction") {
		t.Errorf("of a call: %v", err)
	}
	if _, err := e.Rerank(t.Context(), "q", []string{"d"}, Options{Instruction: strings.Repeat("x", MaxInstructionBytes+1)}); err == nil ||
		!strings.Contains(err.Error(), "Instruction is 4097") {
		t.Errorf("a long one: %v", err)
	}
}
