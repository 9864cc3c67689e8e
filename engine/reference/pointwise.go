package reference

import (
	"context"
	"fmt"
	"math"

	"github.com/metalrank/metalrank/internal/parallel"
	"github.com/metalrank/metalrank/weights"
)

// norm is layer normalisation over the last axis: y = (x - mean) / √(variance + epsilon) · gamma + beta,
// with the biased variance, as torch.nn.LayerNorm has it. With rms the mean is 0 (Zhang and Sennrich 2019).
type norm struct {
	gamma, beta []float64 // [H]
	epsilon     float64
	rms         bool
}

// newNorm returns nil for nil.
func (b *Backend) newNorm(n *weights.Norm) *norm {
	if n == nil {
		return nil
	}
	return &norm{gamma: b.widen(n.Gamma), beta: b.widen(n.Beta), epsilon: n.Epsilon, rms: n.RMS}
}

// apply normalises one row [H] in place.
func (n *norm) apply(row []float64) {
	var sum, squares float64
	for _, v := range row {
		sum += v
	}
	mean := sum / float64(len(row))
	if n.rms {
		mean = 0
	}
	for _, v := range row {
		squares += (v - mean) * (v - mean)
	}
	variance := squares / float64(len(row))
	inverse := orNaN(1/math.Sqrt(variance+n.epsilon), variance)
	for i, v := range row {
		row[i] = (v-mean)*inverse*n.gamma[i] + n.beta[i]
	}
}

// applyRows normalises every row of x [n, H] in place. A nil norm is none.
func (n *norm) applyRows(x []float64) {
	if n == nil {
		return
	}
	for h := len(n.gamma); len(x) > 0; x = x[h:] {
		n.apply(x[:h])
	}
}

// mapRows replaces every value of x [n, width] by f of it, a row a task.
func mapRows(ctx context.Context, x []float64, width int, f func(float64) float64) error {
	return parallel.For(ctx, len(x)/width, 0, func(i int) error {
		row := x[i*width : (i+1)*width]
		for j, v := range row {
			row[j] = f(v)
		}
		return nil
	})
}

// gelu is x·Φ(x) with the exact normal distribution function (Hendrycks and Gimpel 2016, equation 2).
func gelu(x float64) float64 { return 0.5 * x * (1 + math.Erf(x/math.Sqrt2)) }

// geluNew is the tanh approximation of gelu (the same paper, section 2), which transformers calls gelu_new.
func geluNew(x float64) float64 {
	return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
}

// silu is x / (1 + exp(-x)) (Elfwing et al. 2017).
func silu(x float64) float64 { return orNaN(x/(1+math.Exp(-x)), x) }

func relu(x float64) float64 { return orNaN(max(x, 0), x) }

func tanh(x float64) float64 { return orNaN(math.Tanh(x), x) }

// orNaN is y, or NaN where x is not finite: it keeps limits of functions from hiding earlier errors.
func orNaN(y, x float64) float64 { return y + 0*x }

func activationFunc(a weights.Activation) (func(float64) float64, error) {
	switch a {
	case weights.GELU:
		return gelu, nil
	case weights.GELUNew:
		return geluNew, nil
	case weights.ReLU:
		return relu, nil
	case weights.Tanh:
		return tanh, nil
	case weights.SiLU:
		return silu, nil
	}
	return nil, fmt.Errorf("reference: activation %s is not supported", a)
}
