package main

import (
	"fmt"
	"math"

	"github.com/metalrank/metalrank/metal/problem"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// kind says which operation a problem is.
type kind int

const (
	linear    kind = iota // y [rows, n] = x [rows, k] · w [n, k]ᵀ + bias [n]
	quantized             // the same, w in affine groups of 4 bits
	attention             // [batch, length, heads·d] each of q, k and v; no mask
	layerNorm             // [rows, n]
	onePass               // the whole forward pass over lengths
)

// An operation has its operands; all are exactly representable as half.
type operation struct {
	name   string
	kind   kind
	rows   int // T
	n, k   int
	group  int // values that share a scale
	batch  int // B
	length int
	heads  int // A
	d      int
	// model is the one of a forward pass.
	model weightstest.Spec
	// lengths are the sequences of a forward pass, in tokens.
	lengths []int

	operands map[string][]float64
	packed   []byte // 4-bit weights, eight in a little-endian word, the lowest bits first
	// usefulFLOPs counts only operations that the answer needs: a multiplication and an addition are two.
	usefulFLOPs float64
	// sampled are the rows of the answer that reference computes.
	sampled []int
	// The allowed error: absolute, and relative to the wanted value; reason says why.
	absolute, relative float64
	reason             string
}

// problems returns the problems of the tables, in order.
func problems() []*operation {
	return []*operation{
		newLinear(2048, 1536, 384), newLinear(2048, 384, 1536), newLinear(128, 3072, 768), newLinear(128, 4096, 1024),
		newQuantized(2048, 1536, 384, 64), newQuantized(2048, 384, 1536, 64),
		newAttention(32, 64, 12, 32), newAttention(32, 64, 12, 64), newLayerNorm(2048, 384),
		mixed(), larger(12, 768), larger(24, 1024),
	}
}

func newLinear(rows, n, k int) *operation {
	return &operation{
		name: fmt.Sprintf("GEMM %d×%d×%d, half", rows, n, k), kind: linear, rows: rows, n: n, k: k,
		operands: map[string][]float64{
			"x": problem.Normal(rows*k, 1, 1), "w": problem.Normal(n*k, 1/math.Sqrt(float64(k)), 2),
			"bias": problem.Normal(n, 1, 3),
		},
		usefulFLOPs: 2 * float64(rows) * float64(n) * float64(k), sampled: sampleRows(rows, 37),
		absolute: 1e-3, relative: 2e-3,
		reason: "f32 sums, rounded to half twice at most (the product, then with the bias): 2·2⁻¹¹ of values near one, and twice that for cancellation",
	}
}

func newQuantized(rows, n, k, group int) *operation {
	p := newLinear(rows, n, k)
	p.name, p.kind, p.group = fmt.Sprintf("GEMM %d×%d×%d, int4 in groups of %d", rows, n, k, group), quantized, group
	scales := problem.Normal(n*k/group, 0.01, 4)
	offsets := problem.Normal(n*k/group, 0.05, 5)
	p.operands["scales"], p.operands["offsets"] = scales, offsets
	p.packed = make([]byte, n*k/2)
	w := p.operands["w"]
	for i := range w {
		nibble := (i*7 + i/group*3) % 16
		p.packed[i/2] |= byte(nibble << (4 * (i % 2)))
		w[i] = scales[i/group]*float64(nibble) + offsets[i/group]
	}
	// A dequantised weight is rounded to half: 2⁻¹¹ of some 0.15, times a normal x, k times at random.
	p.absolute, p.reason = 2e-4*math.Sqrt(float64(k)), "weights rounded to half as they are dequantised, 2⁻¹¹·0.15 at random over k; then as for half"
	return p
}

func newAttention(batch, length, heads, d int) *operation {
	h, t := heads*d, batch*length
	return &operation{
		name: fmt.Sprintf("attention, %d × %d tokens, %d heads of %d", batch, length, heads, d), kind: attention,
		rows: t, n: h, batch: batch, length: length, heads: heads, d: d,
		operands: map[string][]float64{
			"q": problem.Normal(t*h, 1, 6), "k": problem.Normal(t*h, 1, 7), "v": problem.Normal(t*h, 1, 8),
		},
		usefulFLOPs: 4 * float64(t) * float64(length) * float64(h), sampled: sampleRows(t, 37),
		absolute: 4e-3, relative: 4e-3,
		reason: "scores and weights that are rounded to half on the way: 2⁻¹¹ of scores up to 5, and of weights",
	}
}

func newLayerNorm(rows, h int) *operation {
	return &operation{
		name: fmt.Sprintf("layer norm [%d, %d]", rows, h), kind: layerNorm, rows: rows, n: h,
		operands: map[string][]float64{
			"x": problem.Normal(rows*h, 1, 9), "gamma": problem.Normal(h, 1, 10), "beta": problem.Normal(h, 1, 11),
		},
		sampled: sampleRows(rows, 37), absolute: 4e-3, relative: 4e-3,
		reason: "three roundings to half where the affine part is done in half: 3·2⁻¹¹ of values up to 4",
	}
}

// sampleRows returns each step-th of n rows, from the first, and the last.
func sampleRows(n, step int) []int {
	var rows []int
	for i := 0; i < n-1; i += step {
		rows = append(rows, i)
	}
	return append(rows, n-1)
}

// verify compares output with the reference. It returns the worst error as a fraction of the allowed one.
func (p *operation) verify(output []float64) (float64, error) {
	worst := 0.0
	for _, row := range p.sampled {
		for j, want := range p.reference(row) {
			got := output[row*p.n+j]
			used := math.Abs(got-want) / (p.absolute + p.relative*math.Abs(want))
			if !(used <= 1) {
				return used, fmt.Errorf("%s: row %d, column %d: %g, want %g: %.0f %% of what is allowed", p.name, row, j, got, want, 100*used)
			}
			worst = max(worst, used)
		}
	}
	return worst, nil
}
