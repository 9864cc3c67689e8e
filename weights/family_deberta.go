package weights

import (
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

// deberta has the values of DebertaV2Config that a BERT does not have (models/deberta_v2 in transformers 5.23.0).
type deberta struct {
	positions        bool // learned ones, in the embeddings
	relative, shared bool
	keys, queries    bool // terms of positions: c2p, p2c
	buckets, most    int
	norm             bool // of the table of relative positions
}

var debertaFamily = family{
	modelType: "deberta-v2", classes: []string{"DebertaV2"}, prefix: "deberta.",
	defaults: map[string]int{
		"vocab_size": 128100, "hidden_size": 1536, "num_hidden_layers": 24, "num_attention_heads": 24, "intermediate_size": 6144,
	},
	pooler: "pooler.dense", classifier: "classifier",
	settings: (*fields).deberta,
}

func (f *fields) deberta(c *Config) architecture {
	d := &deberta{
		positions: f.trueOr("position_biased_input"), relative: f.flag("relative_attention"), shared: f.flag("share_att_key"),
		buckets: max(f.wholeFrom("position_buckets", -1, -1, maxPositions), 0),
		most:    f.wholeFrom("max_relative_positions", -1, -1, maxPositions),
	}
	c.EmbeddingSize, c.LayerNormEps = f.whole("embedding_size", c.HiddenSize, maxHidden), f.epsilon("layer_norm_eps", 1e-7)
	c.TypeVocab = f.wholeFrom("type_vocab_size", 0, 0, maxTypes)
	if c.noTypes = c.TypeVocab == 0; c.noTypes {
		c.TypeVocab = 1
	}
	c.TokenTypes = !c.noTypes
	if c.PoolerActivation = Tanh; f.text("pooler_hidden_act", "") != Tanh.String() {
		c.PoolerActivation = f.activation("pooler_hidden_act", GELU)
	}
	if d.most < 1 {
		d.most = c.MaxPositions
	}
	for _, term := range f.terms("pos_att_type") {
		d.keys, d.queries = d.keys || term == "c2p", d.queries || term == "p2c"
		if term != "c2p" && term != "p2c" && f.err == nil {
			f.err = unsupportedf("%s: pos_att_type: %s, want \"c2p\" or \"p2c\"", f.file, quote(term))
		}
	}
	if (d.keys || d.queries) && !d.relative && f.err == nil { // transformers divides the scores by the terms' number even so
		f.err = unsupportedf("%s: relative_attention: false, want true where there is pos_att_type", f.file)
	}
	if d.relative && d.buckets > 0 && (d.buckets < 4 || d.most-1 <= d.buckets/2) && f.err == nil {
		f.err = invalidf("%s: position_buckets: %d, want at least 4, and half of them below max_relative_positions, %d", f.file, d.buckets, d.most)
	}
	for kind := range strings.SplitSeq(strings.ToLower(f.text("norm_rel_ebd", "none")), "|") {
		d.norm = d.norm || strings.TrimSpace(kind) == "layer_norm"
	}
	f.is("conv_kernel_size", 0)
	f.is("pooler_hidden_size", float64(c.HiddenSize))
	if c.Heads > 0 {
		f.is("attention_head_size", float64(c.HiddenSize/c.Heads))
	}
	return d
}

// terms reads an array of strings, or one string with bars between them.
func (f *fields) terms(key string) []string {
	v, ok := f.get(key)
	if !ok {
		return nil
	}
	var all []string
	if v.Kind() != '[' {
		all = strings.Split(strings.ToLower(f.text(key, "")), "|")
	} else if json.Unmarshal(v, &all) != nil {
		f.fail(key, v, "an array of strings")
	}
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

func (d *deberta) body(r *resolver, p *Plan) {
	cfg := &r.c.config
	h, f, e := cfg.HiddenSize, cfg.FeedForward, cfg.EmbeddingSize
	p.Embeddings.Words = r.base(wordEmbeddings, cfg.VocabSize, e)
	if d.positions {
		table := r.base("embeddings.position_embeddings.weight", cfg.MaxPositions, e)
		p.Embeddings.Positions = &table
	}
	if !cfg.noTypes {
		table := r.base("embeddings.token_type_embeddings.weight", cfg.TypeVocab, e)
		p.Embeddings.Types = &table
	}
	if norm := r.norm("embeddings.LayerNorm", h); e == h {
		p.Embeddings.Norm = norm
	} else { // the norm comes after the projection
		projection := r.linear("embeddings.embed_proj", h, e, false)
		p.Embeddings.Projection, p.FirstNorm = &projection, norm
	}
	var relative *Relative
	if d.keys || d.queries {
		relative = &Relative{Span: d.most, Buckets: d.buckets, Farthest: d.most}
		if d.buckets > 0 {
			relative.Span = d.buckets
		}
		relative.Table = r.base("encoder.rel_embeddings.weight", 2*relative.Span, h)
		if d.norm {
			relative.Norm = r.norm("encoder.LayerNorm", h)
		}
	}
	for i := range cfg.Layers {
		at := "encoder.layer." + strconv.Itoa(i) + "."
		l := Layer{
			Attention:     Attention{Heads: cfg.Heads, KeyHeads: cfg.Heads, Size: h / cfg.Heads},
			Query:         r.linear(at+"attention.self.query_proj", h, h, true),
			Key:           r.linear(at+"attention.self.key_proj", h, h, true),
			Value:         r.linear(at+"attention.self.value_proj", h, h, true),
			Output:        r.linear(at+"attention.output.dense", h, h, true),
			AttentionNorm: r.norm(at+"attention.output.LayerNorm", h),
			Inner:         r.linear(at+"intermediate.dense", f, h, true),
			Activation:    cfg.Activation,
			Outer:         r.linear(at+"output.dense", h, f, true),
			OuterNorm:     r.norm(at+"output.LayerNorm", h),
		}
		if relative != nil {
			own := *relative
			own.Key = d.term(r, d.keys, &l.Key, at+"attention.self.pos_key_proj", h)
			own.Query = d.term(r, d.queries, &l.Query, at+"attention.self.pos_query_proj", h)
			l.Attention.Relative = &own
		}
		p.Layers = append(p.Layers, l)
	}
}

// term returns the layer that makes K or Q: that of the content, or one of its own.
func (d *deberta) term(r *resolver, there bool, content *Linear, name string, h int) *Linear {
	switch {
	case !there:
		return nil
	case d.shared:
		shared := *content
		return &shared
	}
	own := r.linear(name, h, h, true)
	return &own
}

func (d *deberta) head(r *resolver, p *Plan) {
	dense, classifier := r.headLinear("pooler.dense", p.Hidden, p.Hidden, true), r.headLinear("classifier", p.Labels, p.Hidden, true)
	p.Head = []Step{{Linear: &dense, Activation: r.c.config.PoolerActivation}, {Linear: &classifier}}
}
