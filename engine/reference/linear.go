package reference

import (
	"context"
	"strings"

	"github.com/metalrank/metalrank/internal/parallel"
	"github.com/metalrank/metalrank/weights"
)

// linear is y = x Wᵀ + b.
type linear struct {
	name    string    // of the weight, less ".weight"
	weight  []float64 // [out, in]
	bias    []float64 // [out]
	in, out int
}

// A task of linear.apply is a block of tokens by a block of outputs: enough of them to occupy every core even for
// one short sequence, while a block's weights (64 × in × 8 B) stay in a core's L2 over its 32 tokens.
const (
	tokenBlock  = 32
	outputBlock = 64
)

// newLinear returns nil for nil.
func (b *Backend) newLinear(l *weights.Linear) *linear {
	if l == nil {
		return nil
	}
	return &linear{name: strings.TrimSuffix(l.Weight.Name, ".weight"), weight: b.widen(l.Weight), bias: b.widen(l.Bias), out: l.Weight.Shape[0], in: l.Weight.Shape[1]}
}

// widen reads and decodes a whole tensor to float64 and counts its bytes.
func (b *Backend) widen(t weights.Tensor) []float64 {
	narrow, wide := make([]float32, t.Len()), make([]float64, t.Len())
	if t = b.read(t); b.err != nil {
		return wide
	}
	t.Float32s(narrow, 0)
	for i, v := range narrow {
		wide[i] = float64(v)
	}
	b.weightSizeBytes += int64(8 * len(wide))
	return wide
}

// read returns a tensor with its data. After a failure it returns one without: New looks at err in the end.
func (b *Backend) read(t weights.Tensor) weights.Tensor {
	if b.err == nil {
		t, b.err = b.checkpoint.Read(t)
	}
	return t
}

// apply computes y [n, out] from x [n, in].
func (l *linear) apply(ctx context.Context, x, y []float64) error {
	n := len(x) / l.in
	outputBlocks := (l.out + outputBlock - 1) / outputBlock
	tokenBlocks := (n + tokenBlock - 1) / tokenBlock
	return parallel.For(ctx, tokenBlocks*outputBlocks, 0, func(task int) error {
		t0, o0 := task/outputBlocks*tokenBlock, task%outputBlocks*outputBlock
		l.applyBlock(x, y, t0, min(t0+tokenBlock, n), o0, min(o0+outputBlock, l.out))
		return nil
	})
}

// applyBlock computes rows [t0, t1) by columns [o0, o1) of y, four rows by two columns at a time where they fit.
// Each value is summed over k in ascending order in either path, so blocking never changes a result.
func (l *linear) applyBlock(x, y []float64, t0, t1, o0, o1 int) {
	t := t0
	for ; t+4 <= t1; t += 4 {
		o := o0
		for ; o+2 <= o1; o += 2 {
			l.applyTile(x, y, t, o)
		}
		for ; o < o1; o++ {
			for i := t; i < t+4; i++ {
				l.applyOne(x, y, i, o)
			}
		}
	}
	for ; t < t1; t++ {
		for o := o0; o < o1; o++ {
			l.applyOne(x, y, t, o)
		}
	}
}

// applyTile computes four rows by two columns: eight sums that don't wait for one another hide the latency of an
// addition, which alone would bound a single sum.
func (l *linear) applyTile(x, y []float64, t, o int) {
	k := l.in
	w0 := l.weight[o*k : (o+1)*k]
	// Slicing to len(w0) lets the compiler drop the bounds checks of the loop.
	w1 := l.weight[(o+1)*k : (o+2)*k][:len(w0)]
	x0, x1 := x[t*k : (t+1)*k][:len(w0)], x[(t+1)*k : (t+2)*k][:len(w0)]
	x2, x3 := x[(t+2)*k : (t+3)*k][:len(w0)], x[(t+3)*k : (t+4)*k][:len(w0)]
	var s00, s01, s10, s11, s20, s21, s30, s31 float64
	for i, a := range w0 {
		b := w1[i]
		c := x0[i]
		s00 += float64(c * a)
		s01 += float64(c * b)
		c = x1[i]
		s10 += float64(c * a)
		s11 += float64(c * b)
		c = x2[i]
		s20 += float64(c * a)
		s21 += float64(c * b)
		c = x3[i]
		s30 += float64(c * a)
		s31 += float64(c * b)
	}
	b0, b1, n := l.bias[o], l.bias[o+1], l.out
	y[t*n+o], y[t*n+o+1] = s00+b0, s01+b1
	y[(t+1)*n+o], y[(t+1)*n+o+1] = s10+b0, s11+b1
	y[(t+2)*n+o], y[(t+2)*n+o+1] = s20+b0, s21+b1
	y[(t+3)*n+o], y[(t+3)*n+o+1] = s30+b0, s31+b1
}

// applyOne computes one value. The conversion in float64(a*b) forbids fusing the multiplication with the addition
// (Go specification, "Floating-point operators"), which arm64 would do here and might not do in applyTile.
func (l *linear) applyOne(x, y []float64, t, o int) {
	w := l.weight[o*l.in : (o+1)*l.in]
	row := x[t*l.in : (t+1)*l.in][:len(w)]
	var sum float64
	for i, a := range w {
		sum += float64(row[i] * a)
	}
	y[t*l.out+o] = sum + l.bias[o]
}
