// Package weightstest writes small BERT cross-encoder checkpoints, with values from a seed, as the folders that Hugging
// Face's tools write: tests and tools/model/golden make the same bytes from the same Spec, so the checkpoints themselves
// need not be in the repository.
//
// It must not know the packages it tests: it imports nothing of this module.
package weightstest

import "fmt"

// Spec says everything about one checkpoint folder. Its values depend on Seed and on the tensor names alone.
type Spec struct {
	Name string
	Seed uint64

	Hidden, Layers, Heads, FeedForward int
	MaxPositions, TypeVocab, Labels    int

	Activation string // hidden_act: gelu, gelu_new or relu
	DType      string // F32, F16 or BF16
	Prefix     string // before every tensor name but the classifier's: "bert." or ""
	Shards     int    // 1: model.safetensors; more: model-0000k-of-0000n.safetensors and their index

	NormEps       float64           // layer_norm_eps; 0 leaves the key out, which means 1e-12
	LabelNames    []string          // id2label; none: num_labels alone
	Config        map[string]any    // more keys of config.json, or other values for them; nil takes a key out
	PositionIDs   bool              // adds the I64 buffer embeddings.position_ids, as files of old transformers have it
	Metadata      map[string]string // safetensors __metadata__
	TokenizerKeys map[string]any    // the same as Config, for tokenizer_config.json

	Vocab          []string // the tokenizer's; the row numbers of the word embeddings
	Cased          bool     // the tokenizer keeps case and accents
	BertProcessing bool     // post_processor BertProcessing rather than TemplateProcessing
	OwnLimits      bool     // tokenizer.json carries truncation and padding sections, which must change nothing

	// Change returns the value of element i of a tensor in place of v. Nil: v stays.
	Change func(tensor string, i int, v float32) float32

	Modern bool // tensors of ModernBERT's layout, without biases, and its config.json

	// KeyHeads and HeadSize make it a decoder with tensors of Qwen3's layout, whose score is a linear layer. 0: it is none.
	KeyHeads, HeadSize int
}

// veryLarge is transformers' "no limit" as it appears in many a tokenizer_config.json; it fits no integer type.
const veryLarge = rawNumber("1000000000000000019884624838656")

// Specs returns the three checkpoints that have their logits in engine/testdata/goldens_random.json. Between them they
// have every activation and dtype, both prefixes, shards, several labels, head sizes 16, 32 and 8, and the oddities of
// real folders.
func Specs() []Spec {
	return []Spec{
		{
			Name: "random_f32", Seed: 1, Hidden: 64, Layers: 2, Heads: 4, FeedForward: 128,
			MaxPositions: 64, TypeVocab: 2, Labels: 1,
			Activation: "gelu_new", DType: "F32", Prefix: "bert.", Shards: 1,
			LabelNames:    []string{"LABEL_0"},
			Config:        map[string]any{"type_vocab_size": nil, "pad_token_id": nil, "torch_dtype": nil},
			PositionIDs:   true,
			Metadata:      map[string]string{"format": "pt"},
			TokenizerKeys: map[string]any{"model_max_length": veryLarge},
			Vocab:         vocabulary(false, 7, "[CLS]", "[MASK]", "[PAD]", "[SEP]", "[UNK]"),
			OwnLimits:     true,
		},
		{
			Name: "random_f16", Seed: 2, Hidden: 96, Layers: 3, Heads: 3, FeedForward: 256,
			MaxPositions: 100, TypeVocab: 2, Labels: 1,
			Activation: "relu", DType: "F16", Prefix: "", Shards: 1,
			NormEps: 0.002, // large, so that a reader that ignores the key is found out
			Config: map[string]any{
				"sentence_transformers": map[string]any{
					"activation_fn": "torch.nn.modules.linear.Identity", "version": "4.1.0",
				},
			},
			TokenizerKeys:  map[string]any{"model_max_length": 49},
			Vocab:          vocabulary(true, 150, "[UNK]", "[SEP]", "[MASK]", "[CLS]", "[PAD]"),
			Cased:          true,
			BertProcessing: true,
		},
		{
			Name: "random_bf16", Seed: 3, Hidden: 48, Layers: 4, Heads: 6, FeedForward: 100,
			MaxPositions: 128, TypeVocab: 3, Labels: 3,
			Activation: "gelu", DType: "BF16", Prefix: "bert.", Shards: 3,
			NormEps:       0.01,
			LabelNames:    []string{"contradiction", "entailment", "neutral"},
			Config:        map[string]any{"torch_dtype": nil, "dtype": "bfloat16"}, // the key's name since transformers 4.56
			Metadata:      map[string]string{"format": "pt"},
			TokenizerKeys: map[string]any{"model_max_length": nil},
			Vocab:         vocabulary(false, 1<<20, "[MASK]", "[CLS]", "[UNK]", "[PAD]", "[SEP]"),
		},
	}
}

// MiniLM returns a checkpoint of MiniLM's shape with so many layers: six are those of ms-marco-MiniLM-L-6-v2, twelve those
// of the embedded model. It stands in for them where weights don't matter and time does; so its vocabulary is small.
func MiniLM(layers int) Spec {
	return Spec{
		Name: fmt.Sprintf("random_minilm_l%d", layers), Seed: 5, Hidden: 384, Layers: layers, Heads: 12, FeedForward: 1536,
		MaxPositions: 512, TypeVocab: 2, Labels: 1,
		Activation: "gelu", DType: "F16", Prefix: "bert.", Shards: 1,
		LabelNames:    []string{"LABEL_0"},
		Metadata:      map[string]string{"format": "pt"},
		TokenizerKeys: map[string]any{"model_max_length": 512},
		Vocab:         vocabulary(false, 7, "[CLS]", "[MASK]", "[PAD]", "[SEP]", "[UNK]"),
	}
}

// BERT returns a checkpoint of BERT's shape, with heads of 64: 12 layers of 768 are those of bert-base and bge-reranker-base,
// 24 of 1,024 those of their large ones. It stands in for them as MiniLM's does.
func BERT(layers, hidden int) Spec {
	spec := MiniLM(layers)
	spec.Name = fmt.Sprintf("random_bert_l%d_h%d", layers, hidden)
	spec.Hidden, spec.Heads, spec.FeedForward = hidden, hidden/64, 4*hidden
	return spec
}

// ModernBERT returns a checkpoint of ModernBERT's shape: 22 layers of 768 with 1,152 inner columns are those of ModernBERT-base
// and its rerankers. Every third layer sees all keys, from the first on; the others see 64 to each side.
func ModernBERT(layers, hidden, feedForward int) Spec {
	spec := MiniLM(layers)
	spec.Name = fmt.Sprintf("random_modernbert_l%d_h%d", layers, hidden)
	spec.Hidden, spec.Heads, spec.FeedForward = hidden, max(hidden/64, 2), feedForward
	spec.MaxPositions, spec.TypeVocab, spec.Prefix, spec.Modern = 8192, 1, "model.", true
	spec.Config = map[string]any{
		"architectures": []string{"ModernBertForSequenceClassification"}, "model_type": "modernbert", "classifier_pooling": "cls",
		"hidden_act": nil, "hidden_activation": "gelu", "classifier_activation": "gelu", "norm_eps": 1e-5,
		"local_attention": 128, "global_attn_every_n_layers": 3, "global_rope_theta": 160000.0, "local_rope_theta": 10000.0,
	}
	return spec
}

// Qwen3 returns a checkpoint of Qwen3's shape: 28 layers of 1,024 with 3,072 inner columns are those of Qwen3-Reranker-0.6B. Its
// heads of 128 are together twice as wide as the model, and two share their keys.
func Qwen3(layers, hidden, feedForward int) Spec {
	spec := MiniLM(layers)
	spec.Name = fmt.Sprintf("random_qwen3_l%d_h%d", layers, hidden)
	spec.Hidden, spec.Heads, spec.FeedForward = hidden, max(hidden/64, 2), feedForward
	spec.KeyHeads, spec.HeadSize = spec.Heads/2, 128
	spec.MaxPositions, spec.TypeVocab, spec.Prefix = 8192, 1, "model."
	spec.Config = map[string]any{
		"architectures": []string{"Qwen3ForSequenceClassification"}, "model_type": "qwen3", "hidden_act": "silu",
		"num_key_value_heads": spec.KeyHeads, "head_dim": spec.HeadSize, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
		"type_vocab_size": nil,
	}
	return spec
}

// Tiny returns the smallest checkpoint that has every part, for tests that damage each byte of one.
func Tiny() Spec {
	return Spec{
		Name: "tiny", Seed: 4, Hidden: 8, Layers: 1, Heads: 2, FeedForward: 16,
		MaxPositions: 16, TypeVocab: 2, Labels: 1,
		Activation: "gelu", DType: "F32", Prefix: "bert.", Shards: 1,
		NormEps:       1e-12,
		LabelNames:    []string{"LABEL_0"},
		Metadata:      map[string]string{"format": "pt"},
		TokenizerKeys: map[string]any{"model_max_length": 16},
		Vocab:         tinyVocabulary(),
	}
}
