package main

import (
	"math"

	"github.com/metalrank/metalrank/metal/problem"
	"github.com/metalrank/metalrank/tools/bench/versus/mlx"
)

// encoderLayer is a layer's weights as numbers: matrices [out, in] and their biases.
type encoderLayer struct {
	query, key, value, output, up, down                         []float64
	queryBias, keyBias, valueBias, outputBias, upBias, downBias []float64
	gamma1, beta1, gamma2, beta2                                []float64
}

// newEncoderLayer draws weights that keep values near one, as training does.
func newEncoderLayer(hidden, feedForward int) *encoderLayer {
	seed := uint64(40)
	draw := func(n int, width float64) []float64 {
		seed++
		return problem.Normal(n, width, seed)
	}
	square := func() []float64 { return draw(hidden*hidden, 0.05) }
	bias := func() []float64 { return draw(hidden, 0.5) }
	return &encoderLayer{
		query: square(), key: square(), value: square(), output: square(),
		up: draw(feedForward*hidden, 0.05), down: draw(feedForward*hidden, 0.025),
		queryBias: bias(), keyBias: bias(), valueBias: bias(), outputBias: bias(), upBias: draw(feedForward, 0.5), downBias: bias(),
		gamma1: draw(hidden, 1), beta1: bias(), gamma2: draw(hidden, 1), beta2: bias(),
	}
}

// layerPart runs a layer over batch sequences, the last half of each padding, and compares sampled rows with float64: a
// chain of some ten roundings to half of values near one.
func layerPart(r *mlx.Runner, p *operation, batch, length int) error {
	hidden, heads, feedForward := p.model.Hidden, p.model.Heads, p.model.FeedForward
	t, w := batch*length, newEncoderLayer(hidden, feedForward)
	x, mask := problem.Normal(t*hidden, 1, 39), make([]float64, t)
	for i := range mask {
		if i%length >= length/2 {
			mask[i] = modelMask
		}
	}
	y := r.Layer(r.Halves(x), mlx.LayerWeights{
		Query: r.Halves(w.query), Key: r.Halves(w.key), Value: r.Halves(w.value), Output: r.Halves(w.output),
		Up: r.Halves(w.up), Down: r.Halves(w.down),
		QueryBias: r.Halves(w.queryBias), KeyBias: r.Halves(w.keyBias), ValueBias: r.Halves(w.valueBias),
		OutputBias: r.Halves(w.outputBias), UpBias: r.Halves(w.upBias), DownBias: r.Halves(w.downBias),
		Gamma1: r.Halves(w.gamma1), Beta1: r.Halves(w.beta1), Gamma2: r.Halves(w.gamma2), Beta2: r.Halves(w.beta2),
	}, r.Halves(mask), batch, length, heads, hidden/heads, feedForward, layerNormEpsilon)
	if _, err := r.Reports(); err != nil {
		return err
	}
	got := y.Values(t * hidden)
	for b := range batch {
		first := b * length
		var k, v []float64
		for row := first; row < first+length/2; row++ { // rows that aren't padding
			k = append(k, linearRow(x[row*hidden:][:hidden], w.key, w.keyBias)...)
			v = append(v, linearRow(x[row*hidden:][:hidden], w.value, w.valueBias)...)
		}
		for _, row := range sampleRows(length/2, 61) {
			row += first
			if err := checkPrefix("layer", got[row*hidden:], w.row(x[row*hidden:][:hidden], k, v, heads), 3e-2); err != nil {
				return err
			}
		}
	}
	return nil
}

// row is the layer's answer for one token, given the keys and values of its sequence.
func (w *encoderLayer) row(x, k, v []float64, heads int) []float64 {
	context := attentionRow(linearRow(x, w.query, w.queryBias), k, v, heads)
	y := normalised(sum(x, linearRow(context, w.output, w.outputBias)), w.gamma1, w.beta1)
	inner := linearRow(y, w.up, w.upBias)
	for i, value := range inner {
		inner[i] = value * (1 + math.Erf(value/math.Sqrt2)) / 2
	}
	return normalised(sum(y, linearRow(inner, w.down, w.downBias)), w.gamma2, w.beta2)
}

func sum(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] + b[i]
	}
	return out
}
