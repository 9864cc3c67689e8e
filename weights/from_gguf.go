package weights

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/weights/gguf"
)

const ggufSuffix = ".gguf"

// maxPositionBytes bounds the one tensor of a GGUF file that is copied; that of bge-reranker-v2-m3 has 34 MB.
const maxPositionBytes = 64 << 20

// ggufLayout has the names of an architecture of llama.cpp (MODEL_ARCH in gguf-py/gguf/constants.py, 0.19.0).
type ggufLayout struct {
	architecture string
	layer        string // before the names of a layer, here
	// parts are pairs of llama.cpp's name for a part of the base model and its name here: BERT's, or the family's own. Those
	// of a layer have no prefix.
	parts []string
	// head is the same for the head, whose names have no prefix; empty where the head differs by family.
	head []string
}

var ggufBERT = &ggufLayout{architecture: "bert", layer: "encoder.layer.", parts: []string{
	"token_embd_norm", "embeddings.LayerNorm",
	"token_embd", "embeddings.word_embeddings",
	"token_types", "embeddings.token_type_embeddings",
	"position_embd", "embeddings.position_embeddings",
	"attn_output_norm", "attention.output.LayerNorm",
	"attn_output", "attention.output.dense",
	"attn_q", "attention.self.query",
	"attn_k", "attention.self.key",
	"attn_v", "attention.self.value",
	"ffn_up", "intermediate.dense",
	"ffn_down", "output.dense",
	"layer_output_norm", "output.LayerNorm",
}}

// ggufModernBERT is ModernBERT's. A file of an embedding model has no head; that of a model with LABEL_0 and LABEL_1 can't be
// made, since llama.cpp takes both matrices of its head for one.
var ggufModernBERT = &ggufLayout{architecture: "modern-bert", layer: "layers.", parts: []string{
	"token_embd_norm", "embeddings.norm",
	"token_embd", "embeddings.tok_embeddings",
	"output_norm", "final_norm",
	"attn_norm", "attn_norm",
	"attn_qkv", "attn.Wqkv",
	"attn_output", "attn.Wo",
	"ffn_norm", "mlp_norm",
	"ffn_up", "mlp.Wi",
	"ffn_down", "mlp.Wo",
}, head: []string{"cls.output", "classifier", "cls.norm", "head.norm", "cls", "head.dense"}}

// ggufQwen returns that of Qwen2 or Qwen3. The file of a reranker has two rows of its head over the vocabulary, yes and no, as
// cls.output (_get_cls_out_tensor in llama.cpp's conversion/qwen.py).
func ggufQwen(architecture string) *ggufLayout {
	return &ggufLayout{architecture: architecture, layer: "layers.", parts: []string{
		"token_embd", "embed_tokens",
		"output_norm", "norm",
		"attn_norm", "input_layernorm",
		"attn_q", "self_attn.q_proj",
		"attn_k", "self_attn.k_proj",
		"attn_v", "self_attn.v_proj",
		"attn_output", "self_attn.o_proj",
		"attn_q_norm", "self_attn.q_norm",
		"attn_k_norm", "self_attn.k_norm",
		"ffn_norm", "post_attention_layernorm",
		"ffn_gate", "mlp.gate_proj",
		"ffn_up", "mlp.up_proj",
		"ffn_down", "mlp.down_proj",
	}, head: []string{"cls.output", "score_rows", "output", "lm_head"}}
}

// ggufFile turns a GGUF file of a family into tensors with the names of transformers.
type ggufFile struct {
	*gguf.File

	blob   *blob
	name   string
	config Config
	family *family
	layout *ggufLayout
}

// parseGGUF returns the tensors of a file that llama.cpp made of a checkpoint with this config. It does not read their
// data, except the positions of a RoBERTa, of which llama.cpp leaves out the rows before the first token's.
func parseGGUF(b *blob, config Config) ([]Tensor, error) {
	file := b.name
	parsed, err := gguf.Parse(b, b.size)
	switch {
	case errors.Is(err, gguf.ErrUnsupported):
		return nil, unsupportedf("%s: %v", file, err)
	case errors.Is(err, gguf.ErrInvalid):
		return nil, invalidf("%s: %v", file, err)
	case err != nil:
		return nil, causef(err, "%s", file)
	}
	f := &ggufFile{parsed, b, file, config, familyOf(config.ModelType, ""), ggufBERT}
	if f.family.gguf != nil {
		f.layout = f.family.gguf
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	all := make(map[string]Tensor, len(f.Tensors))
	for _, t := range f.Tensors {
		made, err := f.tensor(t)
		if err != nil {
			return nil, err
		}
		if _, twice := all[made.Name]; twice {
			return nil, invalidf("%s: tensor %s: there twice, under two names", file, quote(made.Name))
		}
		all[made.Name] = made
	}
	if err := f.checkPooler(all); err != nil {
		return nil, err
	}
	return slices.Collect(maps.Values(all)), nil
}

// check compares the file's metadata with config.json, which may be that of another model.
func (f *ggufFile) check() error {
	const architecture = "general.architecture"
	if v, ok := f.Value(architecture); !ok {
		return invalidf("%s: no %s", f.name, architecture)
	} else if name, _ := v.Text(); f.family.settings != nil && f.family.gguf == nil {
		return unsupportedf("%s: %s: %s of model_type %s is not supported, want safetensors", f.name, architecture, v, quote(f.family.modelType))
	} else if name != f.layout.architecture {
		return unsupportedf("%s: %s: %s, want %s", f.name, architecture, v, quote(f.layout.architecture))
	}
	if v, ok := f.Value("split.count"); ok {
		if n, _ := v.Whole(); n > 1 {
			return unsupportedf("%s: one of %d parts; llama-gguf-split --merge makes one file of them", f.name, n)
		}
	}
	for key, want := range map[string]int{
		"block_count": f.config.Layers, "embedding_length": f.config.HiddenSize,
		"feed_forward_length": f.config.FeedForward, "attention.head_count": f.config.Heads,
		"attention.head_count_kv": f.config.KeyHeads, "attention.key_length": f.config.HeadSize, "attention.value_length": f.config.HeadSize,
	} {
		key = f.layout.architecture + "." + key
		v, ok := f.Value(key)
		if n, whole := v.Whole(); ok && (!whole || n != uint64(want)) {
			return f.disagrees(key, v, want)
		}
	}
	floats := map[string]float64{"attention.layer_norm_epsilon": f.config.LayerNormEps, "attention.layer_norm_rms_epsilon": f.config.LayerNormEps}
	if d, ok := f.config.own.(*decoder); ok {
		floats["rope.freq_base"] = d.theta
	}
	for key, want := range floats {
		key = f.layout.architecture + "." + key
		v, ok := f.Value(key)
		if x, isFloat := v.Float(); ok && (!isFloat || float32(x) != float32(want)) {
			return f.disagrees(key, v, want)
		}
	}
	return f.checkDecoder()
}

// checkDecoder refuses a decoder's file that is not a reranker's, or that has scaled positions, of which the config says
// nothing.
func (f *ggufFile) checkDecoder() error {
	if _, ok := f.config.own.(*decoder); !ok {
		return nil
	}
	const rank = 4 // LLAMA_POOLING_TYPE_RANK of llama.h
	pooling, scaling := f.layout.architecture+".pooling_type", f.layout.architecture+".rope.scaling.type"
	rows := f.layout.architecture + ".classifier.output_labels"
	if v, ok := f.Value(pooling); ok {
		if n, whole := v.Whole(); !whole || n != rank {
			return unsupportedf("%s: %s: %s, want %d: a reranker", f.name, pooling, v, rank)
		}
	}
	if v, ok := f.Value(rows); ok { // the other way round, a score would have the other sign
		if labels, _ := v.Texts(); !slices.Equal(labels, []string{"yes", "no"}) {
			return unsupportedf("%s: %s: %s, want [\"yes\" \"no\"]: the rows of cls.output", f.name, rows, v)
		}
	}
	if v, ok := f.Value(scaling); ok {
		if name, _ := v.Text(); name != "none" {
			return unsupportedf("%s: %s: %s is not supported, want safetensors", f.name, scaling, v)
		}
	}
	return nil
}

func (f *ggufFile) disagrees(key string, got gguf.Value, want any) error {
	return invalidf("%s: %s: %s, but %v in %s: is that of another model?", f.name, key, got, want, configFile)
}

// tensor gives a tensor the name and the shape that it has in transformers.
func (f *ggufFile) tensor(t gguf.Tensor) (Tensor, error) {
	made := f.blob.tensor(f.nameOf(t.Name), U8, t.Shape, t.Offset, t.Size)
	if t.Format.IsFloat() {
		dtype, ok := parseDType(t.Format.Name)
		if !ok {
			panic("BUG: weights: dtype " + t.Format.Name)
		}
		made.DType = dtype
	} else {
		made.Blocks = t.Format
	}
	// ggml has no dimensions of 1 at the front: the classifier of one label is a vector there.
	if strings.HasSuffix(made.Name, weightSuffix) && len(t.Shape) == 1 && !strings.Contains(strings.ToLower(made.Name), "norm") {
		made.Shape = []int{1, t.Shape[0]}
	}
	if skipped := f.config.PositionOffset; skipped > 0 && t.Name == "position_embd.weight" {
		return f.withRowsBefore(made, skipped)
	}
	return made, nil
}

// withRowsBefore copies a matrix behind rows of zeros, so that it has the length of transformers' table. The last of them is
// that of padding, which training leaves at zeros (padding_idx of torch.nn.Embedding); the others are never read.
func (f *ggufFile) withRowsBefore(t Tensor, rows int) (Tensor, error) {
	if len(t.Shape) != 2 || t.Shape[0] < rows || t.sizeBytes > maxPositionBytes {
		return t, invalidf("%s: tensor %s: shape %d in %s, want two dimensions, at least %d rows and at most %s",
			f.name, quote(t.Name), t.Shape, sizeText(uint64(t.sizeBytes)), rows, sizeText(maxPositionBytes))
	}
	data, err := f.blob.bytes(t.offset, t.sizeBytes, nil)
	if err != nil {
		return t, err
	}
	t.data = append(make([]byte, len(data)/t.Shape[0]*rows), data...)
	t.sizeBytes = int64(len(t.data))
	t.Shape = []int{t.Shape[0] + rows, t.Shape[1]}
	return t, nil
}

// nameOf translates a name; one that is not llama.cpp's stays as it is.
func (f *ggufFile) nameOf(name string) string {
	at := strings.LastIndexByte(name, '.')
	if at < 0 {
		return name
	}
	part, suffix := name[:at], name[at:]
	if own, ok := renamed(f.layout.head, part); ok {
		return own + suffix
	}
	switch part {
	case "cls.output":
		return f.family.classifier + suffix
	case "cls":
		// If a BERT has only transformers' default labels, llama.cpp takes its classifier for a hidden layer.
		if f.family.poolerInBase {
			return f.family.classifier + suffix
		}
		return f.family.pooler + suffix
	}
	layer := ""
	if rest, ok := strings.CutPrefix(part, "blk."); ok {
		number, inner, _ := strings.Cut(rest, ".")
		layer, part = f.layout.layer+number+".", inner
	}
	if own, ok := renamed(f.layout.parts, part); ok {
		return f.family.prefix + f.family.tensor(layer+own+suffix)
	}
	return name
}

// renamed returns the second of the pair that has the name as its first.
func renamed(pairs []string, name string) (string, bool) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] == name {
			return pairs[i+1], true
		}
	}
	return "", false
}

// checkPooler returns an error if the pooler is missing: llama.cpp leaves it out, since it uses a BERT for embeddings
// alone (BertModel.filter_tensors in conversion/bert.py). Without a classifier the model is refused anyway.
func (f *ggufFile) checkPooler(all map[string]Tensor) error {
	if _, ok := all[f.family.classifier+weightSuffix]; !ok || !f.family.poolerInBase {
		return nil
	}
	var missing []string
	for _, suffix := range []string{weightSuffix, ".bias"} {
		name := f.family.prefix + f.family.pooler + suffix
		_, plain := all[f.family.pooler+suffix]
		if _, ok := all[name]; !ok && !plain {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return unsupportedf("%s: no %s, which the scores are computed with, and which llama.cpp leaves out of a %s: "+
		"use the checkpoint that the file was made from", f.name, strings.Join(missing, " and no "), f.architecture())
}

func (f *ggufFile) architecture() string {
	if f.config.Architecture != "" {
		return fmt.Sprintf("%.80s", f.config.Architecture)
	}
	return "BertForSequenceClassification"
}
