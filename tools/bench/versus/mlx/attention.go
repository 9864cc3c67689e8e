package mlx

import "math"

// Attention is mlx.fast.scaled_dot_product_attention of q, k and v, each [batch, length, heads·d] as the projections leave
// it, and the copy after it that joins the heads. mask is [batch, length], to be added; nil: none.
//
// The fused kernels take heads of 64, 72, 80, 96, 128, 192 or 256 (has_fused_kernel), so heads of 32 fall back to the
// operations that fast.cpp composes: scale, product, mask, softmax, product. Transposing makes views, no copies.
func (r *Runner) Attention(q, k, v Array, mask *Array, batch, length, heads, d int) Array {
	h := heads * d
	view := []int{length * h, d} // of [batch, heads, length, d], rows h apart
	q = r.scale(1/math.Sqrt(float64(d)), q, batch*length*h)
	scores := r.gemm(product{
		m: length, n: length, k: d, transposed: true, batch: []int{batch, heads},
		a: matrix{q, h, view}, b: matrix{k, h, view},
	})
	if mask != nil {
		scores = r.addMask(scores, *mask, batch, heads*length, length)
	}
	weights := r.softmax(scores, batch*heads*length, length)
	context := r.gemm(product{
		m: length, n: d, k: length, batch: []int{batch, heads},
		a: matrix{weights, length, []int{heads * length * length, length * length}}, b: matrix{v, h, view},
	})
	return r.mergeHeads(context, batch, heads, length, d)
}
