package weights

import (
	"cmp"
	"math"
	"strconv"
)

// gteFamily is GTE's BERT with rotary positions and a gated feed-forward block, under the name of its custom code, "new", or
// that of transformers, "gte" (models/gte in 5.23.0).
func gteFamily(modelType string) family {
	g := family{
		modelType: modelType, classes: []string{"Gte"}, prefix: "gte.", oldPrefix: "new.",
		defaults: map[string]int{"vocab_size": 250048, "max_position_embeddings": 8192, "pad_token_id": 1},
		pooler:   "pooler.dense", poolerInBase: true, poolerActivation: Tanh, classifier: "classifier",
		positionType: "rope",
		settings:     func(f *fields, c *Config) architecture { return f.gte(c, 160000) },
	}
	if modelType == "new" { // its code also has learned positions, and other defaults (configuration.py of Alibaba-NLP/new-impl)
		g.classes, g.prefix, g.oldPrefix = []string{"New"}, "new.", "gte."
		g.defaults = map[string]int{"max_position_embeddings": 2048}
		g.settings = func(f *fields, c *Config) architecture {
			f.only("position_embedding_type", "rope")
			return f.gte(c, 10000)
		}
	}
	return g
}

func (f *fields) gte(c *Config, theta float64) architecture {
	c.EmbeddingSize, c.LayerNormEps, c.PoolerActivation = c.HiddenSize, f.epsilon("layer_norm_eps", 1e-12), Tanh
	c.TypeVocab = f.wholeFrom("type_vocab_size", 1, 0, maxTypes)
	if c.noTypes = c.TypeVocab == 0; c.noTypes {
		c.TypeVocab = 1
	}
	f.only("layer_norm_type", "layer_norm")
	f.absent("logn_attention_scale", "logn_attention_clip1")
	size := f.headSize(c)
	parameters := f.object("rope_parameters")
	theta = parameters.theta(f.positive("rope_theta", theta))
	f.err = cmp.Or(f.err, parameters.err)
	frequencies := rotaryFrequencies(theta, size)
	if scaling := f.object("rope_scaling"); len(scaling.values) > 0 {
		frequencies = scaling.ntk(theta, size)
		f.err = cmp.Or(f.err, scaling.err)
	}
	return &bertLike{rotary: frequencies, layer: gteLayer}
}

// ntk returns frequencies scaled for longer texts as NTKScalingRotaryEmbedding of GTE's custom code does, without mixed_b:
// the base times the factor, and all divided by factor^(2/size) (equation 6 of kexue.fm/archives/9706).
func (f *fields) ntk(theta float64, size int) []float32 {
	if !f.has("type") {
		f.unsupported("type", "absent, want \"ntk\"")
	}
	f.only("type", "ntk")
	f.only("rope_type", "ntk")
	f.absent("mixed_b")
	factor := f.positive("factor", 1)
	if factor < 1 {
		f.fail("factor", f.values["factor"], "at least 1")
	}
	frequencies := rotaryFrequencies(theta*factor, size)
	for i := range frequencies {
		frequencies[i] = float32(float64(frequencies[i]) / math.Pow(factor, 2/float64(size)))
	}
	return frequencies
}

func gteLayer(r *resolver, i int) Layer {
	at, h, f := "encoder.layer."+strconv.Itoa(i)+".", r.c.config.HiddenSize, r.c.config.FeedForward
	var l Layer
	if r.has(at + "attention.q_proj.weight") {
		l.Query, l.Key = r.linear(at+"attention.q_proj", h, h, true), r.linear(at+"attention.k_proj", h, h, true)
		l.Value = r.linear(at+"attention.v_proj", h, h, true)
	} else {
		qkv := r.packed(at+"attention.qkv_proj", h, true, h, h, h)
		l.Query, l.Key, l.Value = qkv[0], qkv[1], qkv[2]
	}
	l.Output = r.linear(at+"attention.o_proj", h, h, true)
	l.AttentionNorm = r.norm(at+"attn_ln", h)
	inner := r.packed(at+"mlp.up_gate_proj", h, false, f, f)
	l.Inner, l.Gate = inner[0], &inner[1]
	l.Outer = r.linear(at+"mlp.down_proj", h, f, true)
	l.OuterNorm = r.norm(at+"mlp_ln", h)
	return l
}
