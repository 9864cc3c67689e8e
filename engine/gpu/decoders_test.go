package gpu_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/weights"
)

// decoder opens a small decoder of the goldens.
func decoder(t *testing.T, name string) *weights.Checkpoint {
	t.Helper()
	checkpoint, err := weights.Open(filepath.Join("..", "testdata", "families", name))
	if err != nil {
		t.Fatal(err)
	}
	return checkpoint
}

// prefixed is a batch of which most sequences share the tokens of the first or the third.
func (r *rig) prefixed(seed uint64) *backend.Batch {
	plain, batch := r.batch(seed, 20, 9, 1, 40, 33, 5), &backend.Batch{}
	for i, prefix := range []int{-1, 0, -1, 0, 2, -1} {
		batch.AppendAfter(prefix, plain.IDs[plain.Starts[i]:plain.Starts[i+1]], plain.Types[plain.Starts[i]:plain.Starts[i+1]])
	}
	return batch
}

// TestDecoderDispatches holds dispatches to five a layer, one more for norms of heads. In the last, of one token of each sequence,
// queries are apart, and so are their norms; where the head takes the mean of all tokens, it is like the others. Embeddings and head
// are two, and the mean one.
func TestDecoderDispatches(t *testing.T) {
	for name, want := range map[string]struct{ layer, last, besides int }{
		"qwen3": {6, 8, 2}, "qwen3_untied": {6, 8, 2}, "qwen3_seqcls": {6, 8, 2},
		"qwen2": {5, 6, 2}, "qwen2_seqcls": {5, 6, 2}, "llama_last": {5, 6, 2}, "llama": {5, 5, 3},
	} {
		r := newRig(t, sim.Config{}, decoder(t, name), gpu.Config{})
		r.forward(t, r.gpu, r.batch(9, 20, 3))
		all := (len(r.plan.Layers)-1)*want.layer + want.last + want.besides
		if got := len(r.device.reports()); got != all {
			t.Errorf("%s: %d dispatches, want %d", name, got, all)
		}
	}
}

// TestCheckedDecoders runs decoders with prefixes in checked mode: no dispatch reads memory that it should not, or that another
// one writes without a barrier between.
func TestCheckedDecoders(t *testing.T) {
	notShort(t)
	for _, name := range []string{"qwen3", "qwen2"} {
		r := newRig(t, sim.Config{Checked: true, Seed: 11}, decoder(t, name), gpu.Config{})
		r.forward(t, r.gpu, r.prefixed(3))
		r.forward(t, r.gpu, r.batch(6, 40, 2)) // the same memory again
		for _, report := range r.device.reports() {
			for _, f := range report.Findings {
				t.Errorf("%s: %v", name, f)
			}
		}
	}
}

// TestDecoderCuts: a decoder's pass that is cut into lists records the operations of package cost, and has the same bits; so have
// the halves of its batch.
func TestDecoderCuts(t *testing.T) {
	r := newRig(t, sim.Config{}, decoder(t, "qwen3"), gpu.Config{})
	b, _ := r.gpu.(*gpu.Backend)
	batch := r.prefixed(4)
	want := r.forward(t, b, batch)
	steps, err := b.Profile(t.Context(), batch, make([]float32, len(want)))
	if err != nil {
		t.Fatal(err)
	}
	names := func(step gpu.Step) (cost.Name, int) { return step.Name, step.Layer }
	for i, o := range gpu.Operations(b, batch) {
		if name, layer := names(steps[i]); name != o.Name || layer != o.Layer {
			t.Errorf("operation %d is %q of layer %d, its cost that of %q of layer %d", i, name, layer, o.Name, o.Layer)
		}
	}
	r.lists()
	gpu.SetRate(b, 1)
	if got := r.forward(t, b, batch); !slices.Equal(got, want) {
		t.Errorf("in lists: %v, want %v", got, want)
	}
	if lists := r.lists(); len(lists) != len(steps) {
		t.Errorf("lists of %v commands, want one for each of %d operations", lists, len(steps))
	}
	var got []float32
	for _, half := range gpu.Halves(batch) {
		if half.Prefixes != nil {
			t.Errorf("a half has prefixes %v", half.Prefixes)
		}
		got = append(got, r.forward(t, b, half)...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("in halves: %v, want %v", got, want)
	}
}

// TestUnusualDecoders: what a decoder has that the kernels lack is named.
func TestUnusualDecoders(t *testing.T) {
	layerNorm := func(n weights.Norm) *weights.Norm {
		n.RMS = false
		return &n
	}
	for want, change := range map[string]func(p *weights.Plan){
		"a norm between embeddings and the first layer":   func(p *weights.Plan) { p.KeepSum = false },
		"embeddings with a norm without a mean":           func(p *weights.Plan) { p.Embeddings.Norm, p.FirstNorm = p.FirstNorm, nil },
		"causal attention and a head of first tokens":     func(p *weights.Plan) { p.Pool = weights.PoolFirst },
		"a head with a norm without a mean":               func(p *weights.Plan) { p.Head[0].Norm = p.FirstNorm },
		"heads of 132 values":                             func(p *weights.Plan) { p.Layers[0].Attention.Size = 132 },
		"some causal layers among others":                 func(p *weights.Plan) { p.Layers[1].Attention.Causal = false },
		"norms of queries or of keys alone":               func(p *weights.Plan) { p.Layers[1].Attention.KeyNorm = nil },
		"norms of queries and keys with a mean":           func(p *weights.Plan) { a := &p.Layers[0].Attention; a.KeyNorm = layerNorm(*a.KeyNorm) },
		"norms without a mean (RMS) after attention":      func(p *weights.Plan) { p.KeepSum, p.FirstNorm = false, nil },
		"disentangled attention of heads that share keys": func(p *weights.Plan) { p.Layers[0].Attention.Relative = &weights.Relative{} },
		"a table of positions with a norm without a mean": func(p *weights.Plan) { p.Layers[0].Attention.Relative = &weights.Relative{Norm: p.FirstNorm} },
	} {
		checkpoint := decoder(t, "qwen3")
		plan, err := checkpoint.Plan()
		if err != nil {
			t.Fatal(err)
		}
		if err := gpu.Supports(plan, "sim"); err != nil {
			t.Fatal(err)
		}
		change(plan)
		if err := gpu.Supports(plan, "sim"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if err := checkpoint.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestPrefixesRefused: an encoder takes no prefixes, nor does a decoder whose head reads all rows.
func TestPrefixesRefused(t *testing.T) {
	for _, name := range []string{"llama", "modernbert"} {
		r := newRig(t, sim.Config{}, decoder(t, name), gpu.Config{})
		batch := r.prefixed(3)
		err := r.gpu.Forward(t.Context(), batch, make([]float32, batch.Sequences()*len(r.config.Labels)))
		if err == nil || !strings.Contains(err.Error(), "prefixes") || r.gpu.Info().Prefixes {
			t.Errorf("%s: %v", name, err)
		}
	}
}
