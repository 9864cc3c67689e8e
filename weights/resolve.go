package weights

import (
	"slices"
	"strings"
)

// Plan finds the model's tensors by name and checks them against the config. Names may come with the prefix of the
// family ("bert.") or without, and layer norms may be called gamma and beta as in checkpoints of 2018; tensors that the
// model does not use are ignored. Plan does not read their data, except rows of the head where a score is made of them.
// Without a classifier the error is [ErrNotCrossEncoder].
func (c *Checkpoint) Plan() (*Plan, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return nil, ErrClosed
	}
	r := &resolver{c: c, family: familyOf(c.config.ModelType, "")}
	for _, prefix := range slices.Backward(r.family.prefixes()) {
		if slices.ContainsFunc(c.tensors, func(t Tensor) bool { return strings.HasPrefix(t.Name, prefix) }) {
			r.prefix = prefix
		}
	}
	p := r.plan()
	if err := r.verdict(); err != nil {
		return nil, err
	}
	return p, nil
}

// plan looks up the whole model in the order of the forward pass, so that the first error is the one nearest to the input.
func (r *resolver) plan() *Plan {
	cfg := &r.c.config
	p := &Plan{
		Hidden: cfg.HiddenSize, Vocab: cfg.VocabSize, Positions: cfg.MaxPositions, Types: cfg.TypeVocab, Labels: len(cfg.Labels),
	}
	architectureOf(cfg).body(r, p)
	if r.c.head != nil && r.c.tokens == nil {
		r.modules(p, r.c.head)
	} else {
		architectureOf(cfg).head(r, p)
	}
	return p
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
	zeros   []byte   // of all biases that are not there
}

// absent is a vector of zeros for a bias that the model does not have, beside a tensor that it has, which bounds its length:
// after a failure it has no data.
func (r *resolver) absent(beside Tensor, n int) Tensor {
	t := Tensor{Name: "no bias", DType: F32, Shape: []int{n}}
	if beside.Shape == nil || r.err != nil {
		return t
	}
	if len(r.zeros) < 4*n {
		r.zeros = make([]byte, 4*n)
	}
	t.data = r.zeros[:4*n]
	return t
}

// headLinear looks up a layer of the head, which is not part of the base model and never carries its prefix.
func (r *resolver) headLinear(name string, out, in int, bias bool) Linear {
	return r.linearBy(r.plain, name, out, in, bias)
}

// linear looks up a layer of the base model: weight [out, in] and bias [out].
func (r *resolver) linear(name string, out, in int, bias bool) Linear {
	return r.linearBy(r.base, name, out, in, bias)
}

func (r *resolver) linearBy(find func(name string, shape ...int) Tensor, name string, out, in int, bias bool) Linear {
	l := Linear{Weight: find(name+".weight", out, in)}
	if bias {
		l.Bias = find(name+".bias", out)
	} else {
		l.Bias = r.absent(l.Weight, out)
	}
	return l
}

// packed looks up a layer that joins layers of these numbers of outputs, and takes it apart.
func (r *resolver) packed(name string, in int, bias bool, outs ...int) []Linear {
	sum := 0
	for _, n := range outs {
		sum += n
	}
	whole, parts := r.linear(name, sum, in, bias), make([]Linear, len(outs))
	if r.err != nil || whole.Weight.Shape == nil || whole.Bias.Shape == nil {
		return parts
	}
	begin := 0
	for i, n := range outs {
		parts[i] = Linear{Weight: whole.Weight.Rows(begin, begin+n), Bias: whole.Bias.elements(begin, begin+n)}
		begin += n
	}
	return parts
}

// elements returns elements [begin, end) of a vector.
func (t Tensor) elements(begin, end int) Tensor {
	t.Shape = []int{t.Len(), 1}
	t = t.Rows(begin, end)
	t.Shape = []int{end - begin}
	return t
}

// norm looks up scale and shift, both [h].
func (r *resolver) norm(name string, h int) *Norm { return r.normBy(r.base, name, h, true) }

func (r *resolver) normBy(find func(name string, shape ...int) Tensor, name string, h int, bias bool) *Norm {
	n := &Norm{Gamma: find(name+".weight", h), Epsilon: r.c.config.LayerNormEps}
	if bias {
		n.Beta = find(name+".bias", h)
	} else {
		n.Beta = r.absent(n.Gamma, h)
	}
	return n
}

// plain finds a tensor by its name alone.
func (r *resolver) plain(name string, shape ...int) Tensor {
	return r.find(name, []string{name}, shape...)
}

// has reports whether the base model has a tensor of that name.
func (r *resolver) has(name string) bool {
	return slices.ContainsFunc(r.family.prefixes(), func(prefix string) bool { _, ok := r.c.index[prefix+name]; return ok })
}

// legacyNorm maps the names of today's layer norm parameters to those of checkpoints converted from TensorFlow in
// 2018, as in conversion_mapping.py of transformers ("legacy").
var legacyNorm = [][2]string{{"LayerNorm.weight", "LayerNorm.gamma"}, {"LayerNorm.bias", "LayerNorm.beta"}}

// base finds a tensor of the base model, with prefix or without, under its new name or its old one.
func (r *resolver) base(name string, shape ...int) Tensor {
	name = r.family.tensor(name)
	var names []string
	for _, prefix := range r.family.prefixes() {
		names = append(names, prefix+name)
	}
	for _, n := range legacyNorm {
		before, ok := strings.CutSuffix(name, n[0])
		for _, prefix := range r.family.prefixes() {
			if ok {
				names = append(names, prefix+before+n[1])
			}
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
	first, hasEmbeddings := r.missing[0], !slices.Contains(r.missing, r.family.tensor(wordEmbeddings))
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
