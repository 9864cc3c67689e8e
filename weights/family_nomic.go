package weights

import (
	"cmp"
	"strconv"
)

// nomicFamily is NomicBERT: rotary positions and a gated feed-forward block, without biases (models/nomic_bert in transformers
// 5.23.0). Configs of its custom code have GPT-2's keys.
var nomicFamily = family{
	modelType: "nomic_bert", classes: []string{"Nomic"}, prefix: "nomic_bert.", oldPrefix: "bert.",
	keyRenames: map[string]string{
		"hidden_size": "n_embd", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head", "intermediate_size": "n_inner",
		"max_position_embeddings": "n_positions",
	},
	acceptedBERTKeys: []string{
		"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings",
	},
	defaults: map[string]int{"vocab_size": 30528, "max_position_embeddings": 2048},
	pooler:   "pooler.dense", poolerInBase: true, poolerActivation: Tanh, classifier: "classifier",
	tokenTypes: true,
	settings:   (*fields).nomic,
}

func (f *fields) nomic(c *Config) architecture {
	c.EmbeddingSize, c.PoolerActivation, c.TokenTypes = c.HiddenSize, Tanh, true
	c.LayerNormEps = f.epsilon("layer_norm_eps", f.epsilon("layer_norm_epsilon", 1e-12))
	c.TypeVocab = f.whole("type_vocab_size", 2, maxTypes)
	c.Activation = f.activation("hidden_act", SiLU)
	f.only("activation_function", "swiglu")
	f.is("rotary_emb_fraction", 1)
	f.absent("rotary_emb_interleaved", "rotary_emb_scale_base", "rotary_scaling_factor", "prenorm", "use_rms_norm", "parallel_block",
		"qkv_proj_bias", "mlp_fc1_bias", "mlp_fc2_bias", "scale_attn_by_inverse_layer_idx", "rope_scaling")
	size := f.headSize(c)
	parameters := f.object("rope_parameters")
	theta := parameters.theta(f.positive("rope_theta", f.positive("rotary_emb_base", 1000)))
	f.err = cmp.Or(f.err, parameters.err)
	return &bertLike{rotary: rotaryFrequencies(theta, size), layer: nomicLayer}
}

func nomicLayer(r *resolver, i int) Layer {
	at, h, f := "encoder.layers."+strconv.Itoa(i)+".", r.c.config.HiddenSize, r.c.config.FeedForward
	qkv := r.packed(at+"attn.Wqkv", h, false, h, h, h)
	gate := r.linear(at+"mlp.fc12", f, h, false)
	return Layer{
		Query: qkv[0], Key: qkv[1], Value: qkv[2],
		Output:        r.linear(at+"attn.out_proj", h, h, false),
		AttentionNorm: r.norm(at+"norm1", h),
		Gate:          &gate,
		Inner:         r.linear(at+"mlp.fc11", f, h, false),
		Outer:         r.linear(at+"mlp.fc2", h, f, false),
		OuterNorm:     r.norm(at+"norm2", h),
	}
}
