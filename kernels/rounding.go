package kernels

import "math"

// Rounding bounds how far variants of a product with another Split may differ, since they add up in another order.
//
// A sum of K products and up to two terms more, in any order, is off by (K + 2)·u of the sum of their magnitudes, with u = 2⁻²⁴
// (Higham, Accuracy and Stability of Numerical Algorithms, 4.2). By Cauchy and Schwarz, that of the products is at most
// |a|·|w|, with the norms of the two rows. Activations are off by less than 16·u of their argument, or of 1, and make at most 1.13
// times as much of an error (see package selftest). So each result is off by 1.13·(K + 18)·u·(|a|·|w| + |bias| + |residual| + 1)
// at most, before it is rounded to its type.
type Rounding struct {
	sums   float64 // 2·1.13·(K + 18)·u
	stored float64 // relative difference of two results that are rounded to their type
	least  float64 // absolute difference of two results that are too small for it
	linear *Linear
	norms  []float64 // [N], of the rows of weights
}

// Rounding reads all weights, on the CPU.
func (p *Product) Rounding() *Rounding {
	r := &Rounding{
		sums: 2 * 1.13 * float64(p.linear.Weights.K+18) * math.Exp2(-24), linear: &p.linear,
		stored: math.Exp2(-10), least: math.Exp2(-24), norms: p.linear.Weights.norms(p.library.dtype),
	}
	if p.library.dtype == F32 {
		r.stored, r.least = math.Exp2(-23), 0
	}
	return r
}

// Allowed returns the most by which two results of column n may differ. norm is that of the row of a; residual is 0 where there
// is none; y is the greater of the results' magnitudes.
func (r *Rounding) Allowed(n int, norm, residual, y float64) float64 {
	bias := valueAt(r.linear.Bias, F32, n)
	return r.sums*(norm*r.norms[n]+math.Abs(bias)+math.Abs(residual)+1) + r.stored*y + r.least
}
