package cpu

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/weights"
)

// localModel is the family's model with windows in all layers, and so many positions.
func localModel(t *testing.T, positions int) *weights.Checkpoint {
	t.Helper()
	from, to := filepath.Join("..", "testdata", "families", "modernbert"), t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(to, "config.json")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	config := map[string]any{}
	if err := json.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	config["max_position_embeddings"] = positions
	layers, _ := config["layer_types"].([]any)
	for i := range layers {
		layers[i] = "sliding_attention"
	}
	if data, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := weights.Open(to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestWindowsAreLinear: where layers have windows, the work of attention and the bytes that it reads grow with the length from
// 1,024 to 8,192 tokens, within 15 %. Every block of rows reads the keys of its own windows alone.
func TestWindowsAreLinear(t *testing.T) {
	c := localModel(t, 8192)
	plan, err := c.Plan()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range plan.Layers {
		if l.Attention.Window == 0 {
			t.Fatal("a layer has no window")
		}
	}
	b := open(t, c, Options{Workers: 2})
	model := modelOf(c.Config())
	model.Limits = backend.Limits{Vocab: plan.Vocab, Types: 1, Positions: plan.Positions}
	count := func(tokens int) (flops, bytes float64) {
		p, err := b.Profile(t.Context(), model.Batch(tokens), make([]float32, plan.Labels))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range p.Spans {
			if s.Name == cost.Attention {
				flops, bytes = flops+float64(s.FLOPs), bytes+float64(s.Bytes)
			}
		}
		whole, _ := cost.Total(cost.Pass(cost.ShapeOf(plan), []int{tokens}, cost.Format{}))
		return flops + whole, bytes
	}
	shortFLOPs, shortBytes := count(1024)
	longFLOPs, longBytes := count(8192)
	for name, ratio := range map[string]float64{"FLOPs": longFLOPs / shortFLOPs, "bytes of attention": longBytes / shortBytes} {
		if ratio > 8*1.15 || ratio < 8/1.15 {
			t.Errorf("%s: %.2f times as many at 8 times the length", name, ratio)
		}
		t.Logf("%s: × %.2f", name, ratio)
	}
}
