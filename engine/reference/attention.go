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
// of the keys in the query's window. q, k, v and out are [T, H], head a being columns [a·D, (a+1)·D). No token sees
// another sequence.
func attention(ctx context.Context, batch *backend.Batch, l *layer, q, k, v, out []float64) error {
	a := &l.attention
	d, h := a.Size, a.Heads*a.Size
	scale := 1 / math.Sqrt(float64(d*l.terms()))
	return parallel.For(ctx, batch.Sequences()*a.Heads, 0, func(task int) error {
		sequence, column := task/a.Heads, task%a.Heads*d
		begin, end := int(batch.Starts[sequence]), int(batch.Starts[sequence+1])
		all := make([]float64, end-begin) // [L]: one query against every key
		for i := begin; i < end; i++ {
			if err := ctx.Err(); err != nil { // one long sequence is a long task
				return err
			}
			first, last := begin, end
			if a.Window > 0 {
				first, last = max(begin, i-a.Window), min(end, i+a.Window+1)
			}
			query, scores := q[i*h+column:i*h+column+d], all[:last-first]
			for j := range scores {
				at := (first+j)*h + column
				scores[j] = scale * (dot(query, k[at:at+d]) + l.positionTerms(query, k[at:at+d], i-first-j, column))
				if a.Slopes != nil {
					distance := math.Abs(float64(first + j - i))
					scores[j] -= float64(float64(a.Slopes[task%a.Heads]) * distance)
				}
			}
			softmax(scores)
			row := out[i*h+column : i*h+column+d]
			clear(row)
			for j, p := range scores {
				at := (first+j)*h + column
				addScaled(row, v[at:at+d], p)
			}
		}
		return nil
	})
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

// rotate turns each pair of values (i, i + D/2) of each head of rows x [T, H] by the angle position · frequency i (Su et al.
// 2021, in the order of GPT-NeoX). The angle is a float32, as it was when the model was trained.
func rotate(ctx context.Context, batch *backend.Batch, a *weights.Attention, x []float64) error {
	if a.Frequencies == nil {
		return nil
	}
	d, h, half := a.Size, a.Heads*a.Size, a.Size/2
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
