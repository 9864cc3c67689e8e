package weights

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/weights/quant"
)

// grouped is a BERT. The rows of its matrices are whole groups of 32.
var grouped = Config{
	ModelType: "bert", Architecture: "BertForSequenceClassification", HiddenSize: 32, Layers: 2, Heads: 2, FeedForward: 64,
	VocabSize: 11, MaxPositions: 7, TypeVocab: 2, LayerNormEps: 1e-12, Activation: GELU, Labels: []string{"LABEL_0"},
	EmbeddingSize: 32, TokenTypes: true, PoolerActivation: Tanh,
}

// quantizeTensor replaces one tensor by three, as MLX names them; scales and biases have its type, F32.
func quantizeTensor(t Tensor, a quant.Affine) []Tensor {
	w := make([]float32, t.Len())
	t.Float32s(w, 0)
	q := a.Quantize(w)
	var codes []byte
	for _, word := range q.Codes {
		codes = binary.LittleEndian.AppendUint32(codes, word)
	}
	layer, out := strings.TrimSuffix(t.Name, weightSuffix), t.Shape[0]
	in := t.Shape[1]
	return []Tensor{
		{Name: t.Name, DType: U32, Shape: []int{out, a.Words(in)}, data: codes},
		{Name: layer + scalesSuffix, DType: F32, Shape: []int{out, a.Groups(in)}, data: encode(F32, q.Scales)},
		{Name: layer + biasesSuffix, DType: F32, Shape: []int{out, a.Groups(in)}, data: encode(F32, q.Biases)},
	}
}

// quantizeAll quantises every matrix of the model: the classifier in groups of 32 at 8 bits, the others as a says.
func quantizeAll(a quant.Affine) func([]Tensor) []Tensor {
	return func(all []Tensor) []Tensor {
		var out []Tensor
		for _, t := range all {
			switch {
			case len(t.Shape) != 2:
				out = append(out, t)
			case t.Name == "classifier.weight":
				out = append(out, quantizeTensor(t, quant.Affine{GroupSize: 32, Bits: 8})...)
			default:
				out = append(out, quantizeTensor(t, a)...)
			}
		}
		return out
	}
}

// quantizedConfig is the config of grouped with a "quantization".
func quantizedConfig(quantization string) string {
	return strings.TrimSuffix(configJSON(grouped), "}") + `,"quantization":` + quantization + `}`
}

func schemeJSON(a quant.Affine) string {
	return fmt.Sprintf(`{"group_size":%d,"bits":%d,"mode":"affine","classifier":{"group_size":32,"bits":8},"bert.pooler.dense":true}`,
		a.GroupSize, a.Bits)
}

// groupedFiles is a folder of the model in F32, quantised by a and then edited.
func groupedFiles(config string, a quant.Affine, edit func([]Tensor) []Tensor) map[string][]byte {
	return map[string][]byte{
		configFile:  []byte(config),
		weightsFile: writeSafetensors(edit(quantizeAll(a)(bertTensors(grouped, F32)))),
	}
}

// TestQuantisedBERT: a quantised model has the weights that codes, scales and biases stand for, at any range.
func TestQuantisedBERT(t *testing.T) {
	for _, bits := range []int{2, 3, 4, 6, 8} {
		a := quant.Affine{GroupSize: 32, Bits: bits}
		c, b, err := useAll(groupedFiles(quantizedConfig(schemeJSON(a)), a, keep))
		if err != nil {
			t.Fatal(err)
		}
		source := map[string]Tensor{}
		for _, x := range bertTensors(grouped, F32) {
			source[x.Name] = x
		}
		pooler, classifier := b.Head[0].Linear, b.Head[1].Linear
		for _, x := range []Tensor{b.Embeddings.Words, *b.Embeddings.Positions, b.Layers[1].Outer.Weight, pooler.Weight, classifier.Weight} {
			w := make([]float32, source[x.Name].Len())
			source[x.Name].Float32s(w, 0)
			scheme := a
			if x.Name == "classifier.weight" {
				scheme.Bits = 8
			}
			q := scheme.Quantize(w)
			q.Decode(w)
			got := make([]float32, len(w))
			x.Float32s(got, 0)
			if x.Quant == nil || x.Quant.Affine != scheme || !slices.Equal(got, w) {
				t.Fatalf("%d bits: %q: other weights, or scheme %+v", bits, x.Name, x.Quant)
			}
			if want := x.Len()*scheme.Bits/8 + 8*x.Len()/32; x.SizeBytes() != want {
				t.Errorf("%d bits: %q: %d bytes, want %d", bits, x.Name, x.SizeBytes(), want)
			}
			checkRanges(t, x, w)
		}
		if pooler.Bias.Quant != nil {
			t.Error("a bias is quantised")
		}
		if c.Config().Quantization.String() != fmt.Sprintf("%d bits in groups of 32, 1 layers otherwise", bits) {
			t.Errorf("config says %v", c.Config().Quantization)
		}
	}
}

// checkRanges reads parts of a tensor that begin and end within groups.
func checkRanges(t *testing.T, x Tensor, want []float32) {
	t.Helper()
	for _, r := range [][2]int{{0, 1}, {31, 33}, {5, 9}, {1, len(want)}, {len(want) - 33, len(want)}, {32, 64}, {len(want), len(want)}} {
		r[1] = min(r[1], len(want))
		if r[0] > r[1] || r[0] < 0 {
			continue
		}
		got := make([]float32, r[1]-r[0])
		x.Float32s(got, r[0])
		if !slices.Equal(got, want[r[0]:r[1]]) {
			t.Errorf("%q: elements %d differ from those of the whole", x.Name, r)
		}
	}
}

func TestQuantisedErrors(t *testing.T) {
	a := quant.Affine{GroupSize: 32, Bits: 4}
	good := quantizedConfig(schemeJSON(a))
	const pooler = "bert.pooler.dense"
	for _, c := range []struct {
		config string
		edit   func([]Tensor) []Tensor
		want   string
		kind   error
	}{
		{good, keep, "", nil},
		{quantizedConfig(`{"bits":4,"group_size":32,"classifier":{"group_size":32,"bits":8}}`), keep, "", nil},
		{strings.Replace(good, `"quantization"`, `"quantization_config"`, 1), keep, "", nil},
		{
			configJSON(grouped), keep,
			`weights: config.json: no quantization, but tensor "bert.embeddings.word_embeddings.weight" is quantised`, ErrInvalid,
		},
		{
			quantizedConfig(`{"bits":4,"group_size":32}`), keep,
			`weights: tensor "classifier.scales": shape [1 1], want [1 2] for [1 64] in groups of 32 at 4 bits`, ErrInvalid,
		},
		{
			quantizedConfig(`{"bits":4,"group_size":64}`), keep,
			`weights: tensor "bert.embeddings.word_embeddings.weight": rows of 4 words are no groups of 64 at 4 bits`, ErrInvalid,
		},
		{quantizedConfig(`{"bits":4}`), keep, `weights: config.json: quantization.group_size: absent`, ErrInvalid},
		{quantizedConfig(`{"group_size":32}`), keep, `weights: config.json: quantization.bits: absent`, ErrInvalid},
		{quantizedConfig(`[]`), keep, `weights: config.json: quantization: [], want an object`, ErrInvalid},
		{
			quantizedConfig(`{"group_size":32,"bits":5}`), keep,
			`weights: config.json: quantization: 5 bits, want one of [2 3 4 6 8]`, ErrUnsupported,
		},
		{
			quantizedConfig(`{"group_size":32,"bits":4,"mode":"mxfp4"}`), keep,
			`weights: config.json: quantization.mode: "mxfp4", want "affine"`, ErrUnsupported,
		},
		{
			quantizedConfig(`{"group_size":32,"bits":4,"classifier":{"bits":"8"}}`), keep,
			`weights: config.json: quantization.classifier.bits: "8", want a whole number from 1 to 1048576`, ErrInvalid,
		},
		{
			quantizedConfig(`{"quant_method":"gptq","group_size":32,"bits":4}`), keep,
			`weights: config.json: quantization.quant_method "gptq" with format "", want MLX's affine quantisation, or ` +
				`compressed-tensors with int-quantized`, ErrUnsupported,
		},
		{good, drop(pooler + ".scales"), `weights: tensor "bert.pooler.dense.weight": dtype U32, want F32, F16 or BF16`, ErrUnsupported},
		{
			good, drop(pooler + ".biases"),
			`weights: tensor "bert.pooler.dense.scales": no "bert.pooler.dense.biases" beside it`, ErrInvalid,
		},
		{
			good, func(all []Tensor) []Tensor {
				i := slices.IndexFunc(all, func(x Tensor) bool { return x.Name == pooler+".biases" })
				all[i].Shape = []int{1, 32}
				return all
			},
			`weights: tensor "bert.pooler.dense.biases": shape [1 32], want [32 1] for [32 32] in groups of 32 at 4 bits`, ErrInvalid,
		},
		{
			good, func(all []Tensor) []Tensor {
				i := slices.IndexFunc(all, func(x Tensor) bool { return x.Name == pooler+".scales" })
				all[i].DType = I32
				return all
			},
			`weights: tensor "bert.pooler.dense.scales": dtype I32, want F32, F16 or BF16`, ErrUnsupported,
		},
	} {
		_, _, err := useAll(groupedFiles(c.config, a, c.edit))
		wantError(t, err, c.want, c.kind)
	}
}

// Codes of a quantised tensor are no numbers by themselves.
func TestQuantisedPanics(t *testing.T) {
	a := quant.Affine{GroupSize: 32, Bits: 4}
	_, b, err := useAll(groupedFiles(quantizedConfig(schemeJSON(a)), a, keep))
	if err != nil {
		t.Fatal(err)
	}
	pooler := b.Head[0].Linear.Weight
	for name, f := range map[string]func(){
		"range": func() { pooler.Float32s(make([]float32, 2), pooler.Len()-1) },
		"codes": func() { pooler.Quant.Codes.Float32s(make([]float32, 1), 0) },
	} {
		func() {
			defer func() {
				if s, ok := recover().(string); !ok || !strings.HasPrefix(s, "BUG: weights: tensor ") {
					t.Errorf("%s: panic %q", name, s)
				}
			}()
			f()
			t.Errorf("%s: no panic", name)
		}()
	}
}
