// Package reference is the forward pass in plain Go with float64 arithmetic: the oracle that every other
// backend is tested by, and a backend that runs anywhere.
//
// It computes each step as its formula reads, in a fixed order of summation, so that a score depends
// neither on the other sequences of a batch nor on the number of cores. It is only as fast as a demonstration needs.
//
// Letters: T packed tokens, B sequences, L tokens of one sequence, H hidden size, A heads, D = H/A head
// size, F feed-forward size, C labels.
package reference

import (
	"context"
	"fmt"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/internal/parallel"
	"github.com/metalrank/metalrank/weights"
)

// Backend holds one model's weights, widened to float64, except for the embedding tables, of which only the
// rows that a batch names are read.
type Backend struct {
	checkpoint *weights.Checkpoint // until New returns
	err        error               // the first error of reading

	config          weights.Config
	words           weights.Tensor // [vocabulary, E]
	positions       weights.Tensor // [positions, E]
	types           weights.Tensor // [types, E]
	embeddingNorm   norm
	projection      *linear // [H, E]; nil where E is H
	layers          []layer
	pooler          linear // [H, H]
	classifier      linear // [C, H]
	activation      func(float64) float64
	poolerFunction  func(float64) float64
	weightSizeBytes int64
	observer        Observer // nil: none
}

// Observer is shown the rows [n, width] that enter linear layers, named as their weights are, less ".weight". It must not
// keep or change them.
type Observer func(layers []string, rows []float64, width int)

// Observe makes all later passes call f, one call at a time if passes run one at a time. The classifier is left out.
func (b *Backend) Observe(f Observer) { b.observer = f }

// observe shows the observer the rows that are about to enter layers.
func (b *Backend) observe(rows []float64, layers ...*linear) {
	if b.observer == nil {
		return
	}
	names := make([]string, len(layers))
	for i, l := range layers {
		names[i] = l.name
	}
	b.observer(names, rows, layers[0].in)
}

// layer is one transformer block; every linear is stored [out, in].
type layer struct {
	query, key, value, attentionOutput linear // [H, H]
	attentionNorm                      norm
	intermediate                       linear // [F, H]
	output                             linear // [H, F]
	outputNorm                         norm
}

// New reads and widens the weights of an open checkpoint, which the backend does not need afterwards.
func New(checkpoint *weights.Checkpoint) (*Backend, error) {
	model, err := checkpoint.BERT()
	if err != nil {
		return nil, err
	}
	config := checkpoint.Config()
	b := &Backend{checkpoint: checkpoint, config: config}
	b.words, b.positions, b.types = b.read(model.WordEmbeddings), b.read(model.PositionEmbeddings), b.read(model.TypeEmbeddings)
	if b.activation, err = activationFunc(config.Activation); err != nil {
		return nil, err
	}
	if b.poolerFunction, err = activationFunc(config.PoolerActivation); err != nil {
		return nil, err
	}
	b.embeddingNorm = b.newNorm(model.EmbeddingNorm)
	if model.Projection != nil {
		projection := b.newLinear(*model.Projection)
		b.projection = &projection
	}
	for _, l := range model.Layers {
		b.layers = append(b.layers, layer{
			query: b.newLinear(l.Query), key: b.newLinear(l.Key), value: b.newLinear(l.Value),
			attentionOutput: b.newLinear(l.AttentionOutput), attentionNorm: b.newNorm(l.AttentionNorm),
			intermediate: b.newLinear(l.Intermediate), output: b.newLinear(l.Output), outputNorm: b.newNorm(l.OutputNorm),
		})
	}
	b.pooler, b.classifier = b.newLinear(model.Pooler), b.newLinear(model.Classifier)
	for _, table := range []weights.Tensor{b.words, b.positions, b.types} {
		b.weightSizeBytes += int64(table.SizeBytes())
	}
	if b.err != nil {
		return nil, b.err
	}
	b.checkpoint = nil
	return b, nil
}

// Info implements backend.Backend.
func (b *Backend) Info() backend.Info {
	return backend.Info{Name: "reference", Device: "CPU, plain Go", DType: "float64", WeightBytes: b.weightSizeBytes, Overlap: 1}
}

// Close implements backend.Backend; the weights are left to the garbage collector.
func (b *Backend) Close() error { return nil }

// Forward implements backend.Backend. out is [B, C].
func (b *Backend) Forward(ctx context.Context, batch *backend.Batch, out []float32) error {
	limits := backend.Limits{Vocab: b.config.VocabSize, Types: b.config.TypeVocab, Positions: b.config.MaxPositions}
	if err := batch.Check(limits); err != nil {
		return err
	}
	if want := batch.Sequences() * len(b.config.Labels); len(out) != want {
		return fmt.Errorf("reference: out has %d values, want %d", len(out), want)
	}
	if batch.Tokens() == 0 {
		return nil
	}
	x, err := b.embed(ctx, batch) // [T, H]
	if err != nil {
		return err
	}
	for i := range b.layers {
		if err := b.layer(ctx, &b.layers[i], batch, x); err != nil {
			return err
		}
	}
	return b.head(ctx, batch, x, out)
}

// embed returns x = norm(word[id] + position[p] + type[t]), projected if need be; x is [T, H].
func (b *Backend) embed(ctx context.Context, batch *backend.Batch) ([]float64, error) {
	width := b.config.EmbeddingSize
	x := make([]float64, batch.Tokens()*width) // [T, E]
	err := parallel.For(ctx, batch.Tokens(), 0, func(t int) error {
		row, part := x[t*width:(t+1)*width], make([]float32, width)
		for _, lookup := range []struct {
			table weights.Tensor
			index int32
		}{{b.words, batch.IDs[t]}, {b.positions, batch.Positions[t]}, {b.types, batch.Types[t]}} {
			lookup.table.Float32s(part, int(lookup.index)*width)
			for i, v := range part {
				row[i] += float64(v)
			}
		}
		b.embeddingNorm.apply(row)
		return nil
	})
	if err != nil || b.projection == nil {
		return x, err
	}
	wide := make([]float64, batch.Tokens()*b.config.HiddenSize) // [T, H]
	b.observe(x, b.projection)
	return wide, b.projection.apply(ctx, x, wide)
}

// layer replaces x [T, H] by the block's output:
//
//	a = norm(x + attention(x))
//	x = norm(a + output(activation(intermediate(a))))
func (b *Backend) layer(ctx context.Context, l *layer, batch *backend.Batch, x []float64) error {
	tokens, h := batch.Tokens(), b.config.HiddenSize
	q, k, v := make([]float64, tokens*h), make([]float64, tokens*h), make([]float64, tokens*h) // [T, H] each
	b.observe(x, &l.query, &l.key, &l.value)
	for _, projection := range []struct {
		linear *linear
		out    []float64
	}{{&l.query, q}, {&l.key, k}, {&l.value, v}} {
		if err := projection.linear.apply(ctx, x, projection.out); err != nil {
			return err
		}
	}
	context := make([]float64, tokens*h) // [T, H], heads side by side
	if err := attention(ctx, batch, b.config.Heads, q, k, v, context); err != nil {
		return err
	}
	y := q // [T, H]; the queries have been used
	b.observe(context, &l.attentionOutput)
	if err := l.attentionOutput.apply(ctx, context, y); err != nil {
		return err
	}
	addAndNorm(x, y, l.attentionNorm)

	inner := make([]float64, tokens*b.config.FeedForward) // [T, F]
	b.observe(x, &l.intermediate)
	if err := l.intermediate.apply(ctx, x, inner); err != nil {
		return err
	}
	if err := mapRows(ctx, inner, b.config.FeedForward, b.activation); err != nil {
		return err
	}
	b.observe(inner, &l.output)
	if err := l.output.apply(ctx, inner, y); err != nil {
		return err
	}
	addAndNorm(x, y, l.outputNorm)
	return nil
}

// head writes classifier(f(pooler(x[CLS]))) of every sequence, f being tanh in a BERT; x is [T, H], out is [B, C].
func (b *Backend) head(ctx context.Context, batch *backend.Batch, x []float64, out []float32) error {
	h := b.config.HiddenSize
	first := make([]float64, 0, batch.Sequences()*h) // [B, H]
	for _, start := range batch.Starts[:batch.Sequences()] {
		first = append(first, x[int(start)*h:(int(start)+1)*h]...)
	}
	pooled := make([]float64, len(first)) // [B, H]
	b.observe(first, &b.pooler)
	if err := b.pooler.apply(ctx, first, pooled); err != nil {
		return err
	}
	if err := mapRows(ctx, pooled, h, b.poolerFunction); err != nil {
		return err
	}
	logits := make([]float64, len(out)) // [B, C]
	if err := b.classifier.apply(ctx, pooled, logits); err != nil {
		return err
	}
	for i, v := range logits {
		out[i] = float32(v)
	}
	return nil
}
