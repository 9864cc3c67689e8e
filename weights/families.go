package weights

import (
	"slices"
	"strings"
)

// family is an architecture. One that computes the same as BERT under other names needs only an entry in families; another
// one has settings, in a file of its own.
type family struct {
	modelType string   // model_type in config.json
	classes   []string // prefixes of class names, for configs without model_type
	prefix    string   // before the names of the base model's tensors
	oldPrefix string   // another one, that of the model's custom code; may be empty

	// settings reads the values of config.json in which the family differs from a BERT, and checks that no other value
	// makes it a model that is not implemented. nil: as a BERT.
	settings func(f *fields, c *Config) architecture

	// tensorRenames are pairs of a piece of BERT's tensor names and its replacement here; of two that begin at the same
	// place, the first counts.
	tensorRenames []string
	// keyRenames are the same for the keys of config.json.
	keyRenames map[string]string
	// acceptedBERTKeys are BERT's keys that are read as well, and take precedence over the family's own (attribute_map).
	acceptedBERTKeys []string
	// defaults are those of transformers' config class where they differ from BertConfig's.
	defaults map[string]int

	pooler           string     // the layer on the [CLS] row, without the prefix
	poolerInBase     bool       // it belongs to the base model and carries its prefix
	poolerActivation Activation // after it
	classifier       string     // the last layer

	positionType    string // of position_embedding_type, besides "absolute"; "alibi" makes it a JinaBERT
	tokenTypes      bool   // the tokenizer's segment ids reach the model
	noTypeTable     bool   // there are no embeddings for them at all
	positionsAfter  bool   // positions count from pad_token_id + 1
	embeddingSize   bool   // embeddings may be narrower than the model, and are projected then
	layerNormEpsSet bool   // layer norms have an epsilon of 1e-12, not the config's

	decoder bool // is_causal is read, and heads need not divide the width of the model

	gguf *ggufLayout // of its GGUF files; nil: BERT's, or none where there are settings
}

// architecture is the order of a model's operations, and the names of their tensors.
type architecture interface {
	body(r *resolver, p *Plan) // all but the head
	head(r *resolver, p *Plan)
}

// architectureOf returns that of a config.
func architectureOf(c *Config) architecture {
	if c.own != nil {
		return c.own
	}
	return &bertLike{layer: bertLayer}
}

// prefixes lists those that names of the base model's tensors may have, the usual one first, and none.
func (f *family) prefixes() []string {
	if f.oldPrefix != "" {
		return []string{f.prefix, f.oldPrefix, ""}
	}
	return []string{f.prefix, ""}
}

// The facts are those of transformers 5.23.0: models/{bert,electra,roberta,xlm_roberta,camembert,distilbert}, in
// configuration_*.py and modeling_*.py.
var families = []family{
	{
		modelType: "bert", classes: []string{"Bert"}, prefix: "bert.",
		pooler: "pooler.dense", poolerInBase: true, poolerActivation: Tanh, classifier: "classifier",
		tokenTypes: true, positionType: "alibi",
	},
	{
		modelType: "electra", classes: []string{"Electra"}, prefix: "electra.",
		defaults: map[string]int{"hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024},
		// "although BERT uses tanh here, it seems Electra authors used gelu" (ElectraClassificationHead).
		pooler: "classifier.dense", poolerActivation: GELU, classifier: "classifier.out_proj",
		tokenTypes: true, embeddingSize: true,
	},
	robertaLike("roberta", 50265, "Roberta"),
	robertaLike("xlm-roberta", 30522, "XLMRoberta"),
	robertaLike("camembert", 30522, "Camembert"),
	{
		modelType: "distilbert", classes: []string{"DistilBert"}, prefix: "distilbert.",
		tensorRenames: []string{
			"encoder.layer.", "transformer.layer.",
			"attention.self.query", "attention.q_lin", "attention.self.key", "attention.k_lin",
			"attention.self.value", "attention.v_lin", "attention.output.dense", "attention.out_lin",
			"attention.output.LayerNorm", "sa_layer_norm", "intermediate.dense", "ffn.lin1",
			"output.dense", "ffn.lin2", "output.LayerNorm", "output_layer_norm",
		},
		keyRenames: map[string]string{
			"hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads",
			"intermediate_size": "hidden_dim", "hidden_act": "activation",
		},
		acceptedBERTKeys: []string{"hidden_size", "num_hidden_layers", "num_attention_heads"},
		defaults:         map[string]int{"num_hidden_layers": 6},
		pooler:           "pre_classifier", poolerActivation: ReLU, classifier: "classifier",
		noTypeTable: true, layerNormEpsSet: true,
	},
	modernBERTFamily,
	gteFamily("gte"),
	gteFamily("new"),
	nomicFamily,
	debertaFamily,
	albertFamily,
	qwen3Family,
	qwen2Family,
	llamaFamily,
}

// robertaLike returns RoBERTa's family under the name of one of its relatives; all keep the prefix.
func robertaLike(modelType string, vocab int, class string) family {
	return family{
		modelType: modelType, classes: []string{class}, prefix: "roberta.",
		defaults: map[string]int{"vocab_size": vocab, "pad_token_id": 1},
		pooler:   "classifier.dense", poolerActivation: Tanh, classifier: "classifier.out_proj",
		positionsAfter: true,
	}
}

// familyOf finds the family of a config; nil if there is none. Checkpoints of 2019 have no model_type; transformers goes
// by the name of the folder then, here the class name decides.
func familyOf(modelType, class string) *family {
	for i, f := range families {
		begins := func(prefix string) bool { return strings.HasPrefix(class, prefix) }
		if modelType == f.modelType || modelType == "" && slices.ContainsFunc(f.classes, begins) {
			return &families[i]
		}
	}
	return nil
}

// familyNames lists the values that model_type may have, for an error text.
func familyNames() string {
	var all []string
	for _, f := range families {
		all = append(all, quote(f.modelType))
	}
	return strings.Join(all, ", ")
}

// key returns the family's name for a key of BERT's config.
func (f *family) key(bert string) string {
	if own, ok := f.keyRenames[bert]; ok {
		return own
	}
	return bert
}

// defaultValue returns the value of a key that is not there; bert is BERT's.
func (f *family) defaultValue(key string, bert int) int {
	if own, ok := f.defaults[key]; ok {
		return own
	}
	return bert
}

// tensor returns the family's name for a tensor of BERT's base model, without prefix.
func (f *family) tensor(bert string) string {
	return strings.NewReplacer(f.tensorRenames...).Replace(bert)
}
