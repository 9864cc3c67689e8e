package weights

import (
	"slices"
	"strings"
)

// Plan finds the model's tensors by name and checks them against the config. Names may come with the prefix of the
// family ("bert.") or without, and layer norms may be called gamma and beta as in checkpoints of 2018; tensors that the
// model does not use are ignored. Plan does not read their data. Without a classifier the error is [ErrNotCrossEncoder].
func (c *Checkpoint) Plan() (*Plan, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return nil, ErrClosed
	}
	r := &resolver{c: c, family: familyOf(c.config.ModelType, "")}
	if slices.ContainsFunc(c.tensors, func(t Tensor) bool { return strings.HasPrefix(t.Name, r.family.prefix) }) {
		r.prefix = r.family.prefix
	}
	p := r.bert(&c.config)
	if err := r.verdict(); err != nil {
		return nil, err
	}
	return p, nil
}

const wordEmbeddings = "embeddings.word_embeddings.weight"

// resolver looks tensors up. It goes on after a failure, to count the missing ones.
type resolver struct {
	c       *Checkpoint // its lock is held
	family  *family
	prefix  string // that the file uses, to name missing tensors
	wanted  int
	missing []string // without prefix
	err     error    // the first tensor that is there, but wrong
}

// headLinear looks up a layer of the head, which is not part of the base model and never carries its prefix.
func (r *resolver) headLinear(name string, out, in int) Linear {
	weight, bias := name+".weight", name+".bias"
	return Linear{Weight: r.find(weight, []string{weight}, out, in), Bias: r.find(bias, []string{bias}, out)}
}

// linear looks up weight [out, in] and bias [out].
func (r *resolver) linear(name string, out, in int) Linear {
	return Linear{Weight: r.base(name+".weight", out, in), Bias: r.base(name+".bias", out)}
}

// norm looks up scale and shift, both [h].
func (r *resolver) norm(name string, h int) *Norm {
	return &Norm{Gamma: r.base(name+".weight", h), Beta: r.base(name+".bias", h), Epsilon: r.c.config.LayerNormEps}
}

// legacyNorm maps the names of today's layer norm parameters to those of checkpoints converted from TensorFlow in
// 2018, as in conversion_mapping.py of transformers ("legacy").
var legacyNorm = [][2]string{{"LayerNorm.weight", "LayerNorm.gamma"}, {"LayerNorm.bias", "LayerNorm.beta"}}

// base finds a tensor of the base model, with prefix or without, under its new name or its old one.
func (r *resolver) base(name string, shape ...int) Tensor {
	name = r.family.tensor(name)
	prefix := r.family.prefix
	names := []string{prefix + name, name}
	for _, n := range legacyNorm {
		if before, ok := strings.CutSuffix(name, n[0]); ok {
			names = append(names, prefix+before+n[1], before+n[1])
		}
	}
	return r.find(name, names, shape...)
}

// find returns the tensor that has one of the names, and checks its type and shape.
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

// verdict returns one error for all failed lookups, the one that explains most.
func (r *resolver) verdict() error {
	if len(r.missing) == 0 {
		return r.err
	}
	first, hasEmbeddings := r.missing[0], !slices.Contains(r.missing, wordEmbeddings)
	classifier, pooler := r.family.classifier+".weight", r.family.pooler+".weight"
	inHead := strings.HasPrefix(first, r.family.classifier+".") || !r.family.poolerInBase && strings.HasPrefix(first, r.family.pooler+".")
	headOnly := !slices.ContainsFunc(r.missing, func(name string) bool {
		return !strings.HasPrefix(name, r.family.classifier+".") && !strings.HasPrefix(name, r.family.pooler+".")
	})
	switch code := r.c.config.CustomCode; {
	case code != "" && !headOnly:
		return unsupportedf("%s: auto_map: the model is custom code (%s), which is not supported: tensor %q is missing, as "+
			"are %d more of %d; nearest is %s", configFile, shorten(code), r.prefix+first, len(r.missing)-1, r.wanted, likeBGE)
	case hasEmbeddings && slices.Contains(r.missing, classifier):
		return r.c.notCrossEncoder(classifier)
	case first == pooler && r.family.poolerInBase:
		return invalidf("no %s: the score of a BERT cross-encoder is computed from the pooled [CLS] row", r.prefix+first)
	case inHead:
	default:
		first = r.prefix + first
	}
	return invalidf("tensor %q: missing, as are %d more of %d", first, len(r.missing)-1, r.wanted)
}
