package engine

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/convert"
)

// decoders are tiny random decoders of engine/testdata/families, with transformers' logits of token ids; see
// tools/model/golden/decoders.py.
var decoders = []string{"qwen3", "qwen2", "llama", "qwen3_untied", "qwen3_seqcls", "qwen2_seqcls", "llama_last"}

// triedDecoders are those of a run: one of each family in a short one.
func triedDecoders() []string {
	if testing.Short() {
		return decoders[:3]
	}
	return decoders
}

// decoderBackends are the backends that run decoders, with the largest difference of a logit from transformers' that each
// may have.
var decoderBackends = []struct {
	name      string
	tolerance float64
	open      func(t *testing.T) func(*weights.Checkpoint) (backend.Backend, error)
}{
	{"reference", logitTolerance, func(*testing.T) func(*weights.Checkpoint) (backend.Backend, error) { return onReference }},
	{"sim", halfTolerance, func(t *testing.T) func(*weights.Checkpoint) (backend.Backend, error) {
		t.Helper()
		return onSession(t, false)
	}},
	{"sim fp32", logitTolerance, func(t *testing.T) func(*weights.Checkpoint) (backend.Backend, error) {
		t.Helper()
		return onSession(t, true)
	}},
}

// decoderPair is a golden with token ids.
type decoderPair struct {
	IDs    []int32   `json:"ids"`
	Logits []float64 `json:"logits"`
}

// decoderGoldens returns the goldens of a decoder, and its files.
func decoderGoldens(t *testing.T, name string) ([]decoderPair, map[string][]byte) {
	t.Helper()
	var golden []decoderPair
	readGolden(t, filepath.Join("families", name, "golden.json"), &golden)
	if len(golden) != 9 {
		t.Fatalf("%d pairs, want 9", len(golden))
	}
	return golden, familyFiles(t, name)
}

// appendTo appends tokens to a batch, behind a prefix that it has already; -1 is none.
func appendTo(b *backend.Batch, prefix int, ids []int32) {
	b.AppendAfter(prefix, ids, make([]int32, len(ids)))
}

// Decoders have transformers' logits, and the same bits alone and among others.
func TestDecodersAgainstTransformers(t *testing.T) {
	for _, name := range triedDecoders() {
		golden, files := decoderGoldens(t, name)
		together, alone, want := &backend.Batch{}, []*backend.Batch{}, []float32{}
		for _, g := range golden {
			appendTo(together, -1, g.IDs)
			one := &backend.Batch{}
			appendTo(one, -1, g.IDs)
			alone = append(alone, one)
			for _, v := range g.Logits {
				want = append(want, float32(v))
			}
		}
		for _, b := range decoderBackends {
			t.Run(name+"/"+b.name, func(t *testing.T) {
				got := forward(t, files, b.open(t), together)
				worst := farthest(got, want)
				if !(worst <= b.tolerance) {
					t.Errorf("a logit differs by %.2g, allowed is %.2g", worst, b.tolerance)
				}
				t.Logf("largest difference %.2g", worst)
				if by := forward(t, files, b.open(t), alone...); !slices.Equal(by, got) {
					t.Errorf("%v alone, %v together", by, got)
				}
			})
		}
	}
}

// Sequences behind a prefix of one token, of many, and of two in one batch have the bits of the repeated text. A model that
// reads in both directions refuses them.
func TestDecodersBehindPrefixes(t *testing.T) {
	for _, name := range triedDecoders() {
		golden, files := decoderGoldens(t, name)
		first := golden[0].IDs
		common := slices.IndexFunc(golden, func(g decoderPair) bool { return len(g.IDs) < 2 }) // none is as short
		for i := 0; common < 0; i++ {
			if slices.ContainsFunc(golden, func(g decoderPair) bool { return i >= len(g.IDs)-1 || g.IDs[i] != first[i] }) {
				common = i
			}
		}
		repeated, shared := &backend.Batch{}, &backend.Batch{}
		var rows []int // of shared, in the order of repeated
		for _, length := range []int{1, common, common - 1} {
			prefix := shared.Sequences()
			appendTo(shared, -1, first[:length])
			for _, g := range golden {
				rows = append(rows, shared.Sequences())
				appendTo(shared, prefix, g.IDs[length:])
				appendTo(repeated, -1, g.IDs)
			}
		}
		for _, b := range decoderBackends {
			t.Run(name+"/"+b.name, func(t *testing.T) {
				if strings.HasPrefix(name, "llama") {
					refusesPrefixes(t, files, b.open(t), shared)
					return
				}
				if common < 30 {
					t.Fatalf("%d tokens in common, want a prompt", common)
				}
				want, got := forward(t, files, b.open(t), repeated), forward(t, files, b.open(t), shared)
				labels := len(golden[0].Logits)
				for i, row := range rows {
					if w, g := want[i*labels:(i+1)*labels], got[row*labels:(row+1)*labels]; !slices.Equal(w, g) {
						t.Errorf("sequence %d: %v behind a prefix, %v repeated", i, g, w)
					}
				}
			})
		}
	}
}

// refusesPrefixes checks that a backend of a model that takes no prefixes says so.
func refusesPrefixes(t *testing.T, files map[string][]byte, open func(*weights.Checkpoint) (backend.Backend, error), batch *backend.Batch) {
	t.Helper()
	c, err := weights.FromMemory("family", files)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	out := make([]float32, batch.Sequences()*len(c.Config().Labels))
	if err := b.Forward(t.Context(), batch, out); b.Info().Prefixes || err == nil || !strings.Contains(err.Error(), "prefix") {
		t.Errorf("prefixes: %t, %v", b.Info().Prefixes, err)
	}
}

// Every tensor of a decoder counts: of zeros, it changes a logit by more than rounding does.
func TestDecodersUseEachTensor(t *testing.T) {
	notShort(t)
	for _, name := range decoders {
		t.Run(name, func(t *testing.T) {
			golden, files := decoderGoldens(t, name)
			batch := &backend.Batch{}
			for _, g := range golden[:3] {
				appendTo(batch, -1, g.IDs)
			}
			useEachTensor(t, name, files, batch, func(*weights.Checkpoint, string) bool { return false })
		})
	}
}

// Decoders can be converted to each layout of weights. fp16 keeps the bits, since the files have it. Integers move logits by up
// to 0.31 at int8, 4.4 at int4 and 0.76 at int8 by channel, all in qwen3, whose score is a difference of rows; in the others
// by a quarter of that and less. Written back as floats, they give the same logits once more.
func TestDecodersConverted(t *testing.T) {
	notShort(t)
	for _, name := range decoders {
		t.Run(name, func(t *testing.T) {
			golden, files := decoderGoldens(t, name)
			batch := &backend.Batch{}
			for _, g := range golden {
				appendTo(batch, -1, g.IDs)
			}
			want := forward(t, files, onReference, batch)
			for _, c := range []struct {
				name      string
				options   convert.Options
				tolerance float64
			}{
				{"fp16", convert.Options{Float: weights.F16}, 0},
				{"int8", convert.Options{Bits: 8, GroupSize: 32}, 0.5},
				{"int4", convert.Options{Bits: 4, GroupSize: 32}, 6},
				{"w8a8", convert.Options{Bits: 8, Scheme: convert.W8A8, EmbeddingLevels: 127}, 1},
			} {
				made := convertFiles(t, files, c.options)
				got := forward(t, made, onReference, batch)
				if worst := farthest(got, want); !(worst <= c.tolerance) || c.tolerance > 0 && worst == 0 {
					t.Errorf("%s: a logit differs by %.2g, allowed is %.2g", c.name, worst, c.tolerance)
				} else {
					t.Logf("%s: largest difference %.2g", c.name, worst)
				}
				back := convertFiles(t, made, convert.Options{Float: weights.F32})
				if worst := farthest(forward(t, back, onReference, batch), got); !(worst <= 1e-6) {
					t.Errorf("%s, then fp32: a logit differs by %.2g", c.name, worst)
				}
			}
		})
	}
}
