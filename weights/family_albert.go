package weights

import "fmt"

// albertFamily is ALBERT: a BERT whose layers share their weights by groups, with narrow embeddings (models/albert in
// transformers 5.23.0). A backend holds the weights of each layer by itself, as those of a BERT.
var albertFamily = family{
	modelType: "albert", classes: []string{"Albert"}, prefix: "albert.",
	defaults: map[string]int{
		"vocab_size": 30000, "hidden_size": 4096, "num_attention_heads": 64, "intermediate_size": 16384,
	},
	tensorRenames: []string{
		"embeddings_project", "encoder.embedding_hidden_mapping_in", "attention.self.", "attention.",
		"attention.output.dense", "attention.dense", "attention.output.LayerNorm", "attention.LayerNorm",
		"intermediate.dense", "ffn", "output.LayerNorm", "full_layer_layer_norm", "output.dense", "ffn_output",
	},
	pooler: "pooler", poolerInBase: true, poolerActivation: Tanh, classifier: "classifier",
	tokenTypes: true,
	settings:   (*fields).albert,
}

func (f *fields) albert(c *Config) architecture {
	c.EmbeddingSize, c.TypeVocab = f.whole("embedding_size", 128, maxHidden), f.whole("type_vocab_size", 2, maxTypes)
	c.LayerNormEps, c.PoolerActivation, c.TokenTypes = f.epsilon("layer_norm_eps", 1e-12), Tanh, true
	c.Activation = f.activation("hidden_act", GELUNew)
	groups, inner := f.whole("num_hidden_groups", 1, maxLayers), f.whole("inner_group_num", 1, maxLayers)
	if groups > c.Layers && f.err == nil {
		f.err = invalidf("%s: num_hidden_groups: %d, want at most num_hidden_layers, %d", f.file, groups, c.Layers)
	}
	shared := c.Layers
	if c.Layers *= inner; c.Layers > maxLayers && f.err == nil {
		f.err = invalidf("%s: inner_group_num: %d, want at most %d layers in all", f.file, inner, maxLayers)
	}
	return &bertLike{projected: true, layer: func(r *resolver, i int) Layer {
		// The quotient is a float in transformers, which rounds the group down.
		group := int(float64(i/inner) / (float64(shared) / float64(groups)))
		return bertLayerAt(r, fmt.Sprintf("encoder.albert_layer_groups.%d.albert_layers.%d.", group, i%inner))
	}}
}
