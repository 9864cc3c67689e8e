package gpu

import (
	"math"
	"slices"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/weights"
)

func (b *builder) layer(i, list int) layer {
	l := &b.plan.Layers[i]
	a := &l.Attention
	// Joined weights of queries, keys and values, [AD + 2 GD, H].
	projection := b.linear(pairs(a, a.Heads+a.KeyHeads, a.KeyHeads), b.waiting(i), l.Query, l.Key, l.Value)
	b.turn(&projection, a, (a.Heads+a.KeyHeads)*a.Size)
	return layer{
		attention: b.attention(a, list), projection: b.gemm(projection), heads: b.heads(a, a.Heads, a.KeyHeads, false),
		output: b.normed(l.Output, l.AttentionNorm, false), inner: b.inner(l), outer: b.normed(l.Outer, l.OuterNorm, false),
	}
}

// lastLayer is the last of all layers. Queries are of last tokens, or of first ones, which positions of 0 don't turn.
func (b *builder) lastLayer(i, list int) *lastLayer {
	l, norm := &b.plan.Layers[i], b.waiting(i)
	a := &l.Attention
	whole := b.matrix(pairs(a, a.Heads+a.KeyHeads, a.KeyHeads), l.Query.Weight, l.Key.Weight, l.Value.Weight)
	query := kernels.Linear{Weights: whole, GatherA: true, Bias: b.bias(pairs(a, a.Heads, 0), norm, l.Query)}
	query.Weights.N = a.Heads * a.Size
	keyValue := kernels.Linear{
		Weights: whole.Below(query.Weights.N, b.library.DType()), Bias: b.bias(pairs(a, a.KeyHeads, a.KeyHeads), norm, l.Key, l.Value),
	}
	if norm != nil {
		query.Normed, query.Epsilon, query.RMS = true, norm.Epsilon, norm.RMS
		keyValue.Normed, keyValue.Epsilon, keyValue.RMS = true, norm.Epsilon, norm.RMS
	}
	b.turn(&keyValue, a, a.KeyHeads*a.Size)
	if b.plan.Pool == weights.PoolLast {
		b.turn(&query, a, query.Weights.N)
	}
	last := &lastLayer{
		attention: b.attention(a, list), keyValue: b.gemm(keyValue),
		queries: b.heads(a, a.Heads, 0, true), keys: b.heads(a, 0, a.KeyHeads, false),
	}
	b.fewRows = true
	defer func() { b.fewRows = false }()
	last.query, last.output = b.gemm(query), b.normed(l.Output, l.AttentionNorm, true)
	last.inner, last.outer = b.inner(l), b.normed(l.Outer, l.OuterNorm, false)
	return last
}

// attention is a layer's attention, by a slot's list of items of that number.
func (b *builder) attention(a *weights.Attention, list int) attention {
	scores := kernels.Scores{
		Heads: a.Heads, Size: a.Size, KeyHeads: a.KeyHeads, Causal: a.Causal, Window: a.Window, Relative: b.relative(a.Relative),
	}
	if a.Slopes != nil {
		scores.Slopes = b.values(a.Slopes)
	}
	op := unlessFailed(b, func() (*kernels.Attention, error) { return b.library.NewAttention(scores) })
	return attention{op, list, a.Heads * a.Size, a.KeyHeads * a.Size}
}

// heads are the norms of some heads of queries, and of keys behind them. With gather, rows are those of a slot's first tokens,
// or last ones. Nil: there are no such norms.
func (b *builder) heads(a *weights.Attention, queries, keys int, gather bool) *kernels.HeadNorm {
	if a.QueryNorm == nil || b.err != nil {
		return nil
	}
	n := kernels.HeadNorms{
		Queries: queries, Keys: keys, Size: a.Size, Epsilon: a.QueryNorm.Epsilon, KeyEpsilon: a.KeyNorm.Epsilon, Gather: gather,
	}
	n.Vectors = unlessFailed(b, func() (metal.Binding, error) {
		return b.memory.vectors(pairs(a, 4, 0), a.QueryNorm.Gamma, a.QueryNorm.Beta, a.KeyNorm.Gamma, a.KeyNorm.Beta)
	})
	if a.Frequencies != nil {
		n.Turns = b.turnsOf(a.Frequencies)
	}
	return unlessFailed(b, func() (*kernels.HeadNorm, error) { return b.library.NewHeadNorm(n) })
}

// turn makes the first columns of a layer queries or keys with rotary positions, if the attention has them and no norm comes
// before.
func (b *builder) turn(l *kernels.Linear, a *weights.Attention, columns int) {
	if a.Frequencies != nil && a.QueryNorm == nil {
		l.Turned, l.HeadSize, l.Turns = columns, a.Size, b.turnsOf(a.Frequencies)
	}
}

// turnsOf is the table of rotary positions of some frequencies.
func (b *builder) turnsOf(frequencies []float32) metal.Binding {
	for _, known := range b.turns {
		if slices.Equal(known.frequencies, frequencies) {
			return known.table
		}
	}
	values := make([]float32, 0, b.plan.Positions*2*len(frequencies))
	for position := range b.plan.Positions {
		for _, f := range frequencies {
			angle := float64(float32(position) * f)
			values = append(values, float32(math.Cos(angle)), float32(math.Sin(angle)))
		}
	}
	table := b.values(values)
	b.turns = append(b.turns, turns{frequencies, table})
	return table
}
