package weights

import "strconv"

// bert looks up the model of a BERT or of one of its relatives (models/bert in transformers), which differ in names, in
// the activation after the pooler and in Config. It goes in the order of the forward pass, so that the first error is the
// one nearest to the input.
func (r *resolver) bert(cfg *Config) *Plan {
	h, e := cfg.HiddenSize, cfg.EmbeddingSize
	p := &Plan{
		Embeddings: Embeddings{Words: r.base(wordEmbeddings, cfg.VocabSize, e)},
		Hidden:     h, Vocab: cfg.VocabSize, Positions: cfg.MaxPositions, Types: cfg.TypeVocab, Labels: len(cfg.Labels),
	}
	positions := r.base("embeddings.position_embeddings.weight", cfg.PositionOffset+cfg.MaxPositions, e)
	if positions.Shape != nil && r.err == nil {
		positions = positions.Rows(cfg.PositionOffset, positions.Shape[0])
	}
	p.Embeddings.Positions = &positions
	if !r.family.noTypeTable {
		types := r.base("embeddings.token_type_embeddings.weight", cfg.TypeVocab, e)
		p.Embeddings.Types = &types
	}
	p.Embeddings.Norm = r.norm("embeddings.LayerNorm", e)
	if e != h {
		projection := r.linear("embeddings_project", h, e)
		p.Embeddings.Projection = &projection
	}
	for i := range cfg.Layers {
		p.Layers = append(p.Layers, r.bertLayer("encoder.layer."+strconv.Itoa(i)+".", cfg))
	}
	pooler := r.headLinear
	if r.family.poolerInBase {
		pooler = r.linear
	}
	dense, classifier := pooler(r.family.pooler, h, h), r.headLinear(r.family.classifier, len(cfg.Labels), h)
	p.Head = []Step{{Linear: &dense, Activation: cfg.PoolerActivation}, {Linear: &classifier}}
	return p
}

// bertLayer looks up one encoder layer; at is the start of its names, "encoder.layer.0.".
func (r *resolver) bertLayer(at string, cfg *Config) Layer {
	h, f := cfg.HiddenSize, cfg.FeedForward
	return Layer{
		Attention:     Attention{Heads: cfg.Heads, Size: h / cfg.Heads},
		Query:         r.linear(at+"attention.self.query", h, h),
		Key:           r.linear(at+"attention.self.key", h, h),
		Value:         r.linear(at+"attention.self.value", h, h),
		Output:        r.linear(at+"attention.output.dense", h, h),
		AttentionNorm: r.norm(at+"attention.output.LayerNorm", h),
		Inner:         r.linear(at+"intermediate.dense", f, h),
		Activation:    cfg.Activation,
		Outer:         r.linear(at+"output.dense", h, f),
		OuterNorm:     r.norm(at+"output.LayerNorm", h),
	}
}
