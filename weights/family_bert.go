package weights

import "strconv"

// bertLike is a BERT or one of its relatives (models/bert in transformers), which differ in names, in the activation after
// the pooler and in Config.
type bertLike struct {
	// rotary and slopes are set for relatives that have them instead of learned positions.
	rotary []float32
	slopes []float32
	// projected is set for one that projects embeddings even if they are as wide as the model.
	projected bool
	layer     func(r *resolver, i int) Layer
}

func (b *bertLike) body(r *resolver, p *Plan) {
	cfg := &r.c.config
	h, e := cfg.HiddenSize, cfg.EmbeddingSize
	p.Embeddings.Words = r.base(wordEmbeddings, cfg.VocabSize, e)
	if b.rotary == nil && b.slopes == nil {
		positions := r.base("embeddings.position_embeddings.weight", cfg.PositionOffset+cfg.MaxPositions, e)
		if positions.Shape != nil && r.err == nil {
			if at := cfg.PositionOffset; at > 0 {
				padding := positions.Rows(at-1, at)
				p.Embeddings.Padding = &padding
			}
			positions = positions.Rows(cfg.PositionOffset, positions.Shape[0])
		}
		p.Embeddings.Positions = &positions
	}
	if !r.family.noTypeTable && !cfg.noTypes {
		types := r.base("embeddings.token_type_embeddings.weight", cfg.TypeVocab, e)
		p.Embeddings.Types = &types
	}
	norm := "embeddings.LayerNorm"
	if r.has("emb_ln.weight") {
		norm = "emb_ln"
	}
	p.Embeddings.Norm = r.norm(norm, e)
	if e != h || b.projected {
		projection := r.linear("embeddings_project", h, e, true)
		p.Embeddings.Projection = &projection
	}
	for i := range cfg.Layers {
		l := b.layer(r, i)
		l.Attention = Attention{Heads: cfg.Heads, KeyHeads: cfg.Heads, Size: h / cfg.Heads, Frequencies: b.rotary, Slopes: b.slopes}
		l.Activation = cfg.Activation
		p.Layers = append(p.Layers, l)
	}
}

func (b *bertLike) head(r *resolver, p *Plan) {
	h := p.Hidden
	pooler := r.headLinear
	if r.family.poolerInBase {
		pooler = r.linear
	}
	dense, classifier := pooler(r.family.pooler, h, h, true), r.headLinear(r.family.classifier, p.Labels, h, true)
	p.Head = []Step{{Linear: &dense, Activation: r.c.config.PoolerActivation}, {Linear: &classifier}}
}

// bertLayer looks up a layer under BERT's names, or those of flash-attention's BERT.
func bertLayer(r *resolver, i int) Layer {
	if r.has("encoder.layers.0.mixer.Wqkv.weight") {
		return flashLayer(r, i)
	}
	return bertLayerAt(r, "encoder.layer."+strconv.Itoa(i)+".")
}

// bertLayerAt looks up a layer under BERT's names behind a prefix.
func bertLayerAt(r *resolver, at string) Layer {
	h, f, l := r.c.config.HiddenSize, r.c.config.FeedForward, bertAttention(r, at)
	l.Inner, l.Outer = r.linear(at+"intermediate.dense", f, h, true), r.linear(at+"output.dense", h, f, true)
	l.OuterNorm = r.norm(at+"output.LayerNorm", h)
	return l
}

// bertAttention looks up the first half of a layer under BERT's names.
func bertAttention(r *resolver, at string) Layer {
	h := r.c.config.HiddenSize
	return Layer{
		Query:         r.linear(at+"attention.self.query", h, h, true),
		Key:           r.linear(at+"attention.self.key", h, h, true),
		Value:         r.linear(at+"attention.self.value", h, h, true),
		Output:        r.linear(at+"attention.output.dense", h, h, true),
		AttentionNorm: r.norm(at+"attention.output.LayerNorm", h),
	}
}
