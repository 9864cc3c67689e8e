package gpu

import (
	"github.com/x448/float16"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/weights"
)

// fold returns, f32 [2, N], what a layer needs whose input is a kept sum that waits for a norm (kernels.Linear.Normed): its
// biases plus the sums of beta times w, and the sums of gamma / KeptShrink times w, of the rows of all parts.
func (m *memory) fold(norm *weights.Norm, parts []weights.Linear) ([]float32, error) {
	gamma, err := m.floats(norm.Gamma)
	if err != nil {
		return nil, err
	}
	beta, err := m.floats(norm.Beta)
	if err != nil {
		return nil, err
	}
	var biases, sums []float32
	for _, part := range parts {
		bias, err := m.floats(part.Bias)
		if err != nil {
			return nil, err
		}
		for piece, err := range m.checkpoint.Pieces(part.Weight, chunk) {
			if err != nil {
				return nil, err
			}
			rows := m.decoded(piece)
			for k := len(gamma); len(rows) > 0; rows = rows[k:] {
				var shift, sum float64
				for i, w := range rows[:k] {
					shift += float64(w) * float64(beta[i])
					sum += float64(w) * float64(gamma[i])
				}
				biases = append(biases, float32(float64(bias[0])+shift))
				sums = append(sums, float32(sum/kernels.KeptShrink))
				bias = bias[1:]
			}
		}
	}
	return append(biases, sums...), nil
}

// decoded returns the elements of a matrix as kernels multiply by them: rounded to the dtype.
func (m *memory) decoded(t weights.Tensor) []float32 {
	values := make([]float32, t.Len())
	t.Float32s(values, 0)
	if m.dtype == kernels.F16 && t.DType != weights.F16 {
		for i, v := range values {
			values[i] = float16.Fromfloat32(v).Float32()
		}
	}
	return values
}

// pairs is the order of rows of so many heads of queries and keys that brings each pair (i, i + D/2) of a head together, and of as
// many heads behind them as plain says, which stay as they are. Scores don't change if queries and keys are arranged alike.
func pairs(a *weights.Attention, heads, plain int) order {
	if a.Frequencies == nil {
		return nil
	}
	rows := make(order, (heads+plain)*a.Size)
	for i := range rows {
		rows[i] = i
		if d := i % a.Size; i < heads*a.Size {
			rows[i] = i - d + d/2 + d%2*(a.Size/2)
		}
	}
	return rows
}

// alternate is the order that puts rows of two matrices of n rows in turns.
func alternate(n int) order {
	rows := make(order, 2*n)
	for i := range rows {
		rows[i] = i/2 + i%2*n
	}
	return rows
}

// inOrder returns values [.., N] with each N of them in order.
func inOrder(values []float32, rows order) []float32 {
	if rows == nil {
		return values
	}
	arranged := make([]float32, len(values))
	for i := range arranged {
		arranged[i] = values[i-i%len(rows)+rows[i%len(rows)]]
	}
	return arranged
}
