package mlx

import "fmt"

// QuantizedLinear is mlx.nn.QuantizedLinear: quantized_matmul, then the bias added by a kernel of its own. weight has
// 32/bits values of a row in a word, scales and offsets are halves, one for group values of a row.
func (r *Runner) QuantizedLinear(x, weight, scales, offsets, bias Array, rows, n, k, group, bits int) Array {
	// Fewer rows take a vector kernel (get_qmv_batch_limit is at most 33), and few tiles a division of k.
	if rows < 33 || qmmSplitK(rows, n, k, group) > 1 {
		r.fail(fmt.Errorf("mlx: no rule for a quantised product of %d×%d×%d", rows, n, k))
		return Array{}
	}
	out := r.New(2 * rows * n)
	aligned := n%32 == 0
	r.groups(kernel{
		name:     fmt.Sprintf("affine_qmm_t_float16_t_gs_%d_b_%d_alN_%t_batch_0", group, bits, aligned),
		includes: []string{"utils.h", "steel/gemm/gemm.h", "quantized_utils.h", "quantized.h"},
		template: fmt.Sprintf("affine_qmm_t, half, %d, %d, %t, false", group, bits, aligned),
	}, [3]int{ceilDiv(n, 32), ceilDiv(rows, 32), 1}, [3]int{32, 2, 2},
		at(0, weight), at(1, scales), at(2, offsets), at(3, x), at(4, out), set(5, ints(k)), set(6, ints(n)), set(7, ints(rows)))
	return r.addBias(out, bias, rows, n)
}

// addBias is x [rows, n] + bias [n], broadcast: two dimensions, one thread an element.
func (r *Runner) addBias(x, bias Array, rows, n int) Array {
	out := r.New(2 * rows * n)
	grid := [3]int{n, rows, 1}
	r.threads(kernel{name: "g2_Addfloat16", includes: binaryIncludes, text: functors, template: "binary_g_nd2, " + halves + ", Add, int"},
		grid, blockDims(grid), at(0, x), at(1, bias), at(2, out), strideBytes(3, n, 1), strideBytes(4, 0, 1))
	return out
}
