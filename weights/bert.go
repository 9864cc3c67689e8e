package weights

import (
	"slices"
	"strconv"
	"strings"
)

// Linear is y = x Wᵀ + b, as torch.nn.Linear stores it.
type Linear struct {
	Weight Tensor // [out, in]
	Bias   Tensor // [out]
}

// LayerNorm is the scale and the shift after normalisation.
type LayerNorm struct {
	Gamma Tensor // [H]
	Beta  Tensor // [H]
}

// BERTLayer is one encoder layer.
type BERTLayer struct {
	Query, Key, Value Linear    // [H, H] each; heads are consecutive blocks of H/Heads rows
	AttentionOutput   Linear    // [H, H]
	AttentionNorm     LayerNorm // after the residual around attention
	Intermediate      Linear    // [F, H]
	Output            Linear    // [H, F]
	OutputNorm        LayerNorm // after the residual around the feed-forward block
}

// BERT is the tensors of a BertForSequenceClassification (models/bert in transformers). All are F32, F16 or BF16,
// not necessarily the same, and have the shapes that the config asks for. Matrices may be quantised; see
// [Tensor.Quant].
type BERT struct {
	WordEmbeddings     Tensor // [V, H]
	PositionEmbeddings Tensor // [P, H]
	TypeEmbeddings     Tensor // [S, H]
	EmbeddingNorm      LayerNorm
	Layers             []BERTLayer
	Pooler             Linear // [H, H], applied to the [CLS] row and followed by tanh
	Classifier         Linear // [labels, H]
}

// BERT finds the model's tensors by name and checks them against the config. Names may come with the prefix
// "bert." or without, and layer norms may be called gamma and beta as in checkpoints of 2018; tensors that the model
// does not use are ignored. Without a classifier the error is [ErrNotCrossEncoder].
func (c *Checkpoint) BERT() (*BERT, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return nil, ErrClosed
	}
	r := &resolver{c: c, prefix: bertPrefix}
	if !slices.ContainsFunc(c.tensors, func(t Tensor) bool { return strings.HasPrefix(t.Name, bertPrefix) }) {
		r.prefix = ""
	}
	b := r.bert(c.config)
	if err := r.verdict(); err != nil {
		return nil, err
	}
	return b, nil
}

const (
	bertPrefix       = "bert."
	classifierWeight = "classifier.weight"
	poolerWeight     = "pooler.dense.weight"
	wordEmbeddings   = "embeddings.word_embeddings.weight"
)

// resolver looks tensors up. It goes on after a failure, to count what is missing.
type resolver struct {
	c       *Checkpoint // its lock is held
	prefix  string      // that the file uses, for naming what is missing
	wanted  int
	missing []string // without prefix
	err     error    // the first tensor that is there, but wrong
}

// bert looks up the whole model in the order of the forward pass, so that the first error is the one nearest to the
// input.
func (r *resolver) bert(cfg Config) *BERT {
	h := cfg.HiddenSize
	b := &BERT{
		WordEmbeddings:     r.base(wordEmbeddings, cfg.VocabSize, h),
		PositionEmbeddings: r.base("embeddings.position_embeddings.weight", cfg.MaxPositions, h),
		TypeEmbeddings:     r.base("embeddings.token_type_embeddings.weight", cfg.TypeVocab, h),
		EmbeddingNorm:      r.norm("embeddings.LayerNorm", h),
	}
	for i := range cfg.Layers {
		b.Layers = append(b.Layers, r.layer("encoder.layer."+strconv.Itoa(i)+".", h, cfg.FeedForward))
	}
	b.Pooler = r.linear("pooler.dense", h, h)
	// The head is not part of the base model and never carries its prefix.
	b.Classifier = Linear{
		Weight: r.find(classifierWeight, []string{classifierWeight}, len(cfg.Labels), h),
		Bias:   r.find("classifier.bias", []string{"classifier.bias"}, len(cfg.Labels)),
	}
	return b
}

// layer looks up one encoder layer; at is the start of its names, "encoder.layer.0.".
func (r *resolver) layer(at string, h, f int) BERTLayer {
	return BERTLayer{
		Query:           r.linear(at+"attention.self.query", h, h),
		Key:             r.linear(at+"attention.self.key", h, h),
		Value:           r.linear(at+"attention.self.value", h, h),
		AttentionOutput: r.linear(at+"attention.output.dense", h, h),
		AttentionNorm:   r.norm(at+"attention.output.LayerNorm", h),
		Intermediate:    r.linear(at+"intermediate.dense", f, h),
		Output:          r.linear(at+"output.dense", h, f),
		OutputNorm:      r.norm(at+"output.LayerNorm", h),
	}
}

// linear looks up weight [out, in] and bias [out].
func (r *resolver) linear(name string, out, in int) Linear {
	return Linear{Weight: r.base(name+".weight", out, in), Bias: r.base(name+".bias", out)}
}

// norm looks up scale and shift, both [h].
func (r *resolver) norm(name string, h int) LayerNorm {
	return LayerNorm{Gamma: r.base(name+".weight", h), Beta: r.base(name+".bias", h)}
}

// legacyNorm maps the names of today's layer norm parameters to those of checkpoints converted from TensorFlow in
// 2018, as in conversion_mapping.py of transformers ("legacy").
var legacyNorm = [][2]string{{"LayerNorm.weight", "LayerNorm.gamma"}, {"LayerNorm.bias", "LayerNorm.beta"}}

// base finds a tensor of the base model, with prefix or without, under its new name or its old one.
func (r *resolver) base(name string, shape ...int) Tensor {
	names := []string{bertPrefix + name, name}
	for _, n := range legacyNorm {
		if before, ok := strings.CutSuffix(name, n[0]); ok {
			names = append(names, bertPrefix+before+n[1], before+n[1])
		}
	}
	return r.find(name, names, shape...)
}

// find takes the one of names that is there and checks type and shape.
func (r *resolver) find(name string, names []string, shape ...int) Tensor {
	r.wanted++
	names = slices.DeleteFunc(names, func(n string) bool { _, ok := r.c.index[n]; return !ok })
	if len(names) == 0 {
		r.missing = append(r.missing, name)
		return Tensor{}
	}
	t, _ := r.c.lookup(names[0])
	switch {
	case r.err != nil:
	case len(names) > 1:
		r.err = invalidf("tensor %s: also there as %q, want one of them", quote(t.Name), names[1])
	default:
		t, r.err = r.c.decodable(t)
	}
	if r.err == nil && !slices.Equal(t.Shape, shape) {
		r.err = invalidf("tensor %s: shape %d, want %d", quote(t.Name), t.Shape, shape)
	}
	return t
}

// verdict turns what the lookups left behind into one error: the most telling first.
func (r *resolver) verdict() error {
	if len(r.missing) == 0 {
		return r.err
	}
	first, hasEmbeddings := r.missing[0], !slices.Contains(r.missing, wordEmbeddings)
	switch {
	case hasEmbeddings && slices.Contains(r.missing, classifierWeight):
		return &kindError{
			"no " + classifierWeight + ": this looks like an embedding model, not a cross-encoder",
			[]error{ErrNotCrossEncoder},
		}
	case first == poolerWeight:
		return invalidf("no %s: the score of a BERT cross-encoder is computed from the pooled [CLS] row", r.prefix+first)
	case strings.HasPrefix(first, "classifier."):
	default:
		first = r.prefix + first
	}
	return invalidf("tensor %q: missing, as are %d more of %d", first, len(r.missing)-1, r.wanted)
}
