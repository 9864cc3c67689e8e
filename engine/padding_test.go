package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/weights"
)

// paddingGoldens are transformers' logits of texts with padding tokens in them; see tools/model/golden/padding.py.
type paddingGoldens struct {
	Encoders map[string][]goldenPair  `json:"encoders"`
	Decoders map[string][]decoderPair `json:"decoders"`
}

func readPaddingGoldens(t *testing.T) (g paddingGoldens) {
	t.Helper()
	readGolden(t, "padding.json", &g)
	if len(g.Encoders) != 3 || len(g.Decoders) != 2 {
		t.Fatalf("%d encoders and %d decoders, want 3 and 2", len(g.Encoders), len(g.Decoders))
	}
	return g
}

// A padding token in a text has the position of padding in a RoBERTa, and is not counted, as in transformers.
func TestPaddingInTexts(t *testing.T) {
	for name, golden := range readPaddingGoldens(t).Encoders {
		model := filepath.Join("testdata", "families", name)
		for _, backend := range []string{BackendReference, BackendCPU} {
			t.Run(name+"/"+backend, func(t *testing.T) {
				compareGoldens(t, openConfig(t, Config{Model: model, Backend: backend}), golden, logitTolerance)
			})
		}
		t.Run(name+"/"+BackendSim, func(t *testing.T) {
			compareGoldens(t, openSim(t, Config{Model: model, Precision: PrecisionFP32}), golden, logitTolerance)
		})
	}
}

// A decoder with a head of its own takes its score before padding tokens at the end, as in transformers.
func TestPaddingAtTheEnd(t *testing.T) {
	for name, golden := range readPaddingGoldens(t).Decoders {
		files := familyFiles(t, name)
		c, err := weights.FromMemory(name, files)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := c.Plan()
		if err != nil {
			t.Fatal(err)
		}
		p, batch, want := newPadding(plan, c.Config()), &backend.Batch{}, []float32{}
		for _, g := range golden {
			n, err := p.withoutTrailing(g.IDs, plan.Prefixes())
			if err != nil {
				t.Fatal(err)
			}
			appendTo(batch, -1, g.IDs[:n])
			for _, v := range g.Logits {
				want = append(want, float32(v))
			}
		}
		if worst := farthest(forward(t, files, onReference, batch), want); !(worst <= logitTolerance) {
			t.Errorf("%s: a logit differs by %.2g", name, worst)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The prompt's end may be padding, too: a text that goes on with it scores as without. A model that reads in both directions
// sees it all the same, so that such a text is an error there.
func TestPaddingAtTheEndOfPrompts(t *testing.T) {
	template := `q: {{ messages | selectattr("role", "eq", "query") | map(attribute="content") | first }}` +
		`, d: {{ messages | selectattr("role", "eq", "document") | map(attribute="content") | first }}`
	pairs := []Pair{{Query: "a", Document: "b"}, {Query: "a", Document: "b<|endoftext|><|endoftext|>"}}
	for _, causal := range []string{"true", "false"} {
		files := familyFiles(t, "qwen3_seqcls")
		files["chat_template.jinja"] = []byte(template)
		files["config.json"] = []byte(strings.Replace(string(files["config.json"]), "{", `{"is_causal": `+causal+`,`, 1))
		dir := t.TempDir()
		for name, data := range files {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		e := openConfig(t, Config{Model: dir, Backend: BackendReference})
		scores, err := e.Score(t.Context(), pairs, raw)
		if causal == "false" {
			if err == nil || !strings.Contains(err.Error(), "padding (pad_token_id of config.json)") {
				t.Errorf("a text that ends with padding: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(scores.Row(0), scores.Row(1)) {
			t.Errorf("%v, and %v with padding at the end", scores.Row(0), scores.Row(1))
		}
	}
}
