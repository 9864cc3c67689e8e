package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ggufFiles reads a checkpoint that tools/model/golden/ggufs.py wrote.
func ggufFiles(tb testing.TB, name string) map[string][]byte {
	tb.Helper()
	files := map[string][]byte{}
	for _, file := range []string{"config.json", "model.gguf"} {
		data, err := os.ReadFile(filepath.Join("..", "engine", "testdata", "gguf", name, file))
		if err != nil {
			tb.Fatal(err)
		}
		files[file] = data
	}
	return files
}

// TestGGUF: tensors have the names of transformers, and the positions of a RoBERTa their place.
func TestGGUF(t *testing.T) {
	for name, want := range map[string]struct {
		tensor string
		shape  []int
		stored string
	}{
		"roberta":     {"roberta.embeddings.position_embeddings.weight", []int{66, 64}, "F32"},
		"xlm_roberta": {"classifier.dense.weight", []int{64, 64}, "Q4_1"},
		"distilbert":  {"distilbert.transformer.layer.1.ffn.lin2.weight", []int{64, 256}, "Q4_K"},
		"modernbert":  {"model.layers.1.mlp.Wi.weight", []int{512, 64}, "Q4_1"},
	} {
		c, b, err := useAll(ggufFiles(t, name))
		if err != nil {
			t.Fatal(name, err)
		}
		got, ok := c.Tensor(want.tensor)
		if !ok || got.Len() != want.shape[0]*want.shape[1] || got.Shape[0] != want.shape[0] || got.StoredAs() != want.stored {
			t.Errorf("%s: %s: %d %s, want %d %s", name, want.tensor, got.Shape, got.StoredAs(), want.shape, want.stored)
		}
		if n := b.Positions; n != 64 {
			t.Errorf("%s: %d positions, want 64", name, n)
		}
		if shape := b.Head[1].Linear.Weight.Shape; len(shape) != 2 || shape[0] != 1 {
			t.Errorf("%s: classifier %d", name, shape)
		}
	}
}

// TestGGUFPath: a file can be named, among others and beside other weights.
func TestGGUFPath(t *testing.T) {
	dir := writeFolder(t, with(with(ggufFiles(t, "roberta"), weightsFile, "none"), "other.gguf", ""))
	c, err := Open(filepath.Join(dir, "model.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Plan(); err != nil || c.Name() != "model" {
		t.Error(c.Name(), err)
	}
	_, err = c.File("tokenizer.json")
	wantError(t, err, "weights: "+dir+`: no tokenizer.json beside "model.gguf", want config.json and tokenizer.json of the `+
		"checkpoint that it was made from: file does not exist", os.ErrNotExist)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestGGUFErrors(t *testing.T) {
	roberta, bert := ggufFiles(t, "roberta"), ggufFiles(t, "bert")
	config := func(before, after string) map[string][]byte {
		changed := strings.Replace(string(roberta[configFile]), before, after, 1)
		if changed == string(roberta[configFile]) {
			t.Fatalf("no %s in %s", before, configFile)
		}
		return with(roberta, configFile, changed)
	}
	// replaced changes bytes of the file to as many others.
	replaced := func(before, after string) map[string][]byte {
		if len(before) != len(after) || !bytes.Contains(roberta["model.gguf"], []byte(before)) {
			t.Fatalf("%q, %q", before, after)
		}
		return with(roberta, "model.gguf", strings.Replace(string(roberta["model.gguf"]), before, after, 1))
	}
	for _, c := range []struct {
		files map[string][]byte
		want  string
		kind  error
	}{
		{bert, "model.gguf: no bert.pooler.dense.weight and no bert.pooler.dense.bias, which the scores are computed with, and which " +
			"llama.cpp leaves out of a BertForSequenceClassification: use the checkpoint that the file was made from", ErrUnsupported},
		{config(`"num_attention_heads": 4`, `"num_attention_heads": 8`),
			"model.gguf: bert.attention.head_count: 4, but 8 in config.json: is that of another model?", ErrInvalid},
		{config(`"layer_norm_eps": 0.001`, `"layer_norm_eps": 1e-12`),
			"model.gguf: bert.attention.layer_norm_epsilon: 0.0010000000474974513, but 1e-12 in config.json: is that of another model?", ErrInvalid},
		{config(`"max_position_embeddings": 66`, `"max_position_embeddings": 60`),
			`tensor "roberta.embeddings.position_embeddings.weight": shape [66 64], want [60 64]`, ErrInvalid},
		{config(`"pad_token_id": 1`, `"pad_token_id": 64`), `model.gguf: tensor "roberta.embeddings.position_embeddings.weight": ` +
			"shape [64 64] in 16.4 kB, want two dimensions, at least 65 rows and at most 67.1 MB", ErrInvalid},
		{replaced("\x04\x00\x00\x00\x00\x00\x00\x00bert", "\x04\x00\x00\x00\x00\x00\x00\x00gpt2"),
			`model.gguf: general.architecture: "gpt2", want "bert"`, ErrUnsupported},
		{with(roberta, configFile, `{"model_type":"nomic_bert"}`),
			`model.gguf: general.architecture: "bert" of model_type "nomic_bert" is not supported, want safetensors`, ErrUnsupported},
		{with(roberta, configFile, `{"model_type":"modernbert"}`), `model.gguf: general.architecture: "bert", want "modern-bert"`, ErrUnsupported},
		{replaced("general.architecture", "general.architectura"), "model.gguf: no general.architecture", ErrInvalid},
		{replaced("cls.output.weight", "cls.output.height"), "no classifier.out_proj.weight: this looks like an embedding model, not a cross-encoder, whose head scores a pair (...ForSequenceClassification); nearest is cross-encoder/ms-marco-MiniLM-L6-v2 (bert)", ErrNotCrossEncoder},
		{replaced("blk.1.attn_k.bias", "blk.1.attn_x.bias"), `tensor "roberta.encoder.layer.1.attention.self.key.bias": missing, as are 0 more of 41`, ErrInvalid},
		{with(roberta, "model.gguf", string(lfsPointer)), lfsError("model.gguf").Error()[len("weights: "):], ErrInvalid},
	} {
		_, _, err := useAll(c.files)
		wantError(t, err, "weights: "+c.want, c.kind)
	}
}

// FuzzGGUF changes a checkpoint that is whole.
func FuzzGGUF(f *testing.F) {
	files := ggufFiles(f, "distilbert")
	whole := files["model.gguf"]
	f.Add(uint32(0), uint64(0x46554747))
	f.Add(uint32(100), uint64(1)<<40)
	f.Add(uint32(len(whole)-8), math.Float64bits(math.NaN()))
	f.Fuzz(func(t *testing.T, at uint32, word uint64) {
		data := bytes.Clone(whole)
		// Most of the file is data, which may be anything: aim at the header.
		binary.LittleEndian.PutUint64(data[at%uint32(min(len(data)-8, 1<<13)):], word)
		cost := allocated(func() { _, _, _ = useAll(with(files, "model.gguf", string(data))) })
		if cost > allowance(2*len(data)) {
			t.Errorf("%d bytes allocated for %d of input", cost, len(data))
		}
	})
}

// What a decoder's file says of heads, positions and pooling must agree with its config.
func TestGGUFDecoder(t *testing.T) {
	files := keyed(decoderFiles(t, "qwen3"), classifierKey, `["no","yes"]`)
	delete(files, weightsFile)
	model := ggufFiles(t, "qwen3")["model.gguf"]
	files["model.gguf"] = model
	c, p, err := useAll(files)
	if err != nil {
		t.Fatal(err)
	}
	pair, ok := c.Tensor("score_rows.weight")
	if !ok || p.Head[0].Linear.Weight.Len() != 64 || pair.Len() != 128 {
		t.Errorf("head %d of %d", p.Head[0].Linear.Weight.Shape, pair.Shape)
	}
	config := func(before, after string) map[string][]byte {
		changed := strings.Replace(string(files[configFile]), before, after, 1)
		if changed == string(files[configFile]) {
			t.Fatalf("no %s in %s", before, configFile)
		}
		return with(files, configFile, changed)
	}
	number := func(n byte) []byte { return []byte{4, 0, 0, 0, n, 0, 0, 0} } // its type, and the number
	swapped := bytes.Replace(model, []byte("\x03\x00\x00\x00\x00\x00\x00\x00yes\x02\x00\x00\x00\x00\x00\x00\x00no"),
		[]byte("\x02\x00\x00\x00\x00\x00\x00\x00no\x03\x00\x00\x00\x00\x00\x00\x00yes"), 1)
	pooling := bytes.Replace(model, append([]byte("qwen3.pooling_type"), number(4)...), append([]byte("qwen3.pooling_type"), number(3)...), 1)
	for _, bad := range []struct {
		files map[string][]byte
		want  string
		kind  error
	}{
		{config(`"num_key_value_heads": 2`, `"num_key_value_heads": 4`), `model.gguf: qwen3.attention.head_count_kv: 2, but 4 in config.json`, ErrInvalid},
		{config(`"head_dim": 32`, `"head_dim": 16`), `model.gguf: qwen3.attention.`, ErrInvalid},
		{config(`"rope_theta": 1000000.0`, `"rope_theta": 10000.0`), `model.gguf: qwen3.rope.freq_base: 1e+06, but 10000 in config.json`, ErrInvalid},
		{config(`"rms_norm_eps": 0.001`, `"rms_norm_eps": 0.01`), `model.gguf: qwen3.attention.layer_norm_rms_epsilon: 0.001`, ErrInvalid},
		{with(files, "model.gguf", string(pooling)), `model.gguf: qwen3.pooling_type: 3, want 4: a reranker`, ErrUnsupported},
		{with(files, "model.gguf", string(swapped)), `model.gguf: qwen3.classifier.output_labels: ["no" "yes"], want ["yes" "no"]`, ErrUnsupported},
		{with(files, configFile, qwen2), `model.gguf: general.architecture: "qwen3", want "qwen2"`, ErrUnsupported},
		{with(files, configFile, llama), `model.gguf: general.architecture: "qwen3" of model_type "llama_bidirec" is not supported, want safetensors`, ErrUnsupported},
	} {
		if _, _, err := useAll(bad.files); err == nil || !strings.Contains(err.Error(), bad.want) || !errors.Is(err, bad.kind) {
			t.Errorf("error %v, want %s", err, bad.want)
		}
	}
}

// A decoder's GGUF file with a reranker's name is a reranker with that model's prompt, like a folder of that name.
func TestGGUFNamed(t *testing.T) {
	files := decoderFiles(t, "qwen3")
	delete(files, weightsFile)
	for name, kind := range map[string]error{"Qwen3-Reranker-0.6B-Q8_0.gguf": nil, "model.gguf": ErrNotCrossEncoder} {
		c, plan, err := useAll(with(files, name, string(ggufFiles(t, "qwen3")["model.gguf"])))
		if !errors.Is(err, kind) {
			t.Errorf("%s: error %v, want %v", name, err, kind)
		}
		if err != nil {
			continue
		}
		if prompt, err := c.Prompt(); err != nil || prompt.Name != "Qwen3-Reranker" || plan.Labels != 1 {
			t.Errorf("%s: prompt %v of %d labels, error %v", name, prompt, plan.Labels, err)
		}
	}
}
