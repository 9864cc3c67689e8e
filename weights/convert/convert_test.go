package convert

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/builtin"
	"github.com/metalrank/metalrank/weights/calibrate"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// open opens a folder for the length of the test.
func open(t *testing.T, dir string) *weights.Checkpoint {
	t.Helper()
	c, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// source writes one of weightstest's checkpoints.
func source(t *testing.T, spec weightstest.Spec) *weights.Checkpoint {
	t.Helper()
	dir := filepath.Join(t.TempDir(), spec.Name)
	if err := weightstest.Write(dir, spec); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

// converted runs a conversion that must succeed, and opens the result.
func converted(t *testing.T, src *weights.Checkpoint, o Options) *weights.Checkpoint {
	t.Helper()
	dst := filepath.Join(t.TempDir(), "made")
	if err := Folder(t.Context(), src, dst, o); err != nil {
		t.Fatal(err)
	}
	return open(t, dst)
}

// logical returns the weights by name, with quantised layers put together.
func logical(t *testing.T, c *weights.Checkpoint) map[string]weights.Tensor {
	t.Helper()
	all, err := c.Weights()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]weights.Tensor{}
	for _, w := range all {
		if byName[w.Name], err = c.Read(w); err != nil {
			t.Fatal(err)
		}
	}
	return byName
}

func decode(w weights.Tensor) []float32 {
	out := make([]float32, w.Len())
	w.Float32s(out, 0)
	return out
}

// TestBuiltinAgainstMLX: every conversion of the embedded model has the codes, scales and biases that mx.quantize makes,
// and decodes to the weights that mx.dequantize makes of them.
func TestBuiltinAgainstMLX(t *testing.T) {
	if testing.Short() {
		t.Skip("converts the embedded model eighteen times")
	}
	var golden struct{ Cases map[string][2]string }
	data, err := os.ReadFile("testdata/goldens_builtin.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &golden); err != nil || len(golden.Cases) != 3*2*3 {
		t.Fatalf("%d cases, %v", len(golden.Cases), err)
	}
	src, err := builtin.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	floats := map[string]weights.DType{"float32": weights.F32, "float16": weights.F16, "bfloat16": weights.BF16}
	for name, want := range golden.Cases {
		var dtype string
		var o Options
		if _, err := fmt.Sscan(name, &dtype, &o.Bits, &o.GroupSize); err != nil {
			t.Fatal(err)
		}
		if testing.Short() && o.GroupSize != 64 {
			continue
		}
		o.Float = floats[dtype]
		made := converted(t, src, o)
		parts, values, quantised := sha256.New(), sha256.New(), 0
		all := logical(t, made)
		for _, key := range slices.Sorted(maps.Keys(all)) {
			w := all[key]
			if w.Quant == nil {
				continue
			}
			quantised++
			for _, part := range []weights.Tensor{w.Quant.Codes, w.Quant.Scales, w.Quant.Biases} {
				parts.Write(part.Bytes())
			}
			_ = binary.Write(values, binary.LittleEndian, decode(w)) // a hash takes everything
		}
		got := [2]string{hex.EncodeToString(parts.Sum(nil)), hex.EncodeToString(values.Sum(nil))}
		if got != want || quantised != 12*6+3 {
			t.Errorf("%s: %d tensors, parts and weights %s, want %s", name, quantised, got, want)
		}
	}
}

// TestCodesAreKept: int8 that was decoded to floats gets its codes and scales back, for each type of scales, so that
// nothing is rounded twice.
func TestCodesAreKept(t *testing.T) {
	for _, spec := range weightstest.Specs() {
		for _, float := range []weights.DType{weights.F32, weights.F16, weights.BF16} {
			o := Options{Bits: 8, Scheme: W8A8, Float: float, EmbeddingLevels: MaxEmbeddingLevels}
			first := converted(t, source(t, spec), o)
			again := converted(t, converted(t, first, Options{Float: weights.F32}), o)
			want, compared := logical(t, first), 0
			for name, w := range logical(t, again) {
				if w.Channel == nil {
					continue
				}
				compared++
				before := decode(want[name])
				for i, v := range decode(w) {
					if math.Abs(float64(v-before[i])) > 2.5e-7*math.Abs(float64(before[i])) {
						t.Fatalf("%s, %s: %s: weight %d is %g, was %g", spec.Name, float, name, i, v, before[i])
					}
				}
			}
			if compared != 6*spec.Layers+3 {
				t.Errorf("%s: %d tensors in int8, want %d", spec.Name, compared, 6*spec.Layers+3)
			}
		}
	}
}

// TestFloats: floats are rounded once, to nearest, and nothing else changes: not even the order of config.json.
func TestFloats(t *testing.T) {
	for _, spec := range weightstest.Specs() {
		src := source(t, spec)
		before := logical(t, src)
		for _, d := range []weights.DType{weights.F32, weights.F16, weights.BF16} {
			made := converted(t, src, Options{Float: d})
			after := logical(t, made)
			for name, w := range before {
				if strings.HasSuffix(name, "position_ids") {
					continue
				}
				want := make([]byte, w.Len()*d.Size())
				d.Encode(want, decode(w))
				if got := after[name]; got.DType != d || !bytes.Equal(got.Bytes(), want) || !slices.Equal(got.Shape, w.Shape) {
					t.Errorf("%s to %s: tensor %q: %s %d with other values", spec.Name, d, name, got.DType, got.Shape)
				}
			}
			if _, err := made.Plan(); err != nil {
				t.Errorf("%s to %s: %v", spec.Name, d, err)
			}
			for _, name := range []string{"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"} {
				a, errA := src.File(name)
				b, errB := made.File(name)
				if errA != nil || errB != nil || !bytes.Equal(a, b) {
					t.Errorf("%s: %s is not what it was: %v, %v", spec.Name, name, errA, errB)
				}
			}
			config, _ := made.File("config.json")
			if !strings.Contains(string(config), `dtype": "`+torchName[d]+`"`) {
				t.Errorf("%s to %s: config.json has another dtype: %s", spec.Name, d, config)
			}
		}
	}
}

// TestBack: a quantised checkpoint becomes floats again, each the value that its codes stand for.
func TestBack(t *testing.T) {
	src := source(t, weightstest.Specs()[0])
	for _, o := range []Options{{Bits: 4, GroupSize: 32}, {Bits: 8}, {Bits: 6}, {Bits: 8, Scheme: W8A8}, {Bits: 8, Scheme: W8A8, EmbeddingLevels: 9}} {
		small := converted(t, src, o)
		back := converted(t, small, Options{Float: weights.F32})
		want := logical(t, small)
		quantised := 0
		for name, w := range logical(t, back) {
			if w.DType != weights.F32 || !slices.Equal(decode(w), decode(want[name])) {
				t.Errorf("%+v: %q: %s with other values", o, name, w.DType)
			}
			if want[name].Quant != nil || want[name].Channel != nil {
				quantised++
			}
		}
		if quantised < 13 { // 6 matrices in each of 2 layers, and the pooler
			t.Errorf("%+v: only %d tensors were quantised", o, quantised)
		}
		if back.Config().Quantization != nil {
			t.Errorf("%+v: config.json still says quantisation", o)
		}
	}
}

// TestW8A8: each row has the scale of its largest magnitude, and no weight is farther than half a step from its own.
func TestW8A8(t *testing.T) {
	src := source(t, weightstest.Specs()[0])
	before := logical(t, src)
	const embeddingLevels = 31
	for name, w := range logical(t, converted(t, src, Options{Bits: 8, Scheme: W8A8, Float: weights.F32, EmbeddingLevels: embeddingLevels})) {
		if w.Channel == nil {
			continue
		}
		levels := 127.0
		if strings.HasSuffix(name, "_embeddings.weight") {
			levels = embeddingLevels
		}
		values, source := decode(w), decode(before[name])
		in := w.Shape[1]
		for row := range w.Shape[0] {
			var largest float32
			for _, v := range source[row*in : (row+1)*in] {
				largest = max(largest, v, -v)
			}
			for i := row * in; i < (row+1)*in; i++ {
				if d := math.Abs(float64(values[i] - source[i])); d > float64(largest)/levels*0.501 {
					t.Fatalf("%q[%d %d]: %g became %g with a largest magnitude of %g", name, row, i%in, source[i], values[i], largest)
				}
			}
		}
	}
}

// TestPolicy: the layers that are quantised, and those that stay in floats.
func TestPolicy(t *testing.T) {
	src := source(t, weightstest.Specs()[0])
	for _, c := range []struct {
		options   Options
		quantised []string // parts of names
		floats    []string
	}{
		{
			Options{Bits: 4},
			[]string{"query.weight", "pooler.dense.weight", "word_embeddings", "position_embeddings"},
			[]string{"classifier.weight", "token_type", "LayerNorm.weight", ".bias"},
		},
		{Options{Bits: 4, Skip: []string{"*.pooler.*"}}, []string{"query.weight"}, []string{"pooler.dense.weight"}},
		{Options{Bits: 8, Scheme: W8A8}, []string{"query.weight"}, []string{"word_embeddings", "classifier.weight"}},
		{
			Options{Bits: 8, Scheme: W8A8, EmbeddingLevels: 63},
			[]string{"query.weight", "word_embeddings", "position_embeddings"},
			[]string{"classifier.weight", "token_type", "LayerNorm.weight", ".bias"},
		},
		{Options{Bits: 8, GroupSize: 128}, []string{"1.output.dense.weight"}, []string{"query.weight", "word_embeddings"}}, // H is 64, F 128
	} {
		for name, w := range logical(t, converted(t, src, c.options)) {
			is := w.Quant != nil || w.Channel != nil
			has := func(part string) bool { return strings.Contains(name, part) }
			if slices.ContainsFunc(c.quantised, has) && !is && !strings.HasSuffix(name, ".bias") {
				t.Errorf("%+v: %q is %s", c.options, name, w.DType)
			}
			if slices.ContainsFunc(c.floats, has) && is || !is && w.DType != weights.F16 {
				t.Errorf("%+v: %q is %s", c.options, name, w.DType)
			}
			if w.Quant != nil && strings.HasSuffix(name, "_embeddings.weight") != (w.Quant.Bits == 8) && c.options.Bits == 4 {
				t.Errorf("%+v: %q has %d bits", c.options, name, w.Quant.Bits)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	spec := weightstest.Tiny() // H is 8: no groups
	src := source(t, spec)
	free := func() string { return filepath.Join(t.TempDir(), "made") }
	taken := t.TempDir()
	for _, c := range []struct {
		dst     string
		options Options
		want    string
	}{
		{taken, Options{}, "file already exists"},
		{free(), Options{Bits: 4}, "convert: nothing to quantise: no matrix has rows of whole groups, or all are skipped"},
		{free(), Options{Bits: 5}, "convert: quant: 5 bits, want one of [2 3 4 6 8]"},
		{free(), Options{Bits: 4, GroupSize: 16}, "convert: quant: group size 16, want one of [32 64 128]"},
		{free(), Options{Bits: 4, Scheme: W8A8}, "convert: scheme w8a8 with 4 bits, want 8"},
		{free(), Options{Bits: 8, Scheme: W8A8, EmbeddingLevels: 128}, "convert: 128 levels of embeddings, want at most 127"},
		{free(), Options{Bits: 8, EmbeddingLevels: 64}, "convert: levels of embeddings with scheme mlx, want w8a8"},
		{free(), Options{Bits: 4, Scheme: "gptq"}, `convert: scheme "gptq", want mlx or w8a8`},
		{free(), Options{Float: weights.I8}, "convert: floats as I8, want F32, F16 or BF16"},
		{free(), Options{Skip: []string{"["}}, `convert: skip "[": syntax error in pattern`},
	} {
		err := Folder(t.Context(), src, c.dst, c.options)
		if err == nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.options, err, c.want)
		}
		wantNothing(t, c.dst, c.dst == taken)
	}
}

// wantNothing checks whether the folder exists, and that no files of a running conversion are beside it.
func wantNothing(t *testing.T, dst string, exists bool) {
	t.Helper()
	if _, err := os.Stat(dst); errors.Is(err, fs.ErrNotExist) == exists {
		t.Errorf("%s: %v", dst, err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(dst), ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// Weights that cannot be stored are named; NaN would spread over every score.
func TestNotFinite(t *testing.T) {
	for _, c := range []struct {
		bad  float32
		to   weights.DType
		want string
	}{
		{float32(math.NaN()), weights.F32, "is NaN, want finite weights"},
		{float32(math.Inf(-1)), weights.BF16, "is -Inf, want finite weights"},
		{70000, weights.F16, "is 70000, which float16 cannot hold: want bf16 or fp32"},
		{65519, weights.F16, ""},
		{70000, weights.BF16, ""},
	} {
		spec := weightstest.Tiny()
		dir := filepath.Join(t.TempDir(), "bad")
		if err := weightstest.Write(dir, spec); err != nil {
			t.Fatal(err)
		}
		plant(t, filepath.Join(dir, "model.safetensors"), c.bad)
		dst := filepath.Join(t.TempDir(), "made")
		err := Folder(t.Context(), open(t, dir), dst, Options{Float: c.to})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%g to %s: %v, want %q", c.bad, c.to, err, c.want)
		}
		wantNothing(t, dst, err == nil)
	}
}

// plant overwrites the last element of an F32 file.
func plant(t *testing.T, path string, value float32) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(data[len(data)-4:], math.Float32bits(value))
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// A conversion that is interrupted leaves nothing, and a conversion removes the remains of a process that was killed.
func TestInterrupted(t *testing.T) {
	src := source(t, weightstest.Specs()[0])
	dst := filepath.Join(t.TempDir(), "made")
	ctx, cancel := context.WithCancel(t.Context())
	var calls atomic.Int64
	err := Folder(ctx, src, dst, Options{Bits: 4, Progress: func(done, total int64) {
		if calls.Add(1) == 3 {
			cancel()
		}
		if done > total {
			t.Errorf("%d of %d bytes", done, total)
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want context.Canceled", err)
	}
	wantNothing(t, dst, false)

	partial := filepath.Join(filepath.Dir(dst), ".made.partial")
	if err := errors.Join(os.Mkdir(partial, 0o755), os.WriteFile(filepath.Join(partial, "model.safetensors"), []byte("half"), 0o644),
		os.WriteFile(partial+".lock", nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := Folder(t.Context(), src, dst, Options{Bits: 4}); err != nil {
		t.Fatal(err)
	}
	wantNothing(t, dst, true)
	if got := calls.Load(); got < 3 {
		t.Errorf("%d calls of Progress", got)
	}
}

// Of two conversions to the same place, one gets an error, and the other's result is whole.
func TestSamePlace(t *testing.T) {
	src := source(t, weightstest.Specs()[0])
	dst := filepath.Join(t.TempDir(), "made")
	var second error
	var once atomic.Bool
	err := Folder(t.Context(), src, dst, Options{Bits: 4, Progress: func(int64, int64) {
		if once.CompareAndSwap(false, true) {
			second = Folder(t.Context(), src, dst, Options{Bits: 8})
		}
	}})
	if err != nil || second == nil || !strings.Contains(second.Error(), "another process is writing") {
		t.Errorf("first %v, second %v", err, second)
	}
	if bits := open(t, dst).Config().Quantization.Bits; bits != 4 {
		t.Errorf("%d bits", bits)
	}
}

// TestCalibrated: the layer with known inputs is rounded for them, and no other layer.
func TestCalibrated(t *testing.T) {
	src := source(t, weightstest.Specs()[0])
	const known, other = "bert.encoder.layer.0.attention.self.query", "bert.encoder.layer.0.attention.self.key"
	width := logical(t, src)[known+".weight"].Shape[1]
	inputs := make([]float64, 200*width)
	for i := range inputs {
		inputs[i] = math.Sin(float64(i*i%1009)) + 0.5*math.Cos(float64(i/width))
	}
	for _, o := range []Options{{Bits: 8, Scheme: W8A8}, {Bits: 4, GroupSize: 32}, {Bits: 4, GroupSize: 32, Float: weights.F32}} {
		plain := logical(t, converted(t, src, o))
		o.Calibration = &calibrate.Moments{}
		o.Calibration.Add([]string{known}, inputs, width)
		made := logical(t, converted(t, src, o))
		if !slices.Equal(decode(plain[other+".weight"]), decode(made[other+".weight"])) {
			t.Errorf("%+v: %s has changed", o, other)
		}
		want := decode(logical(t, src)[known+".weight"])
		before, after := outputError(inputs, want, decode(plain[known+".weight"]), width), outputError(inputs, want, decode(made[known+".weight"]), width)
		if !(after < 0.8*before) {
			t.Errorf("%+v: error of the output %g, to nearest %g", o, after, before)
		}
	}
	wrong := &calibrate.Moments{}
	wrong.Add([]string{known}, inputs[:width-1], width-1)
	for want, o := range map[string]Options{
		"calibration goes with integers": {Float: weights.F16, Calibration: wrong},
		"calibrated with inputs of":      {Bits: 8, Calibration: wrong},
	} {
		if err := Folder(t.Context(), src, filepath.Join(t.TempDir(), "made"), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// outputError is the sum of the squares of x (w - made)ᵀ.
func outputError(x []float64, w, made []float32, width int) (sum float64) {
	for ; len(x) > 0; x = x[width:] {
		for o := 0; o < len(w); o += width {
			e := 0.0
			for i, v := range x[:width] {
				e += v * (float64(w[o+i]) - float64(made[o+i]))
			}
			sum += e * e
		}
	}
	return sum
}
