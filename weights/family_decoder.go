package weights

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
)

// decoder is a decoder of Llama's kind: rotary positions, RMS norms before attention and the feed-forward block, a gated
// block, and query heads that share keys and values. Qwen2 and Qwen3 differ in biases, norms of heads and settings
// (models/{llama,qwen2,qwen3} in transformers 5.23.0).
type decoder struct {
	theta                          float64
	frequencies                    []float32
	headNorms                      bool
	qkvBias, outputBias, blockBias bool
	causal                         bool
	pool                           Pool
	temperature                    float32  // logits are divided by it
	padding                        []int32  // pad_token_id: trailing tokens of a …ForSequenceClassification
	tied                           bool     // the head over the vocabulary is the table of embeddings
	tokens                         []string // of classifier_from_token: ["no", "yes"], or ["yes"]; nil: not stated
}

// decoderFamily returns the family with the defaults that Llama, Qwen2 and Qwen3 have in common.
func decoderFamily(modelType, class string, settings func(*fields, *Config) architecture) family {
	return family{
		modelType: modelType, classes: []string{class}, prefix: "model.", decoder: true, settings: settings,
		tensorRenames: []string{"embeddings.word_embeddings", "embed_tokens"},
		defaults: map[string]int{
			"vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32,
			"num_attention_heads": 32, "max_position_embeddings": 32768,
		},
		classifier:  "score",
		pooler:      "score", // there is none
		noTypeTable: true,
	}
}

// decoder reads the settings that all decoders have. keyHeads and size are for a config without them; 0 is as many as heads,
// and their part of the hidden size.
func (f *fields) decoder(c *Config, keyHeads, size int) *decoder {
	d := &decoder{causal: true, pool: PoolLast, temperature: 1, tied: f.flag("tie_word_embeddings")}
	c.EmbeddingSize, c.TypeVocab, c.LayerNormEps = c.HiddenSize, 1, f.epsilon("rms_norm_eps", 1e-6)
	c.Activation = f.activation("hidden_act", SiLU)
	if keyHeads == 0 || f.isNull("num_key_value_heads") {
		keyHeads = c.Heads
	}
	if c.KeyHeads = f.whole("num_key_value_heads", keyHeads, maxHidden); c.Heads%c.KeyHeads != 0 && f.err == nil {
		f.err = invalidf("%s: num_key_value_heads: %d, want a divisor of num_attention_heads, %d", f.file, c.KeyHeads, c.Heads)
	}
	if size == 0 {
		if size = c.HiddenSize / c.Heads; c.HiddenSize%c.Heads != 0 && !f.has("head_dim") && f.err == nil {
			f.err = invalidf("%s: hidden_size: %d, want a multiple of num_attention_heads, %d, or head_dim", f.file, c.HiddenSize, c.Heads)
		}
	}
	if c.HeadSize = f.whole("head_dim", max(size, 1), maxHidden); c.HeadSize%2 != 0 && f.err == nil {
		f.err = unsupportedf("%s: heads of %d values have no rotary positions, want an even number", f.file, c.HeadSize)
	}
	d.theta, d.frequencies = f.rotary(c.HeadSize, c.MaxPositions)
	d.tokens = f.scoreTokens()
	return d
}

// onlyFullAttention refuses sliding windows, which no reranker has that was published.
func (f *fields) onlyFullAttention(layers int) {
	if f.flag("use_sliding_window") && f.err == nil {
		f.err = unsupportedf("%s: use_sliding_window: true, want false: a causal sliding window is not supported", f.file)
	}
	v, ok := f.get("layer_types")
	if !ok {
		return
	}
	var kinds []string
	if json.Unmarshal(v, &kinds) != nil || len(kinds) != layers {
		f.fail("layer_types", v, "an array of "+strconv.Itoa(layers)+" kinds of attention")
	}
	for _, kind := range kinds {
		if kind != fullAttention && f.err == nil {
			f.err = unsupportedf("%s: layer_types: %s, want %q", f.file, quote(kind), fullAttention)
		}
	}
}

// rotary reads the frequencies of rotary positions as transformers does (modeling_rope_utils.py): from rope_scaling, or from
// rope_parameters, with a rope_theta of their own or beside them.
func (f *fields) rotary(size, positions int) (theta float64, frequencies []float32) {
	key := "rope_parameters"
	if v, ok := f.get("rope_scaling"); ok && !isEmpty(v) {
		f.absent(key)
		key = "rope_scaling"
	}
	f.is("partial_rotary_factor", 1)
	f.absent("original_max_position_embeddings")
	p := f.object(key)
	known := []string{"rope_type", "type", "rope_theta", "partial_rotary_factor"}
	kind := p.text("rope_type", p.text("type", "default"))
	p.is("partial_rotary_factor", 1)
	theta = p.positive("rope_theta", f.positive("rope_theta", 10000))
	frequencies = rotaryFrequencies(theta, size)
	switch {
	case kind == "llama3":
		known = append(known, "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
		p.llama3(frequencies, positions)
	case kind != "default" && p.err == nil:
		p.err = unsupportedf("%s: %srope_type: %s, want \"default\" or \"llama3\"", p.file, p.path, quote(kind))
	}
	for _, other := range slices.Sorted(maps.Keys(p.values)) {
		if !slices.Contains(known, other) {
			p.unsupported(other, "want rotary positions of type "+kind)
		}
	}
	f.err = cmp.Or(f.err, p.err)
	return theta, frequencies
}

// llama3 scales frequencies for longer texts as Llama 3.1 does: low ones are divided by a factor, high ones are left, and
// those between are in between. It rounds as transformers does in float32 (_compute_llama3_parameters).
func (f *fields) llama3(frequencies []float32, positions int) {
	for _, key := range []string{"factor", "low_freq_factor", "high_freq_factor"} {
		if !f.has(key) && f.err == nil {
			f.err = invalidf("%s: %s%s: absent, want a number", f.file, f.path, key)
		}
	}
	factor, low, high := f.positive("factor", 1), f.positive("low_freq_factor", 1), f.positive("high_freq_factor", 4)
	if factor < 1 {
		f.fail("factor", f.values["factor"], "at least 1")
	}
	if low >= high {
		f.fail("low_freq_factor", f.values["low_freq_factor"], "less than high_freq_factor")
	}
	before := float64(f.whole("original_max_position_embeddings", positions, maxPositions))
	longest, shortest := float32(before/low), float32(before/high)
	for i, x := range frequencies {
		switch wave := float32(6.283185307179586) / x; {
		case wave > longest:
			frequencies[i] = x / float32(factor)
		case wave >= shortest:
			smooth := (float32(before)/wave - float32(low)) / float32(high-low)
			frequencies[i] = float32(float32((1-smooth)*x)/float32(factor)) + float32(smooth*x)
		}
	}
}

func (d *decoder) body(r *resolver, p *Plan) {
	cfg := &r.c.config
	h, f, q, kv := cfg.HiddenSize, cfg.FeedForward, cfg.Heads*cfg.HeadSize, cfg.KeyHeads*cfg.HeadSize
	p.KeepSum, p.Pool = true, d.pool
	p.Embeddings.Words = r.base(wordEmbeddings, cfg.VocabSize, h)
	for i := range cfg.Layers {
		at := "layers." + strconv.Itoa(i) + "."
		first := r.rms(at+"input_layernorm", h)
		if i == 0 {
			p.FirstNorm = first
		} else {
			p.Layers[i-1].OuterNorm = first
		}
		attention := Attention{Heads: cfg.Heads, Size: cfg.HeadSize, KeyHeads: cfg.KeyHeads, Causal: d.causal, Frequencies: d.frequencies}
		if d.headNorms {
			attention.QueryNorm, attention.KeyNorm = r.rms(at+"self_attn.q_norm", cfg.HeadSize), r.rms(at+"self_attn.k_norm", cfg.HeadSize)
		}
		gate := r.linear(at+"mlp.gate_proj", f, h, d.blockBias)
		p.Layers = append(p.Layers, Layer{
			Attention:     attention,
			Query:         r.linear(at+"self_attn.q_proj", q, h, d.qkvBias),
			Key:           r.linear(at+"self_attn.k_proj", kv, h, d.qkvBias),
			Value:         r.linear(at+"self_attn.v_proj", kv, h, d.qkvBias),
			Output:        r.linear(at+"self_attn.o_proj", h, q, d.outputBias),
			AttentionNorm: r.rms(at+"post_attention_layernorm", h),
			Gate:          &gate,
			Inner:         r.linear(at+"mlp.up_proj", f, h, d.blockBias),
			Activation:    cfg.Activation,
			Outer:         r.linear(at+"mlp.down_proj", h, f, d.blockBias),
		})
	}
	p.Layers[len(p.Layers)-1].OuterNorm = r.rms("norm", h)
}

// rms looks up the scale of an RMS norm.
func (r *resolver) rms(name string, width int) *Norm {
	n := r.normBy(r.base, name, width, false)
	n.RMS = true
	return n
}

// head is one layer without a bias: score, or rows of the head over the vocabulary.
func (d *decoder) head(r *resolver, p *Plan) {
	var score Linear
	if t := r.c.tokens; t != nil {
		score.Weight = r.tokenRow(t, d.tied, p.Vocab, p.Hidden)
	} else if score.Weight, p.Trailing = r.plain("score.weight", p.Labels, p.Hidden), d.padding; d.temperature != 1 {
		rows := r.floats(score.Weight)
		for i := range rows {
			rows[i] /= d.temperature
		}
		score.Weight = madeOf("score.weight", rows, p.Labels, p.Hidden)
	}
	score.Bias = r.absent(score.Weight, p.Labels)
	p.Head = []Step{{Linear: &score}}
}
