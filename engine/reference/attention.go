package reference

import (
	"context"
	"math"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/internal/parallel"
)

// attention computes, for every sequence and head by itself,
//
//	out = softmax(q kᵀ / √D) v
//
// q, k, v and out are [T, H], head a being columns [a·D, (a+1)·D). No token sees another sequence.
func attention(ctx context.Context, batch *backend.Batch, heads int, q, k, v, out []float64) error {
	h := len(q) / batch.Tokens()
	d := h / heads
	scale := 1 / math.Sqrt(float64(d))
	return parallel.For(ctx, batch.Sequences()*heads, 0, func(task int) error {
		sequence, column := task/heads, task%heads*d
		begin, end := int(batch.Starts[sequence]), int(batch.Starts[sequence+1])
		scores := make([]float64, end-begin) // [L]: one query against every key
		for i := begin; i < end; i++ {
			if err := ctx.Err(); err != nil { // one long sequence is a long task
				return err
			}
			query := q[i*h+column : i*h+column+d]
			for j := begin; j < end; j++ {
				scores[j-begin] = scale * dot(query, k[j*h+column:j*h+column+d])
			}
			softmax(scores)
			row := out[i*h+column : i*h+column+d]
			clear(row)
			for j := begin; j < end; j++ {
				addScaled(row, v[j*h+column:j*h+column+d], scores[j-begin])
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
