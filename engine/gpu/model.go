package gpu

import (
	"errors"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/weights"
)

// model is a BERT cross-encoder as operations on the device.
type model struct {
	embed      *kernels.Embed
	projection *kernels.Gemm // embeddings to H; nil where they have that size
	attention  *kernels.Attention
	layers     []layer // all but the last
	last       lastLayer
	head       *kernels.Head
	products   []*kernels.Product // all of them
}

// layer is one transformer block.
type layer struct {
	projection *kernels.Gemm // x to queries, keys and values, side by side
	output     normed        // attention's output, plus x
	inner      *kernels.Gemm
	outer      normed // plus the output's
}

// lastLayer is the last block: of its results only [CLS] rows are read, so that only keys and values are made of all
// tokens.
type lastLayer struct {
	query, keyValue *kernels.Gemm
	output          normed
	inner           *kernels.Gemm
	outer           normed
}

// normed is a linear layer, residual and layer norm: in one kernel, or where rows are too wide for that, in two.
type normed struct {
	fused *kernels.GemmNorm
	gemm  *kernels.Gemm
	norm  *kernels.Norm
}

func (n *normed) record(r *kernels.Recorder, rows kernels.Rows) error {
	if n.fused != nil {
		return n.fused.Record(r, rows)
	}
	if err := n.gemm.Record(r, rows); err != nil {
		return err
	}
	r.Barrier()
	return n.norm.Record(r, rows.M, rows.Y, rows.Y, metal.Binding{})
}

// builder makes operations of tensors; after an error it does nothing more.
type builder struct {
	library *kernels.Library
	memory  *memory
	hidden  int
	// products are those of the operations that were made.
	products []*kernels.Product
	err      error
}

func newModel(library *kernels.Library, memory *memory, plan *weights.Plan) (*model, error) {
	b := &builder{library: library, memory: memory, hidden: plan.Hidden}
	m := &model{embed: b.embed(plan)}
	if p := plan.Embeddings.Projection; p != nil {
		m.projection = b.gemm(kernels.Linear{Weights: b.matrix(p.Weight), Bias: b.vectors(p.Bias)})
	}
	m.attention = unlessFailed(b, func() (*kernels.Attention, error) {
		return library.NewAttention(kernels.Scores{Heads: plan.Layers[0].Attention.Heads, Size: plan.Layers[0].Attention.Size})
	})
	for i := range plan.Layers {
		if b.err != nil {
			break
		}
		if i < len(plan.Layers)-1 {
			m.layers = append(m.layers, b.layer(&plan.Layers[i]))
		} else {
			m.last = b.lastLayer(&plan.Layers[i])
		}
	}
	m.head = b.head(plan)
	m.products = b.products
	return m, b.err
}

// unlessFailed calls f unless something failed before, and notes its error.
func unlessFailed[T any](b *builder, f func() (T, error)) T {
	var value T
	if b.err == nil {
		value, b.err = f()
	}
	return value
}

func (b *builder) matrix(tensors ...weights.Tensor) kernels.Matrix {
	return unlessFailed(b, func() (kernels.Matrix, error) { return b.memory.matrix(tensors...) })
}

func (b *builder) vectors(tensors ...weights.Tensor) metal.Binding {
	return unlessFailed(b, func() (metal.Binding, error) { return b.memory.vectors(tensors...) })
}

func (b *builder) table(t weights.Tensor) metal.Binding {
	return unlessFailed(b, func() (metal.Binding, error) { return b.memory.table(t) })
}

func (b *builder) gemm(linear kernels.Linear) *kernels.Gemm {
	gemm := unlessFailed(b, func() (*kernels.Gemm, error) { return b.library.NewGemm(linear) })
	if b.err == nil {
		b.products = append(b.products, gemm.Product)
	}
	return gemm
}

func (b *builder) embed(plan *weights.Plan) *kernels.Embed {
	from := &plan.Embeddings
	types := from.Types
	if types == nil {
		zeros := weights.Zeros("no token types", 1, from.Words.Shape[1])
		types = &zeros
	}
	e := kernels.Embeddings{
		Words: b.matrix(from.Words), Positions: b.table(*from.Positions),
		Types: b.table(*types), Norm: b.vectors(from.Norm.Gamma, from.Norm.Beta), Epsilon: from.Norm.Epsilon,
	}
	return unlessFailed(b, func() (*kernels.Embed, error) { return b.library.NewEmbed(e) })
}

// activations are the kernels' names for the config's.
var activations = map[weights.Activation]kernels.Activation{
	weights.GELU: kernels.GELU, weights.GELUNew: kernels.GELUNew, weights.ReLU: kernels.ReLU, weights.Tanh: kernels.Tanh,
}

func (b *builder) activation(a weights.Activation) kernels.Activation {
	activation, ok := activations[a]
	if !ok && b.err == nil {
		b.err = &backend.UnsupportedError{Backend: "gpu", Operation: "the activation " + a.String()}
	}
	return activation
}

func (b *builder) inner(l *weights.Layer) *kernels.Gemm {
	return b.gemm(kernels.Linear{
		Weights: b.matrix(l.Inner.Weight), Bias: b.vectors(l.Inner.Bias), Activation: b.activation(l.Activation),
	})
}

// normed is linear, to which the residual is added, and its norm.
func (b *builder) normed(linear weights.Linear, norm *weights.Norm, gatherResidual bool) normed {
	layer := kernels.Linear{Weights: b.matrix(linear.Weight), Residual: true, GatherResidual: gatherResidual}
	vectors := b.vectors(linear.Bias, norm.Gamma, norm.Beta)
	if b.err != nil {
		return normed{}
	}
	fused, err := b.library.NewGemmNorm(layer, vectors, norm.Epsilon)
	if err == nil {
		b.products = append(b.products, fused.Product)
		return normed{fused: fused}
	}
	if _, tooWide := errors.AsType[*metal.LimitError](err); !tooWide {
		b.err = err
		return normed{}
	}
	layer.Bias = vectors
	behindBias := metal.At(vectors.Buffer, vectors.OffsetBytes+4*b.hidden)
	return normed{gemm: b.gemm(layer), norm: unlessFailed(b, func() (*kernels.Norm, error) {
		return b.library.NewNorm(b.hidden, behindBias, norm.Epsilon, false)
	})}
}

// projection is the joined weights of queries, keys and values, [3H, H].
func (b *builder) projection(l *weights.Layer) kernels.Linear {
	return kernels.Linear{
		Weights: b.matrix(l.Query.Weight, l.Key.Weight, l.Value.Weight),
		Bias:    b.vectors(l.Query.Bias, l.Key.Bias, l.Value.Bias),
	}
}

func (b *builder) layer(l *weights.Layer) layer {
	return layer{
		projection: b.gemm(b.projection(l)), output: b.normed(l.Output, l.AttentionNorm, false),
		inner: b.inner(l), outer: b.normed(l.Outer, l.OuterNorm, false),
	}
}

func (b *builder) lastLayer(l *weights.Layer) lastLayer {
	h := b.hidden
	whole := b.projection(l)
	query, keyValue := whole, whole
	query.Weights.N, query.GatherA = h, true
	keyValue.Weights = whole.Weights.Below(h, b.library.DType())
	keyValue.Bias = metal.At(whole.Bias.Buffer, whole.Bias.OffsetBytes+4*h)
	return lastLayer{
		query: b.gemm(query), keyValue: b.gemm(keyValue), output: b.normed(l.Output, l.AttentionNorm, true),
		inner: b.inner(l), outer: b.normed(l.Outer, l.OuterNorm, false),
	}
}

func (b *builder) head(plan *weights.Plan) *kernels.Head {
	dense, out := plan.Head[0], plan.Head[1].Linear
	c := kernels.Classifier{
		Dense:      kernels.Matrix{N: b.hidden, K: b.hidden, Data: b.table(dense.Linear.Weight)},
		Bias:       b.vectors(dense.Linear.Bias),
		Activation: b.activation(dense.Activation), Labels: plan.Labels,
		Out: b.vectors(out.Weight), OutBias: b.vectors(out.Bias),
	}
	return unlessFailed(b, func() (*kernels.Head, error) { return b.library.NewHead(c) })
}
