package engine

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/weights/builtin"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// TestSelfCheckBatches: a batch repeats the sequences as far as there is room.
func TestSelfCheckBatches(t *testing.T) {
	c := &selfCheck{sequences: []sequence{{ids: []int32{1, 2}, types: []int32{0, 1}}, {ids: []int32{3, 4, 5}, types: []int32{0, 0, 1}}}}
	for r, want := range map[repeated][]int32{
		{0, 5}: {0, 2, 5}, {0, 6}: {0, 2, 5}, {0, 7}: {0, 2, 5, 7}, {0, 1}: nil, {1, 5}: {0, 3, 5}, {1, 8}: {0, 3, 5, 8},
	} {
		if diff := cmp.Diff(want, c.batch(r).Starts); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", r, diff)
		}
	}
}

// wrongFor is a backend that computes another last logit in batches of so many tokens.
type wrongFor struct {
	backend.Backend
	least, most int
}

func (b wrongFor) Forward(ctx context.Context, batch *backend.Batch, out []float32) error {
	err := b.Backend.Forward(ctx, batch, out)
	if n := batch.Tokens(); n >= b.least && n <= b.most {
		out[len(out)-1]++
	}
	return err
}

// TestSelfCheckSizes: the check finds a backend that is wrong for small batches alone, or for large ones: kernels have other
// tiles for them.
func TestSelfCheckSizes(t *testing.T) {
	model := t.TempDir()
	if err := weightstest.Write(model, weightstest.Tiny()); err != nil {
		t.Fatal(err)
	}
	e := openConfig(t, Config{Model: model, Backend: BackendCPU})
	c, err := e.newSelfCheck(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	right := e.replicas[0].backend
	if err := c.run(t.Context(), e, right); err != nil {
		t.Errorf("a right backend: %v", err)
	}
	most := min(e.config.MaxBatchTokens, largestCheck)
	for _, tokens := range [][2]int{{1, 8}, {9, 32}, {65, 128}, {most / 2, most}} {
		err := c.run(t.Context(), e, wrongFor{right, tokens[0], tokens[1]})
		if wrong, ok := errors.AsType[*MismatchError](err); !ok || wrong.BatchTokens < tokens[0] || wrong.BatchTokens > tokens[1] {
			t.Errorf("wrong in batches of %d to %d tokens: error %v", tokens[0], tokens[1], err)
		}
	}
}

// TestSelfCheckTexts: a tokenizer without an unknown token is tested with a text of characters that it has. Where it has none of
// any text, the check has nothing to tell right from wrong by, and says so.
func TestSelfCheckTexts(t *testing.T) {
	for vocabulary, tokens := range map[string][]int{
		"0123456789": {8, 16, 16, 16, 16}, // the model takes 16
		"ж":          {3, 3, 3, 3, 3},     // of the template alone
	} {
		spec := weightstest.Tiny()
		spec.Vocab = []string{"[PAD]", "[CLS]", "[SEP]", "[MASK]"}
		for _, r := range vocabulary {
			spec.Vocab = append(spec.Vocab, string(r), "##"+string(r))
		}
		spec.TokenizerKeys = map[string]any{"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": nil}
		e := openTest(t, spec, Config{})
		c, err := e.newSelfCheck(t.Context(), false)
		if err != nil {
			t.Errorf("%s: %v", vocabulary, err)
			continue
		}
		var got []int
		for _, q := range c.sequences {
			got = append(got, len(q.ids))
		}
		if diff := cmp.Diff(tokens, got); diff != "" {
			t.Errorf("%s: tokens of the texts (-want +got):\n%s", vocabulary, diff)
		}
		if err := c.run(t.Context(), e, e.replicas[0].backend); err != nil {
			t.Errorf("%s: a right backend: %v", vocabulary, err)
		}
		if doubt := c.doubt("float32", len(e.labels)); tokens[0] == 3 && doubt == nil {
			t.Errorf("%s: no doubt", vocabulary)
		}
	}
}

// TestSelfCheckNonFinite: a logit that is not finite on the CPU is the model's fault in any arithmetic; one that is so on the GPU
// alone may be that of half precision or the device's, and in fp32 it is the device's.
func TestSelfCheckNonFinite(t *testing.T) {
	e := openTest(t, weightstest.Tiny(), Config{})
	nan := float32(math.NaN())
	for _, c := range []struct {
		dtype     string
		want, got float32
		text      string
	}{
		{"float16", nan, 1, "too large for float32: the model can't be used"},
		{"float16", 1, nan, "too large for float16: use --precision fp32; or GPU computes wrongly: `metalrank doctor`"},
		{"float32", 1, nan, "GPU computes wrong scores"},
	} {
		check := &selfCheck{sequences: []sequence{{ids: []int32{1}}}, want: []float32{c.want}}
		err := check.compare(e, backend.Info{Device: "GPU", DType: c.dtype}, 0, 1, []float32{c.got})
		if err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %v: error %v, want one with %q", c.dtype, c.got, c.want, err, c.text)
		}
	}
}

// TestDoubt: the check says that it can't judge where one number for all texts would be within the tolerance of each.
func TestDoubt(t *testing.T) {
	for _, c := range []struct {
		name    string
		dtype   string
		classes int
		want    []float32
		doubt   bool
	}{
		{"far apart", "float16", 1, []float32{-1, 0, 1}, false},
		{"one number", "float16", 1, []float32{2, 2, 2}, true},
		{"the middle is within the tolerance of both", "float16", 1, []float32{0, 0.09}, true},
		{"no number is", "float16", 1, []float32{0, 0.11}, false},
		{"close, in fp32", "float32", 1, []float32{0, 0.09}, false},
		{"large logits may be off by more", "float16", 1, []float32{-50, -49.5}, true},
		{"two classes alike", "float16", 2, []float32{1, -1, 1, -1}, true},
		{"one of two tells", "float16", 2, []float32{1, -1, 1, 2}, false},
	} {
		check := &selfCheck{want: c.want}
		if err := check.doubt(c.dtype, c.classes); (err != nil) != c.doubt {
			t.Errorf("%s: %v, want a doubt: %v", c.name, err, c.doubt)
		}
	}
}

// TestTellsDoubt: a model of one logit for all texts opens on a GPU, and the caller is told once.
func TestTellsDoubt(t *testing.T) {
	model, _ := faultModel(t)
	zero(t, model, "classifier.weight")
	for _, precision := range []string{PrecisionFP16, PrecisionFP32} {
		var told []error
		f := &faults{}
		config := f.config(t, model, BackendMetal)
		config.Precision, config.Replicas, config.OnDoubt = precision, 2, func(err error) { told = append(told, err) }
		openConfig(t, config)
		if len(told) != 1 {
			t.Errorf("%s: told %v, want one doubt", precision, told)
		}
	}
}

// zero replaces a tensor of a model by zeros.
func zero(t *testing.T, model, tensor string) {
	t.Helper()
	path := filepath.Join(model, "model.safetensors")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	size := binary.LittleEndian.Uint64(data)
	var header map[string]struct {
		Offsets [2]int `json:"data_offsets"`
	}
	if err := json.Unmarshal(data[8:8+size], &header); err != nil {
		t.Fatal(err)
	}
	at, ok := header[tensor]
	if !ok {
		t.Fatalf("no tensor %s", tensor)
	}
	clear(data[8+int(size):][at.Offsets[0]:at.Offsets[1]])
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestSelfCheckHasRoom: on the embedded model right kernels use a small part of what the check allows, so that it raises no
// false alarm.
func TestSelfCheckHasRoom(t *testing.T) {
	notShort(t)
	for _, precision := range []string{PrecisionFP16, PrecisionFP32} {
		e := openSim(t, Config{Precision: precision})
		c, b := e.gpu.check, e.replicas[0].backend
		batch := c.batch(c.batches[0])
		logits := make([]float32, batch.Sequences())
		if err := b.Forward(t.Context(), batch, logits); err != nil {
			t.Fatal(err)
		}
		worst := 0.0
		for i, got := range logits {
			worst = max(worst, math.Abs(float64(got)-float64(c.want[i])))
		}
		if allowed := tolerances[b.Info().DType].absolute; !(worst <= allowed/5) { // in this form, NaN fails
			t.Errorf("%s: a difference of %v, want at most a fifth of %v", precision, worst, allowed)
		}
		t.Logf("%s: %d pairs: largest difference %.2g", precision, len(logits), worst)
	}
}

// BenchmarkSelfCheck measures the CPU's part of the check of the embedded model: to pack it, to run seven pairs, to free it.
func BenchmarkSelfCheck(b *testing.B) {
	e, err := Open(b.Context(), Config{Embedded: builtin.Open, Backend: BackendCPU})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	for b.Loop() {
		if _, err := e.newSelfCheck(b.Context(), false); err != nil {
			b.Fatal(err)
		}
	}
}
