package gpu

import (
	"errors"
	"fmt"

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
	config  weights.Config
	err     error
}

func newModel(library *kernels.Library, memory *memory, tensors *weights.BERT, config weights.Config) (*model, error) {
	b := &builder{library: library, memory: memory, config: config}
	m := &model{embed: b.embed(tensors)}
	if p := tensors.Projection; p != nil {
		m.projection = b.gemm(kernels.Linear{Weights: b.matrix(p.Weight), Bias: b.vectors(p.Bias)})
	}
	m.attention = unlessFailed(b, func() (*kernels.Attention, error) {
		return library.NewAttention(config.Heads, config.HiddenSize/config.Heads)
	})
	for i := range tensors.Layers {
		if b.err != nil {
			break
		}
		if i < len(tensors.Layers)-1 {
			m.layers = append(m.layers, b.layer(&tensors.Layers[i]))
		} else {
			m.last = b.lastLayer(&tensors.Layers[i])
		}
	}
	m.head = b.head(tensors)
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
	return unlessFailed(b, func() (*kernels.Gemm, error) { return b.library.NewGemm(linear) })
}

func (b *builder) embed(tensors *weights.BERT) *kernels.Embed {
	e := kernels.Embeddings{
		Words: b.matrix(tensors.WordEmbeddings), Positions: b.table(tensors.PositionEmbeddings),
		Types: b.table(tensors.TypeEmbeddings), Norm: b.vectors(tensors.EmbeddingNorm.Gamma, tensors.EmbeddingNorm.Beta),
		Epsilon: b.config.LayerNormEps,
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
		b.err = fmt.Errorf("gpu: activation %s is not supported", a)
	}
	return activation
}

func (b *builder) inner(l *weights.BERTLayer) *kernels.Gemm {
	return b.gemm(kernels.Linear{
		Weights: b.matrix(l.Intermediate.Weight), Bias: b.vectors(l.Intermediate.Bias),
		Activation: b.activation(b.config.Activation),
	})
}

// normed is linear, to which the residual is added, and its norm.
func (b *builder) normed(linear weights.Linear, norm weights.LayerNorm, gatherResidual bool) normed {
	layer := kernels.Linear{Weights: b.matrix(linear.Weight), Residual: true, GatherResidual: gatherResidual}
	vectors := b.vectors(linear.Bias, norm.Gamma, norm.Beta)
	if b.err != nil {
		return normed{}
	}
	fused, err := b.library.NewGemmNorm(layer, vectors, b.config.LayerNormEps)
	if err == nil {
		return normed{fused: fused}
	}
	if _, tooWide := errors.AsType[*metal.LimitError](err); !tooWide {
		b.err = err
		return normed{}
	}
	layer.Bias = vectors
	behindBias := metal.At(vectors.Buffer, vectors.OffsetBytes+4*b.config.HiddenSize)
	return normed{gemm: b.gemm(layer), norm: unlessFailed(b, func() (*kernels.Norm, error) {
		return b.library.NewNorm(b.config.HiddenSize, behindBias, b.config.LayerNormEps, false)
	})}
}

// projection is the joined weights of queries, keys and values, [3H, H].
func (b *builder) projection(l *weights.BERTLayer) kernels.Linear {
	return kernels.Linear{
		Weights: b.matrix(l.Query.Weight, l.Key.Weight, l.Value.Weight),
		Bias:    b.vectors(l.Query.Bias, l.Key.Bias, l.Value.Bias),
	}
}

func (b *builder) layer(l *weights.BERTLayer) layer {
	return layer{
		projection: b.gemm(b.projection(l)), output: b.normed(l.AttentionOutput, l.AttentionNorm, false),
		inner: b.inner(l), outer: b.normed(l.Output, l.OutputNorm, false),
	}
}

func (b *builder) lastLayer(l *weights.BERTLayer) lastLayer {
	h := b.config.HiddenSize
	whole := b.projection(l)
	query, keyValue := whole, whole
	query.Weights.N, query.GatherA = h, true
	keyValue.Weights = whole.Weights.Below(h, b.library.DType())
	keyValue.Bias = metal.At(whole.Bias.Buffer, whole.Bias.OffsetBytes+4*h)
	return lastLayer{
		query: b.gemm(query), keyValue: b.gemm(keyValue), output: b.normed(l.AttentionOutput, l.AttentionNorm, true),
		inner: b.inner(l), outer: b.normed(l.Output, l.OutputNorm, false),
	}
}

func (b *builder) head(tensors *weights.BERT) *kernels.Head {
	c := kernels.Classifier{
		Dense:      kernels.Matrix{N: b.config.HiddenSize, K: b.config.HiddenSize, Data: b.table(tensors.Pooler.Weight)},
		Bias:       b.vectors(tensors.Pooler.Bias),
		Activation: b.activation(b.config.PoolerActivation), Labels: len(b.config.Labels),
		Out: b.vectors(tensors.Classifier.Weight), OutBias: b.vectors(tensors.Classifier.Bias),
	}
	return unlessFailed(b, func() (*kernels.Head, error) { return b.library.NewHead(c) })
}
