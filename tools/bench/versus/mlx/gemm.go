package mlx

import (
	"fmt"

	"github.com/metalrank/metalrank/metal"
)

// matrix is a half operand of a product: rows lie ld elements apart, one matrix of the batch from another as strides
// say, outermost first.
type matrix struct {
	Array
	ld      int
	strides []int
}

// product is out[M,N] = a[M,K] · b (+ bias): b is [N,K] where transposed, else [K,N].
type product struct {
	m, n, k    int
	transposed bool
	a, b       matrix
	bias       *Array // [N], which AddMM takes as its c, with a row stride of 0
	batch      []int  // sizes, outermost first; none: one product
}

// Linear is mlx.nn.Linear: addmm(bias, x, weight.T), x [rows, k], weight [n, k], so the product is "nt".
func (r *Runner) Linear(x, weight, bias Array, rows, n, k int) Array {
	return r.linear(matrix{Array: x, ld: k}, weight, bias, rows, n, k)
}

func (r *Runner) linear(x matrix, weight, bias Array, rows, n, k int) Array {
	p := product{m: rows, n: n, k: k, transposed: true, a: x, b: matrix{Array: weight, ld: k}, bias: &bias}
	routed := max(rows, r.RoutedRows)
	switch {
	case r.GPU.gemvIsWide(routed, n, k):
		return r.gemvWide(p)
	case min(rows, n) == 1:
		return r.gemv(p)
	case r.GPU.splitsK(routed, n, k, 1):
		return r.gemmSplitK(p)
	}
	return r.gemm(p)
}

// gemm is steel_matmul_regular_axpby.
func (r *Runner) gemm(p product) Array {
	t := r.GPU.gemmTile(p.transposed)
	count, hasBatch := 1, len(p.batch) > 1
	for _, n := range p.batch {
		count *= n
	}
	k := kernel{
		name:     fmt.Sprintf("steel_gemm_fused_n%s_float16_float16_%v", letter(p.transposed), t),
		includes: []string{"utils.h", "steel/gemm/gemm.h", "steel/gemm/kernels/steel_gemm_fused.h"},
		template: fmt.Sprintf("gemm, half, %d, %d, %d, %d, %d, false, %t, float", t.bm, t.bn, t.bk, t.wm, t.wn, p.transposed),
		constants: []metal.Constant{
			metal.Bool(10, hasBatch), metal.Bool(100, p.bias != nil), metal.Bool(110, false), // alpha = beta = 1
			metal.Bool(200, p.m%t.bm == 0), metal.Bool(201, p.n%t.bn == 0), metal.Bool(202, p.k%t.bk == 0),
		},
	}
	tilesN, tilesM := ceilDiv(p.n, t.bn), ceilDiv(p.m, t.bm)
	out := r.New(2 * count * p.m * p.n)
	arguments := []argument{
		bindArray(0, p.a.Array), bindArray(1, p.b.Array), bindArray(3, out),
		// GEMMParams; no swizzle since the host code sets its log to 0, and four bytes pad the struct to eight.
		bindBytes(4, ints(p.m, p.n, p.k, p.a.ld, p.b.ld, p.n, tilesN, tilesM),
			[]int64{last(p.a.strides), last(p.b.strides), int64(p.m * p.n)}, ints(0, p.k/t.bk, len(p.batch), 0)),
	}
	// GEMMAddMMParams: ldc 0, fdc 1, alpha and beta 1. Without a bias MLX leaves them unset; its kernel reads alpha and beta
	// all the same and doesn't use them, which the simulator would take for an access to nothing.
	arguments = append(arguments, bindBytes(5, ints(0, 1), int64(0), []float32{1, 1}))
	if p.bias != nil {
		arguments = append(arguments, bindArray(2, *p.bias))
	}
	if hasBatch {
		strides := append(append([]int{}, p.a.strides...), p.b.strides...)
		arguments = append(arguments, shapeBytes(6, p.batch...), strideBytes(7, strides...))
	}
	r.groups(k, [3]int{tilesN, tilesM, count}, [3]int{32, t.wn, t.wm}, arguments...)
	return out
}

// gemmSplitK is steel_gemm_splitk_axpby: partial sums in f32, then their sum and the bias.
func (r *Runner) gemmSplitK(p product) Array {
	t, parts, partSize := splitK(max(p.m, r.RoutedRows), p.n, p.k)
	alignedMN, alignedK := p.m%t.bm == 0 && p.n%t.bn == 0, p.k%t.bk == 0
	includes := []string{"utils.h", "steel/gemm/gemm.h", "steel/gemm/kernels/steel_gemm_splitk.h"}
	tilesN, tilesM := ceilDiv(p.n, t.bn), ceilDiv(p.m, t.bm)
	partial, out := r.New(4*parts*p.m*p.n), r.New(2*p.m*p.n)
	r.groups(kernel{
		name:     fmt.Sprintf("steel_gemm_splitk_nt_float16_float32_%v_MN_%saligned_K_%saligned", t, letter(alignedMN), letter(alignedK)),
		includes: includes,
		template: fmt.Sprintf("gemm_splitk, half, float, %d, %d, %d, %d, %d, false, true, %t, %t",
			t.bm, t.bn, t.bk, t.wm, t.wn, alignedMN, alignedK),
	}, [3]int{tilesN, tilesM, parts}, [3]int{32, t.wn, t.wm},
		bindArray(0, p.a.Array), bindArray(1, p.b.Array), bindArray(2, partial),
		bindBytes(3, ints(p.m, p.n, p.k, p.a.ld, p.b.ld, p.n, tilesN, tilesM, parts, p.m*p.n, partSize, 0, partSize/t.bk)))
	grid := [3]int{p.n, p.m, 1}
	r.threads(kernel{
		name: "steel_gemm_splitk_accum_float16_float32_axbpy", includes: includes,
		template: "gemm_splitk_accum_axpby, float, half",
	}, grid, blockDims(grid),
		bindArray(0, partial), bindArray(1, out), bindBytes(2, ints(parts)),
		bindBytes(3, ints(p.m*p.n)), bindBytes(4, ints(p.n)),
		bindArray(5, *p.bias), bindBytes(6, ints(0)), bindBytes(7, ints(1)), bindBytes(8, float32(1)),
		bindBytes(9, float32(1)))
	return out
}

// gemv is gemv_axbpy (matmul.cpp, line 1093): where there is one output, x is the matrix and the weight the vector, and
// the bias is the same for all rows; else there is one row, and the weight is the matrix.
func (r *Runner) gemv(p product) Array {
	matrix, vector, outputs, biasStride := p.a, p.b, p.m, 0
	if p.n != 1 {
		matrix, vector, outputs, biasStride = p.b, p.a, p.n, 1
	}
	t := gemvTile(p.k, outputs)
	out := r.New(2 * outputs)
	r.groups(kernel{
		name:     fmt.Sprintf("gemv_float16_bm%d_bn%d_sm%d_sn%d_tm%d_tn4_nc0_axpby1", t.bm, t.bn, t.sm, t.sn, t.tm),
		includes: []string{"gemv.h"},
		template: fmt.Sprintf("gemv, half, %d, %d, %d, %d, %d, 4, 0, 1", t.bm, t.bn, t.sm, t.sn, t.tm),
	}, [3]int{ceilDiv(outputs, t.bm*t.sm*t.tm), 1, 1}, [3]int{32, t.bn, t.bm},
		bindArray(0, matrix.Array), bindArray(1, vector.Array), bindArray(2, *p.bias), bindArray(3, out),
		bindBytes(4, ints(p.k)), bindBytes(5, ints(outputs)), bindBytes(6, ints(matrix.ld)), bindBytes(7, float32(1)),
		bindBytes(8, float32(1)),
		bindBytes(9, ints(1)), shapeBytes(10, 1), strideBytes(11, 0), strideBytes(12, 0), strideBytes(13, 0),
		bindBytes(14, ints(biasStride)))
	return out
}

// gemvWide is gemv_wide (matmul.cpp, line 1356): up to five rows of x share a pass over the weight.
func (r *Runner) gemvWide(p product) Array {
	passes, vectors, lanes := gemvWide(p.m, p.n)
	out := r.New(2 * p.m * p.n)
	r.groups(kernel{
		name:      fmt.Sprintf("gemv_wide_float16_nv%d_kl%d", vectors, lanes),
		includes:  []string{"gemv.h"},
		template:  fmt.Sprintf("gemv_wide, half, %d, %d", vectors, lanes),
		constants: []metal.Constant{metal.Bool(0, false), metal.Bool(1, true)}, // one batch; a bias
	}, [3]int{passes, ceilDiv(p.n, 4), 1}, [3]int{32, lanes / 8, 1},
		bindArray(0, p.b.Array), bindArray(1, p.a.Array), bindArray(2, *p.bias), bindArray(3, out),
		bindBytes(4, ints(p.k)), bindBytes(5, ints(p.n)), bindBytes(6, ints(p.m)), bindBytes(7, ints(p.b.ld)),
		bindBytes(8, ints(p.a.ld)), bindBytes(9, float32(1)), bindBytes(10, float32(1)),
		bindBytes(11, ints(0)), bindBytes(12, ints(1)), // 16 and 17 before amendments has made room
		strideBytes(13, 0), strideBytes(14, 0), strideBytes(15, 0))
	return out
}

// fail keeps the first error.
func (r *Runner) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func ints(values ...int) []int32 {
	out := make([]int32, len(values))
	for i, v := range values {
		out[i] = int32(v)
	}
	return out
}

// last is the innermost stride of a batch; 0 where there is none.
func last(strides []int) int64 {
	if len(strides) == 0 {
		return 0
	}
	return int64(strides[len(strides)-1])
}

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
		bindArray(0, weight), bindArray(1, scales), bindArray(2, offsets), bindArray(3, x), bindArray(4, out),
		bindBytes(5, ints(k)), bindBytes(6, ints(n)), bindBytes(7, ints(rows)))
	return r.addBias(out, bias, rows, n)
}

// addBias is x [rows, n] + bias [n], broadcast: two dimensions, one thread an element.
func (r *Runner) addBias(x, bias Array, rows, n int) Array {
	out := r.New(2 * rows * n)
	grid := [3]int{n, rows, 1}
	r.threads(kernel{
		name: "g2_Addfloat16", includes: binaryIncludes, text: functors, template: "binary_g_nd2, " + halves + ", Add, int",
	}, grid, blockDims(grid), bindArray(0, x), bindArray(1, bias), bindArray(2, out),
		strideBytes(3, n, 1), strideBytes(4, 0, 1))
	return out
}
