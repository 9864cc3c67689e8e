package gpu

import (
	"errors"
	"slices"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/weights"
)

// model is a plan as operations on the device.
type model struct {
	embed      *kernels.Embed
	projection *kernels.Gemm // embeddings to H; nil where they have that size
	layers     []layer       // all but the last, if only one row of each sequence is read of its results
	last       *lastLayer    // nil: all rows are read
	pool       *kernels.Pool // nil: the head takes a row of each sequence
	head       head
	products   []*kernels.Product // all of them
}

// layer is one transformer block.
type layer struct {
	attention  attention
	projection *kernels.Gemm // x to queries, keys and values, side by side
	heads      *kernels.HeadNorm
	output     normed // attention's output, plus the residual
	inner      *kernels.Gemm
	outer      normed // plus the residual
}

// lastLayer is the last block where of its results only one row of each sequence is read, of the first token or the last, so that
// only keys and values are made of all tokens.
type lastLayer struct {
	attention       attention
	query, keyValue *kernels.Gemm
	queries, keys   *kernels.HeadNorm // nil: there are no norms of heads
	output          normed
	inner           *kernels.Gemm
	outer           normed
}

// attention is a layer's attention.
type attention struct {
	*kernels.Attention
	list          int // the number of its list of items in a slot
	queries, keys int // A·D and G·D
}

// normed is a linear layer with residual, and layer norm: in one kernel, or where rows are too wide for that, in two. A kept
// sum gets its norm from those who read it.
type normed struct {
	fused *kernels.GemmNorm
	gemm  *kernels.Gemm
	norm  *kernels.Norm // nil: none, or later
}

func (n *normed) record(r *kernels.Recorder, rows kernels.Rows) error {
	if n.fused != nil {
		return n.fused.Record(r, rows)
	}
	if err := n.gemm.Record(r, rows); err != nil || n.norm == nil {
		return err
	}
	r.Barrier()
	return n.norm.Record(r, rows.M, rows.Y, rows.Y, metal.Binding{})
}

// builder makes operations of tensors; after an error it does nothing more.
type builder struct {
	library *kernels.Library
	memory  *memory
	plan    *weights.Plan
	hidden  int
	turns   []turns
	// products are those of the operations that were made.
	products []*kernels.Product
	fewRows  bool // the operations that are made now have a row for each sequence
	err      error
}

// turns is a table of rotary positions that layers with the same frequencies share.
type turns struct {
	frequencies []float32
	table       metal.Binding // [P, D/2]: cosine and sine, f32
}

func newModel(library *kernels.Library, memory *memory, plan *weights.Plan) (*model, error) {
	b := &builder{library: library, memory: memory, plan: plan, hidden: plan.Hidden}
	m := &model{embed: b.embed()}
	if p := plan.Embeddings.Projection; p != nil {
		m.projection = b.gemm(b.sum(*p, nil))
	}
	lists := windows(plan)
	for i := range plan.Layers {
		if b.err != nil {
			break
		}
		list := slices.Index(lists, plan.Layers[i].Attention.Window)
		if i < len(plan.Layers)-1 || plan.Pool == weights.PoolMean {
			m.layers = append(m.layers, b.layer(i, list))
		} else {
			m.last = b.lastLayer(i, len(lists))
		}
	}
	if plan.Pool == weights.PoolMean {
		m.pool = b.pool()
	}
	m.head = b.head()
	m.products = b.products
	return m, b.err
}

// windows lists the windows of a plan's layers, each once.
func windows(plan *weights.Plan) (all []int) {
	for i := range plan.Layers {
		if w := plan.Layers[i].Attention.Window; !slices.Contains(all, w) {
			all = append(all, w)
		}
	}
	return all
}

// unlessFailed calls f unless something failed before, and notes its error.
func unlessFailed[T any](b *builder, f func() (T, error)) T {
	var value T
	if b.err == nil {
		value, b.err = f()
	}
	return value
}

func (b *builder) matrix(rows order, tensors ...weights.Tensor) kernels.Matrix {
	return unlessFailed(b, func() (kernels.Matrix, error) { return b.memory.matrix(rows, tensors...) })
}

func (b *builder) vectors(tensors ...weights.Tensor) metal.Binding {
	return unlessFailed(b, func() (metal.Binding, error) { return b.memory.vectors(nil, tensors...) })
}

// table puts tables, of which any may be nil, into the device's memory, one under the other; no binding if there is none.
func (b *builder) table(tables ...*weights.Tensor) metal.Binding {
	present := weights.Present(tables...)
	if len(present) == 0 {
		return metal.Binding{}
	}
	return unlessFailed(b, func() (metal.Binding, error) { return b.memory.table(present...) })
}

func (b *builder) values(values []float32) metal.Binding {
	return unlessFailed(b, func() (metal.Binding, error) { return b.memory.values(values) })
}

func (b *builder) floats(t weights.Tensor) []float32 {
	return unlessFailed(b, func() ([]float32, error) { return b.memory.floats(t) })
}

func (b *builder) gemm(linear kernels.Linear) *kernels.Gemm {
	linear.FewRows = b.fewRows
	gemm := unlessFailed(b, func() (*kernels.Gemm, error) { return b.library.NewGemm(linear) })
	if b.err == nil {
		b.products = append(b.products, gemm.Product)
	}
	return gemm
}

// unsupported notes an operation that there is no kernel for.
func (b *builder) unsupported(operation string) {
	if b.err == nil {
		b.err = &backend.UnsupportedError{Backend: "gpu", Operation: operation}
	}
}

func (b *builder) embed() *kernels.Embed {
	from := &b.plan.Embeddings
	e := kernels.Embeddings{
		Words: b.matrix(nil, from.Words), Positions: b.table(from.Positions, from.Padding), Types: b.table(from.Types),
		Kept: b.plan.KeepSum && from.Projection == nil,
	}
	if first := b.plan.FirstNorm; first != nil {
		e.Norm, e.Waiting = b.values(shrunk(b.floats(first.Gamma))), true
	} else if from.Norm != nil {
		e.Norm, e.Epsilon = b.vectors(from.Norm.Gamma, from.Norm.Beta), from.Norm.Epsilon
	}
	return unlessFailed(b, func() (*kernels.Embed, error) { return b.library.NewEmbed(e) })
}

// activations are the kernels' names for the config's.
var activations = map[weights.Activation]kernels.Activation{
	0: kernels.None, weights.GELU: kernels.GELU, weights.GELUNew: kernels.GELUNew, weights.ReLU: kernels.ReLU,
	weights.Tanh: kernels.Tanh, weights.SiLU: kernels.SiLU,
}

func (b *builder) activation(a weights.Activation) kernels.Activation {
	activation, ok := activations[a]
	if !ok {
		b.unsupported("the activation " + a.String())
	}
	return activation
}

// waiting is the norm that the rows of layer i wait for: that of the sum before it. Nil: none.
func (b *builder) waiting(i int) *weights.Norm {
	switch {
	case !b.plan.KeepSum:
		return nil
	case i == 0:
		return b.plan.FirstNorm
	}
	return b.plan.Layers[i-1].OuterNorm
}

// bias is the Bias of a layer of which the rows are those of parts in order, and whose input waits for a norm unless that is nil.
func (b *builder) bias(rows order, norm *weights.Norm, parts ...weights.Linear) metal.Binding {
	if norm == nil || norm.RMS && !slices.ContainsFunc(b.floats(norm.Beta), func(v float32) bool { return v != 0 }) {
		biases := make([]weights.Tensor, len(parts))
		for i := range parts {
			biases[i] = parts[i].Bias
		}
		return unlessFailed(b, func() (metal.Binding, error) { return b.memory.vectors(rows, biases...) })
	}
	folded := unlessFailed(b, func() ([]float32, error) { return b.memory.fold(norm, parts) })
	return b.values(inOrder(folded, rows))
}

// linear is one layer of parts.
func (b *builder) linear(rows order, norm *weights.Norm, parts ...weights.Linear) kernels.Linear {
	tensors := make([]weights.Tensor, len(parts))
	for i := range parts {
		tensors[i] = parts[i].Weight
	}
	l := kernels.Linear{Weights: b.matrix(rows, tensors...), Bias: b.bias(rows, norm, parts...)}
	if norm != nil {
		l.Normed, l.Epsilon, l.RMS = true, norm.Epsilon, norm.RMS
	}
	return l
}

// inner is the first product of a feed-forward block; with its gate, where there is one.
func (b *builder) inner(l *weights.Layer) *kernels.Gemm {
	var waiting *weights.Norm
	if b.plan.KeepSum {
		waiting = l.AttentionNorm
	}
	var linear kernels.Linear
	if l.Gate != nil {
		linear = b.linear(alternate(l.Inner.Weight.Shape[0]), waiting, *l.Gate, l.Inner)
		linear.Gated = true
	} else {
		linear = b.linear(nil, waiting, l.Inner)
	}
	linear.Activation = b.activation(l.Activation)
	return b.gemm(linear)
}

// sum is a layer that makes a sum; it is kept for the norm that follows, nil for none, if the plan keeps sums.
func (b *builder) sum(linear weights.Linear, norm *weights.Norm) kernels.Linear {
	l := kernels.Linear{Weights: b.matrix(nil, linear.Weight), Kept: b.plan.KeepSum}
	if !b.plan.KeepSum {
		l.Bias = b.vectors(linear.Bias)
		return l
	}
	gamma := slices.Repeat([]float32{kernels.KeptShrink}, linear.Weight.Shape[0])
	if norm != nil {
		gamma = b.floats(norm.Gamma)
	}
	l.Bias = b.values(slices.Concat(b.floats(linear.Bias), shrunk(gamma)))
	return l
}

// shrunk are the gammas of the operand of a kept sum.
func shrunk(gamma []float32) []float32 {
	values := make([]float32, len(gamma))
	for i, g := range gamma {
		values[i] = g / kernels.KeptShrink
	}
	return values
}

// normed is linear, to which the residual is added, and its norm, which may be nil.
func (b *builder) normed(linear weights.Linear, norm *weights.Norm, gatherResidual bool) normed {
	if b.plan.KeepSum || norm == nil {
		l := b.sum(linear, norm)
		l.Residual, l.GatherResidual = true, gatherResidual
		return normed{gemm: b.gemm(l)}
	}
	layer := kernels.Linear{Weights: b.matrix(nil, linear.Weight), Residual: true, GatherResidual: gatherResidual}
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

// pool is the mean of rows, of their norms where sums are kept.
func (b *builder) pool() *kernels.Pool {
	var vectors metal.Binding
	epsilon, rms := 0.0, false
	if norm := b.waiting(len(b.plan.Layers)); norm != nil {
		vectors, epsilon, rms = b.vectors(norm.Gamma, norm.Beta), norm.Epsilon, norm.RMS
	}
	return unlessFailed(b, func() (*kernels.Pool, error) { return b.library.NewPool(b.hidden, vectors, epsilon, rms) })
}
