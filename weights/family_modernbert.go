package weights

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
)

// modernBERT has the values of ModernBertConfig that a BERT does not have (models/modernbert in transformers 5.23.0).
type modernBERT struct {
	kinds                                        []string // of attention, by layer
	window                                       int      // of sliding attention: keys to each side
	global, local                                []float32
	normBias, attentionBias, innerBias, headBias bool
	pool                                         Pool
}

const (
	fullAttention    = "full_attention"
	slidingAttention = "sliding_attention"
)

var modernBERTFamily = family{
	modelType: "modernbert", classes: []string{"ModernBert"}, prefix: "model.",
	keyRenames: map[string]string{"hidden_act": "hidden_activation"},
	defaults: map[string]int{
		"vocab_size": 50368, "hidden_size": 768, "intermediate_size": 1152, "num_hidden_layers": 22, "max_position_embeddings": 8192,
	},
	tensorRenames: []string{"embeddings.word_embeddings", "embeddings.tok_embeddings", "embeddings.LayerNorm", "embeddings.norm"},
	pooler:        "head", classifier: "classifier",
	noTypeTable: true,
	settings:    (*fields).modernBERT,
	gguf:        ggufModernBERT,
}

func (f *fields) modernBERT(c *Config) architecture {
	m := &modernBERT{
		normBias: f.flag("norm_bias"), attentionBias: f.flag("attention_bias"), innerBias: f.flag("mlp_bias"),
		headBias: f.flag("classifier_bias"),
	}
	c.EmbeddingSize, c.TypeVocab, c.LayerNormEps = c.HiddenSize, 1, f.epsilon("norm_eps", 1e-5)
	if c.PoolerActivation = Tanh; f.text("classifier_activation", "") != Tanh.String() {
		c.PoolerActivation = f.activation("classifier_activation", GELU)
	}
	switch pool := f.text("classifier_pooling", "cls"); pool {
	case "cls":
	case "mean":
		m.pool = PoolMean
	default:
		f.fail("classifier_pooling", f.values["classifier_pooling"], `"cls" or "mean"`)
	}
	m.kinds = f.layerKinds(c.Layers)
	m.window = f.wholeFrom("local_attention", 128, 2, maxPositions) / 2
	if own := f.whole("sliding_window", m.window, maxPositions); own != m.window && f.err == nil {
		f.err = unsupportedf("%s: sliding_window: %d, want local_attention / 2, %d", f.file, own, m.window)
	}
	f.absent("rope_scaling")
	size, parameters := f.headSize(c), f.object("rope_parameters")
	theta := func(kind, old string, absent float64) []float32 {
		if !parameters.has(kind) {
			f.notNull(old, "a number above 0")
		}
		own := parameters.object(kind)
		frequencies := rotaryFrequencies(own.theta(f.positive(old, absent)), size)
		parameters.err = cmp.Or(parameters.err, own.err)
		return frequencies
	}
	m.global, m.local = theta(fullAttention, "global_rope_theta", 160000), theta(slidingAttention, "local_rope_theta", 10000)
	for _, key := range slices.Sorted(maps.Keys(parameters.values)) {
		if key != fullAttention && key != slidingAttention {
			parameters.unsupported(key, "want rope_theta by kind of attention")
		}
	}
	f.err = cmp.Or(f.err, parameters.err)
	return m
}

// layerKinds reads the kind of each layer's attention.
func (f *fields) layerKinds(layers int) []string {
	period := f.whole("global_attn_every_n_layers", 3, maxLayers)
	kinds := make([]string, layers)
	for i := range kinds {
		kinds[i] = slidingAttention
		if i%period == 0 {
			kinds[i] = fullAttention
		}
	}
	v, ok := f.get("layer_types")
	if !ok {
		return kinds
	}
	var own []string
	if json.Unmarshal(v, &own) != nil || len(own) != layers {
		f.fail("layer_types", v, "an array of "+strconv.Itoa(layers)+" kinds of attention")
		return kinds
	}
	for _, kind := range own {
		if kind != fullAttention && kind != slidingAttention && f.err == nil {
			f.err = unsupportedf("%s: layer_types: %s, want %q or %q", f.file, quote(kind), fullAttention, slidingAttention)
		}
	}
	return own
}

func (m *modernBERT) body(r *resolver, p *Plan) {
	cfg := &r.c.config
	h, f := cfg.HiddenSize, cfg.FeedForward
	norm := func(name string) *Norm { return r.normBy(r.base, name, h, m.normBias) }
	p.KeepSum, p.Pool = true, m.pool
	p.Embeddings = Embeddings{Words: r.base(wordEmbeddings, cfg.VocabSize, h), Norm: norm("embeddings.LayerNorm")}
	for i, kind := range m.kinds {
		at := "layers." + strconv.Itoa(i) + "."
		if i > 0 { // the first layer has none
			p.Layers[i-1].OuterNorm = norm(at + "attn_norm")
		}
		l := Layer{
			Attention:  Attention{Heads: cfg.Heads, KeyHeads: cfg.Heads, Size: h / cfg.Heads, Frequencies: m.global},
			Activation: cfg.Activation,
		}
		if kind == slidingAttention {
			l.Attention.Frequencies, l.Attention.Window = m.local, m.window
		}
		qkv := r.packed(at+"attn.Wqkv", h, m.attentionBias, h, h, h)
		l.Query, l.Key, l.Value = qkv[0], qkv[1], qkv[2]
		l.Output = r.linear(at+"attn.Wo", h, h, m.attentionBias)
		l.AttentionNorm = norm(at + "mlp_norm")
		inner := r.packed(at+"mlp.Wi", h, m.innerBias, f, f)
		l.Gate, l.Inner = &inner[0], inner[1]
		l.Outer = r.linear(at+"mlp.Wo", h, f, m.innerBias)
		p.Layers = append(p.Layers, l)
	}
	p.Layers[len(p.Layers)-1].OuterNorm = norm("final_norm")
}

func (m *modernBERT) head(r *resolver, p *Plan) {
	dense, classifier := r.headLinear("head.dense", p.Hidden, p.Hidden, m.headBias), r.headLinear("classifier", p.Labels, p.Hidden, true)
	norm := r.normBy(r.plain, "head.norm", p.Hidden, m.normBias)
	p.Head = []Step{{Linear: &dense, Activation: r.c.config.PoolerActivation, Norm: norm}, {Linear: &classifier}}
}
