package reference

import (
	"context"
	"math"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/internal/parallel"
	"github.com/metalrank/metalrank/weights"
)

// attention computes, for every sequence and head by itself,
//
//	out = softmax(q kᵀ / √D) v
//
// of the keys that the query sees: those of its sequence and of its prefix, if it has one, within its window, and none after
// it where attention is causal. q and out are [T, AD], head a being columns [a·D, (a+1)·D); k and v are [T, GD]. No token
// sees another sequence.
func attention(ctx context.Context, batch *backend.Batch, l *layer, q, k, v, out []float64) error {
	a := &l.attention
	d, width, keyWidth := a.Size, a.Heads*a.Size, a.KeyHeads*a.Size
	scale := 1 / math.Sqrt(float64(d*l.terms()))
	return parallel.For(ctx, batch.Sequences()*a.Heads, 0, func(task int) error {
		head := task % a.Heads
		column, keyColumn := head*d, head*a.KeyHeads/a.Heads*d
		s := span(batch, task/a.Heads)
		all := make([]float64, s.keys()) // one query against every key
		for i := s.before; i < s.keys(); i++ {
			if err := ctx.Err(); err != nil { // one long sequence is a long task
				return err
			}
			first, last := sees(a, i, s.keys())
			at := s.row(i)*width + column
			query, scores := q[at:at+d], all[:last-first]
			for j := range scores {
				from := s.row(first+j)*keyWidth + keyColumn
				key := k[from : from+d]
				scores[j] = scale * (dot(query, key) + l.positionTerms(query, key, i-first-j, column))
				if a.Slopes != nil {
					distance := math.Abs(float64(first + j - i))
					scores[j] -= float64(float64(a.Slopes[head]) * distance)
				}
			}
			softmax(scores)
			row := out[at : at+d]
			clear(row)
			for j, p := range scores {
				from := s.row(first+j)*keyWidth + keyColumn
				addScaled(row, v[from:from+d], p)
			}
		}
		return nil
	})
}

// keySpan is where the keys of a sequence are among the rows of a batch: the prefix's, then its own. Both are counted on.
type keySpan struct {
	prefix, before int // first row of the prefix, and its length
	begin, own     int // the same of the sequence
}

func span(batch *backend.Batch, sequence int) keySpan {
	start, stop := batch.Prefix(sequence)
	begin, end := int(batch.Starts[sequence]), int(batch.Starts[sequence+1])
	return keySpan{start, stop - start, begin, end - begin}
}

func (s keySpan) keys() int { return s.before + s.own }

// row returns the row of a key.
func (s keySpan) row(i int) int {
	if i < s.before {
		return s.prefix + i
	}
	return s.begin + i - s.before
}

// sees returns the range of keys that a query at i sees, of n.
func sees(a *weights.Attention, i, n int) (first, last int) {
	last = n
	if a.Window > 0 {
		first, last = max(0, i-a.Window), min(n, i+a.Window+1)
	}
	if a.Causal {
		last = min(last, i+1)
	}
	return first, last
}

// terms is how many products a score is the sum of.
func (l *layer) terms() int {
	n := 1
	for _, rows := range [][]float64{l.positionKeys, l.positionQueries} {
		if rows != nil {
			n++
		}
	}
	return n
}

// positionTerms is the part of disentangled attention that positions have in a score, for a head's query and key of a
// distance; column is the head's first.
func (l *layer) positionTerms(query, key []float64, distance, column int) float64 {
	r, d := l.attention.Relative, l.attention.Size
	if r == nil {
		return 0
	}
	at, sum := r.Row(distance)*d*l.attention.Heads+column, 0.0
	if l.positionKeys != nil {
		sum += dot(query, l.positionKeys[at:at+d])
	}
	if l.positionQueries != nil {
		sum += dot(key, l.positionQueries[at:at+d])
	}
	return sum
}

// rotate turns each pair of values (i, i + D/2) of each head of rows x [T, width] by the angle position · frequency i (Su et al.
// 2021, in the order of GPT-NeoX). The angle is a float32, as it was when the model was trained.
func rotate(ctx context.Context, batch *backend.Batch, a *weights.Attention, x []float64) error {
	if a.Frequencies == nil {
		return nil
	}
	d, h, half := a.Size, len(x)/batch.Tokens(), a.Size/2
	return parallel.For(ctx, batch.Tokens(), 0, func(t int) error {
		for i, f := range a.Frequencies {
			sin, cos := math.Sincos(float64(float32(batch.Positions[t]) * f))
			for at := t*h + i; at < (t+1)*h; at += d {
				x[at], x[at+half] = x[at]*cos-x[at+half]*sin, x[at+half]*cos+x[at]*sin
			}
		}
		return nil
	})
}

func dot(a, b []float64) float64 {
	b = b[:len(a)]
	var sum float64
	for i, x := range a {
		sum += float64(x * b[i])
	}
	return sum
}

func addScaled(y, x []float64, scale float64) {
	x = x[:len(y)]
	for i := range y {
		y[i] += float64(scale * x[i])
	}
}

// softmax replaces x [L] by exp(x - max x) / Σ exp(x - max x).
func softmax(x []float64) {
	top := math.Inf(-1)
	for _, v := range x {
		top = max(top, v)
	}
	var sum float64
	for i, v := range x {
		x[i] = math.Exp(v - top)
		sum += orNaN(x[i], v)
	}
	for i := range x {
		x[i] /= sum
	}
}
