package weights

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rawSafetensors puts any header before any data.
func rawSafetensors(header string, data []byte) []byte {
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(file, header...), data...)
}

// writeSafetensors stores tensors one after the other, in the order given.
func writeSafetensors(tensors []Tensor) []byte {
	var header, data []byte
	for i, t := range tensors {
		name, _ := json.Marshal(t.Name)
		shape, _ := json.Marshal(t.Shape)
		sep := ","
		if i == 0 {
			sep = "{"
		}
		header = fmt.Appendf(header, `%s%s:{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}`,
			sep, name, t.DType, strings.Replace(string(shape), "null", "[]", 1), len(data), len(data)+len(t.data))
		data = append(data, t.data...)
	}
	if len(tensors) == 0 {
		header = []byte("{")
	}
	return rawSafetensors(string(header)+"}", data)
}

// encode stores values as a dtype; F16 by truncation, which is all a fixture needs.
func encode(d DType, values []float32) []byte {
	var out []byte
	for _, v := range values {
		switch b := math.Float32bits(v); d {
		case F32:
			out = binary.LittleEndian.AppendUint32(out, b)
		case BF16:
			out = binary.LittleEndian.AppendUint16(out, uint16(b>>16))
		case F16: // only for normal numbers of binary16
			out = binary.LittleEndian.AppendUint16(out, uint16(b>>16&0x8000|(b>>23&0xff-112)<<10&0x7c00|b>>13&0x3ff))
		}
	}
	return out
}

// tiny is the smallest BERT with every kind of tensor in it.
var tiny = Config{
	ModelType: "bert", Architecture: "BertForSequenceClassification", HiddenSize: 8, Layers: 2, Heads: 2, FeedForward: 12,
	VocabSize: 11, MaxPositions: 7, TypeVocab: 2, LayerNormEps: 1e-12, Activation: GELU, Labels: []string{"LABEL_0"},
	EmbeddingSize: 8, TokenTypes: true, PoolerActivation: Tanh,
}

func configJSON(c Config) string {
	labels := map[string]string{}
	for i, l := range c.Labels {
		labels[fmt.Sprint(i)] = l
	}
	id2label, _ := json.Marshal(labels)
	return fmt.Sprintf(`{"architectures":["%s"],"model_type":"bert","hidden_size":%d,"num_hidden_layers":%d,`+
		`"num_attention_heads":%d,"intermediate_size":%d,"vocab_size":%d,"max_position_embeddings":%d,`+
		`"type_vocab_size":%d,"layer_norm_eps":%g,"hidden_act":"%s","id2label":%s}`, c.Architecture, c.HiddenSize, c.Layers,
		c.Heads, c.FeedForward, c.VocabSize, c.MaxPositions, c.TypeVocab, c.LayerNormEps, c.Activation, id2label)
}

// bertTensors makes random tensors under the names that transformers gives them.
func bertTensors(c Config, d DType) []Tensor {
	r, h, f := rand.New(rand.NewPCG(1, 2)), c.HiddenSize, c.FeedForward
	var all []Tensor
	add := func(name string, shape ...int) {
		t := Tensor{Name: name, DType: d, Shape: shape}
		values := make([]float32, t.Len())
		for i := range values {
			values[i] = float32(0.5 + r.Float64())
		}
		t.data = encode(d, values)
		all = append(all, t)
	}
	linear := func(name string, out, in int) { add(name+".weight", out, in); add(name+".bias", out) }
	norm := func(name string) { add(name+".weight", h); add(name+".bias", h) }
	add("bert.embeddings.word_embeddings.weight", c.VocabSize, h)
	add("bert.embeddings.position_embeddings.weight", c.MaxPositions, h)
	add("bert.embeddings.token_type_embeddings.weight", c.TypeVocab, h)
	norm("bert.embeddings.LayerNorm")
	for i := range c.Layers {
		p := fmt.Sprintf("bert.encoder.layer.%d.", i)
		for _, n := range []string{"query", "key", "value"} {
			linear(p+"attention.self."+n, h, h)
		}
		linear(p+"attention.output.dense", h, h)
		norm(p + "attention.output.LayerNorm")
		linear(p+"intermediate.dense", f, h)
		linear(p+"output.dense", h, f)
		norm(p + "output.LayerNorm")
	}
	linear("bert.pooler.dense", h, h)
	linear("classifier", len(c.Labels), h)
	return all
}

// tinyFiles is a whole folder with an int64 tensor beside the weights, as old checkpoints have it.
func tinyFiles() map[string][]byte {
	positions := Tensor{Name: "bert.embeddings.position_ids", DType: I64, Shape: []int{1, 7}, data: make([]byte, 7*8)}
	return map[string][]byte{
		configFile:  []byte(configJSON(tiny)),
		weightsFile: writeSafetensors(append(bertTensors(tiny, F32), positions)),
	}
}

// with returns the folder with one file replaced, or removed if content is "-".
func with(files map[string][]byte, name, content string) map[string][]byte {
	files = maps.Clone(files)
	files[name] = []byte(content)
	if content == "-" {
		delete(files, name)
	}
	return files
}

// writeFolder puts files into a new folder called tiny.
func writeFolder(tb testing.TB, files map[string][]byte) string {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "tiny")
	if err := os.Mkdir(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// wantError compares the whole text of an error, and the sentinel in it; text "" wants no error.
func wantError(t *testing.T, err error, text string, kind error) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != text {
		t.Errorf("error\n got %s\nwant %s", got, text)
	}
	for _, k := range []error{ErrInvalid, ErrUnsupported, ErrNotCrossEncoder, ErrClosed, os.ErrNotExist} {
		if is := errors.Is(err, k); is != (err != nil && errors.Is(kind, k)) {
			t.Errorf("errors.Is(%v, %v) = %v", err, k, is)
		}
	}
}

// useAll opens a checkpoint in memory and touches all that can be touched.
func useAll(files map[string][]byte) (*Checkpoint, *Plan, error) {
	c, err := FromMemory("fixture", files)
	if err != nil {
		return nil, nil, err
	}
	decodeAll(c)
	_, _ = c.Card()
	b, err := c.Plan()
	return c, b, err
}

// decodeAll reads every element and returns how many bytes the tensors have in all.
func decodeAll(c *Checkpoint) (bytes int) {
	buf := make([]float32, 37) // not a multiple of the unrolled loops
	for _, t := range c.Tensors() {
		t, err := c.Read(t)
		if err != nil {
			panic(err) // nobody writes to a fixture
		}
		bytes += len(t.Bytes())
		if !t.IsNumeric() {
			continue
		}
		for i := 0; i < t.Len(); i += len(buf) {
			t.Float32s(buf[:min(len(buf), t.Len()-i)], i)
		}
	}
	return bytes
}

func names(tensors []Tensor) []string {
	var all []string
	for _, t := range tensors {
		all = append(all, t.Name)
	}
	slices.Sort(all)
	return all
}
