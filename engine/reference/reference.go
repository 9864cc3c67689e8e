// Package reference is the forward pass in plain Go with float64 arithmetic: the oracle that every other
// backend is tested by, and a backend that runs anywhere.
//
// It computes each step as its formula reads, in a fixed order of summation, so that a score depends
// neither on the other sequences of a batch nor on the number of cores. It is only as fast as a demonstration needs.
//
// Letters: T packed tokens, B sequences, L tokens of one sequence, E width of embeddings, H hidden size, A heads, G heads of
// keys and values, D head size, F feed-forward size, C labels.
package reference

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/internal/parallel"
	"github.com/metalrank/metalrank/weights"
)

// Backend holds one model's weights, widened to float64, except for the embedding tables, of which only the
// rows that a batch names are read.
type Backend struct {
	checkpoint *weights.Checkpoint // until New returns
	err        error               // the first error of reading

	plan            *weights.Plan
	words           weights.Tensor  // [vocabulary, E]
	positions       *weights.Tensor // [positions, E]; nil: none
	padding         *weights.Tensor // [1, E], the position behind them; nil: none
	types           *weights.Tensor // [types, E]; nil: none
	embeddingNorm   *norm           // nil: none, as of all norms
	projection      *linear         // [H, E]; nil where E is H
	firstNorm       *norm
	layers          []layer
	head            []step
	weightSizeBytes int64
	observer        Observer // nil: none
}

// Observer is shown the rows [n, width] that enter linear layers, named as their weights are, less ".weight". It must not
// keep or change them.
type Observer func(layers []string, rows []float64, width int)

// Observe makes all later passes call f, one call at a time if passes run one at a time. The classifier is left out.
func (b *Backend) Observe(f Observer) { b.observer = f }

// observe shows the observer the rows that are about to enter layers; nil ones are none. Parts of one tensor count once.
func (b *Backend) observe(rows []float64, layers ...*linear) {
	if b.observer == nil {
		return
	}
	var names []string
	for _, l := range layers {
		if l != nil && !slices.Contains(names, l.name) {
			names = append(names, l.name)
		}
	}
	b.observer(names, rows, layers[0].in)
}

// layer is one transformer block; every linear is stored [out, in].
type layer struct {
	attention                 weights.Attention
	positionKeys              []float64 // [2 Span, H] of disentangled attention; nil: none
	positionQueries           []float64
	query, key, value, output linear // [AD, H], [GD, H] twice, [H, AD]
	queryNorm, keyNorm        *norm  // [D], of each head
	attentionNorm             *norm
	gate                      *linear // [F, H]; nil: not gated
	inner                     linear  // [F, H]
	activation                func(float64) float64
	outer                     linear // [H, F]
	outerNorm                 *norm
}

// step is a step of the head. linear, activation and norm may be nil.
type step struct {
	linear     *linear
	activation func(float64) float64
	norm       *norm
}

// New reads and widens the weights of an open checkpoint, which the backend does not need afterwards.
func New(checkpoint *weights.Checkpoint) (*Backend, error) {
	plan, err := checkpoint.Plan()
	if err != nil {
		return nil, err
	}
	b := &Backend{checkpoint: checkpoint, plan: plan}
	e := &plan.Embeddings
	b.words, b.positions, b.padding, b.types = b.read(e.Words), b.table(e.Positions), b.table(e.Padding), b.table(e.Types)
	b.embeddingNorm, b.projection, b.firstNorm = b.newNorm(e.Norm), b.newLinear(e.Projection), b.newNorm(plan.FirstNorm)
	for i := range plan.Layers {
		l := &plan.Layers[i]
		b.layers = append(b.layers, layer{
			attention: l.Attention,
			query:     *b.newLinear(&l.Query), key: *b.newLinear(&l.Key), value: *b.newLinear(&l.Value),
			queryNorm: b.newNorm(l.Attention.QueryNorm), keyNorm: b.newNorm(l.Attention.KeyNorm),
			output: *b.newLinear(&l.Output), attentionNorm: b.newNorm(l.AttentionNorm),
			gate: b.newLinear(l.Gate), inner: *b.newLinear(&l.Inner), activation: b.function(l.Activation),
			outer: *b.newLinear(&l.Outer), outerNorm: b.newNorm(l.OuterNorm),
		})
		if r := l.Attention.Relative; r != nil {
			made := &b.layers[i]
			made.positionKeys, made.positionQueries = b.positionRows(r, r.Key), b.positionRows(r, r.Query)
		}
	}
	for _, s := range plan.Head {
		b.head = append(b.head, step{b.newLinear(s.Linear), b.function(s.Activation), b.newNorm(s.Norm)})
	}
	b.weightSizeBytes += int64(b.words.SizeBytes())
	if b.err != nil {
		return nil, b.err
	}
	b.checkpoint = nil
	return b, nil
}

// positionRows returns the rows of a table of relative positions, normed and taken through a layer, which may be nil.
func (b *Backend) positionRows(r *weights.Relative, l *weights.Linear) []float64 {
	if l == nil {
		return nil
	}
	rows, layer := b.widen(r.Table), b.newLinear(l)
	b.newNorm(r.Norm).applyRows(rows)
	y := make([]float64, len(rows))
	b.err = cmp.Or(b.err, layer.apply(context.Background(), rows, y))
	return y
}

// table reads a table of embeddings, which may be nil.
func (b *Backend) table(t *weights.Tensor) *weights.Tensor {
	if t == nil {
		return nil
	}
	read := b.read(*t)
	b.weightSizeBytes += int64(read.SizeBytes())
	return &read
}

// function returns the function of an activation; nil for none.
func (b *Backend) function(a weights.Activation) func(float64) float64 {
	if a == 0 {
		return nil
	}
	f, err := activationFunc(a)
	b.err = cmp.Or(b.err, err)
	return f
}

// Info implements backend.Backend.
func (b *Backend) Info() backend.Info {
	return backend.Info{Name: "reference", Device: "CPU, plain Go", DType: "float64", WeightBytes: b.weightSizeBytes, Overlap: 1, Prefixes: b.plan.Prefixes()}
}

// Close implements backend.Backend; the weights are left to the garbage collector.
func (b *Backend) Close() error { return nil }

// Forward implements backend.Backend. out is [B, C].
func (b *Backend) Forward(ctx context.Context, batch *backend.Batch, out []float32) error {
	limits := backend.Limits{Vocab: b.plan.Vocab, Types: b.plan.Types, Positions: b.plan.PositionRows()}
	if err := batch.Check(limits); err != nil {
		return err
	}
	if want := batch.Sequences() * b.plan.Labels; len(out) != want {
		return fmt.Errorf("reference: out has %d values, want %d", len(out), want)
	}
	if batch.Prefixes != nil && !b.plan.Prefixes() {
		return errors.New("reference: a batch with prefixes, which only causal models that pool the last token take")
	}
	if batch.Tokens() == 0 {
		return nil
	}
	var s stream
	var err error
	if s.x, err = b.embed(ctx, batch); err != nil {
		return err
	}
	s.n = s.x
	if b.plan.KeepSum {
		s.n = slices.Clone(s.x)
	}
	b.firstNorm.applyRows(s.n)
	for i := range b.layers {
		if err := b.layer(ctx, &b.layers[i], batch, &s); err != nil {
			return err
		}
	}
	return b.runHead(ctx, batch, s.n, out)
}

// stream is the residual x [T, H] and its norm n [T, H], which are one slice unless the model keeps the sum.
type stream struct {
	x, n []float64
}

// add replaces x by x + y, and n by the norm of that.
func (s *stream) add(y []float64, n *norm) {
	for i, v := range y {
		s.x[i] += v
	}
	copy(s.n, s.x) // onto itself where they are one
	n.applyRows(s.n)
}

// embed returns norm(word[id] + position[p] + type[t]), projected if need be, [T, H].
func (b *Backend) embed(ctx context.Context, batch *backend.Batch) ([]float64, error) {
	width := b.words.Shape[1]
	x := make([]float64, batch.Tokens()*width) // [T, E]
	err := parallel.For(ctx, batch.Tokens(), 0, func(t int) error {
		row, part := x[t*width:(t+1)*width], make([]float32, width)
		positions, position := b.positions, batch.Positions[t]
		if int(position) == b.plan.Positions {
			positions, position = b.padding, 0
		}
		for _, lookup := range []struct {
			table *weights.Tensor
			index int32
		}{{&b.words, batch.IDs[t]}, {positions, position}, {b.types, batch.Types[t]}} {
			if lookup.table == nil {
				continue
			}
			lookup.table.Float32s(part, int(lookup.index)*width)
			for i, v := range part {
				row[i] += float64(v)
			}
		}
		b.embeddingNorm.applyRows(row)
		return nil
	})
	if err != nil || b.projection == nil {
		return x, err
	}
	wide := make([]float64, batch.Tokens()*b.plan.Hidden) // [T, H]
	b.observe(x, b.projection)
	return wide, b.projection.apply(ctx, x, wide)
}

// layer takes the stream through one layer, as weights.Plan has it.
func (b *Backend) layer(ctx context.Context, l *layer, batch *backend.Batch, s *stream) error {
	tokens := batch.Tokens()
	q, k, v := make([]float64, tokens*l.query.out), make([]float64, tokens*l.key.out), make([]float64, tokens*l.value.out)
	b.observe(s.n, &l.query, &l.key, &l.value)
	for _, projection := range []struct {
		linear *linear
		out    []float64
	}{{&l.query, q}, {&l.key, k}, {&l.value, v}} {
		if err := projection.linear.apply(ctx, s.n, projection.out); err != nil {
			return err
		}
	}
	l.queryNorm.applyRows(q) // a head is a row
	l.keyNorm.applyRows(k)
	for _, rows := range [][]float64{q, k} {
		if err := rotate(ctx, batch, &l.attention, rows); err != nil {
			return err
		}
	}
	context := make([]float64, len(q)) // [T, AD], heads side by side
	if err := attention(ctx, batch, l, q, k, v, context); err != nil {
		return err
	}
	y := make([]float64, len(s.x)) // [T, H]
	b.observe(context, &l.output)
	if err := l.output.apply(ctx, context, y); err != nil {
		return err
	}
	s.add(y, l.attentionNorm)

	inner, err := b.feedForward(ctx, l, s.n)
	if err != nil {
		return err
	}
	b.observe(inner, &l.outer)
	if err := l.outer.apply(ctx, inner, y); err != nil {
		return err
	}
	s.add(y, l.outerNorm)
	return nil
}

// feedForward returns activation(inner(n)), or activation(gate(n)) * inner(n), [T, F].
func (b *Backend) feedForward(ctx context.Context, l *layer, n []float64) ([]float64, error) {
	width := l.inner.out
	inner := make([]float64, len(n)/l.inner.in*width)
	b.observe(n, &l.inner, l.gate)
	if err := l.inner.apply(ctx, n, inner); err != nil || l.gate == nil {
		return inner, cmp.Or(err, mapRows(ctx, inner, width, l.activation))
	}
	gate := make([]float64, len(inner))
	if err := l.gate.apply(ctx, n, gate); err != nil {
		return nil, err
	}
	if err := mapRows(ctx, gate, width, l.activation); err != nil {
		return nil, err
	}
	for i, g := range gate {
		inner[i] *= g
	}
	return inner, nil
}

// runHead writes the logits of every sequence; n is [T, H], out is [B, C].
func (b *Backend) runHead(ctx context.Context, batch *backend.Batch, n []float64, out []float32) error {
	rows, width := b.pool(batch, n), b.plan.Hidden // [B, width]
	for i := range b.head {
		s := &b.head[i]
		if s.linear != nil {
			if i < len(b.head)-1 {
				b.observe(rows, s.linear)
			}
			width = s.linear.out
			y := make([]float64, batch.Sequences()*width)
			if err := s.linear.apply(ctx, rows, y); err != nil {
				return err
			}
			rows = y
		}
		if s.activation != nil {
			if err := mapRows(ctx, rows, width, s.activation); err != nil {
				return err
			}
		}
		s.norm.applyRows(rows)
	}
	for i, v := range rows {
		out[i] = float32(v)
	}
	return nil
}

// pool returns one row for each sequence, [B, H].
func (b *Backend) pool(batch *backend.Batch, n []float64) []float64 {
	h := b.plan.Hidden
	rows := make([]float64, batch.Sequences()*h)
	for i := range batch.Sequences() {
		row, begin, end := rows[i*h:(i+1)*h], int(batch.Starts[i]), int(batch.Starts[i+1])
		switch b.plan.Pool {
		case weights.PoolFirst:
			end = begin + 1
		case weights.PoolLast:
			begin = end - 1
		}
		for t := begin; t < end; t++ {
			addScaled(row, n[t*h:(t+1)*h], 1)
		}
		for j := range row {
			row[j] /= float64(end - begin)
		}
	}
	return rows
}
