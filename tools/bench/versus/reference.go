package main

import "math"

// layerNormEpsilon is BERT's.
const layerNormEpsilon = 1e-12

// reference returns a row of the answer, in float64 by plain loops.
func (p *operation) reference(row int) []float64 {
	switch p.kind {
	case linear, quantized:
		return p.linearRow(row)
	case attention:
		return p.attentionRow(row)
	case layerNorm:
		return normalised(p.operands["x"][row*p.n:][:p.n], p.operands["gamma"], p.operands["beta"])
	}
	return nil
}

func (p *operation) linearRow(row int) []float64 {
	return linearRow(p.operands["x"][row*p.k:][:p.k], p.operands["w"], p.operands["bias"])
}

// linearRow is w [n, k] · x [k] + bias [n].
func linearRow(x, w, bias []float64) []float64 {
	y := make([]float64, len(bias))
	for j := range y {
		y[j] = bias[j]
		for i, value := range x {
			y[j] += value * w[j*len(x)+i]
		}
	}
	return y
}

func (p *operation) attentionRow(row int) []float64 {
	first := row / p.length * p.length
	h := p.n
	return attentionRow(p.operands["q"][row*h:][:h], p.operands["k"][first*h:][:p.length*h],
		p.operands["v"][first*h:][:p.length*h], p.heads)
}

// attentionRow is softmax(q·kᵀ/√d)·v for one token q [h], keys and values [length, h], head by head.
func attentionRow(q, k, v []float64, heads int) []float64 {
	h := len(q)
	d, length := h/heads, len(k)/h
	out, weights := make([]float64, h), make([]float64, length)
	for head := 0; head < h; head += d {
		sum := 0.0
		for t := range weights {
			score := 0.0
			for i := head; i < head+d; i++ {
				score += q[i] * k[t*h+i]
			}
			weights[t] = math.Exp(score / math.Sqrt(float64(d)))
			sum += weights[t]
		}
		for t, w := range weights {
			for i := head; i < head+d; i++ {
				out[i] += w / sum * v[t*h+i]
			}
		}
	}
	return out
}

// normalised is layer norm of one row.
func normalised(x, gamma, beta []float64) []float64 {
	var mean, variance float64
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		variance += (v - mean) * (v - mean) / float64(len(x))
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = (v-mean)/math.Sqrt(variance+layerNormEpsilon)*gamma[i] + beta[i]
	}
	return y
}
