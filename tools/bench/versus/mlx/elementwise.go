package mlx

import "fmt"

// vector dispatches one of the kernels that take n elements in a row (binary.cpp, unary.cpp, compiled.cpp): each
// thread has workPerThread of them.
func (r *Runner) vector(k kernel, n int, arguments ...argument) {
	work := workPerThread(n)
	if n%work != 0 {
		r.fail(fmt.Errorf("mlx: %s: %d elements, want a multiple of %d", k.name, n, work))
		return
	}
	threads := n / work
	r.threads(k, [3]int{threads, 1, 1}, [3]int{min(threads, 1024), 1, 1}, arguments...)
}

// elementsSuffix is the letter by which MLX marks a kernel that gives each thread more than one element.
func elementsSuffix(n int) string {
	if workPerThread(n) > 1 {
		return "n"
	}
	return ""
}

// halves are the types of a kernel's operands and of its result.
const halves = "half" + ", half"

var binaryIncludes = []string{"defines.h", "utils.h", "erf.h", "binary.h"}

// Add is a + b over n halves.
func (r *Runner) Add(a, b Array, n int) Array {
	out := r.New(2 * n)
	r.vector(kernel{
		name: "vv" + elementsSuffix(n) + "_Addfloat16", includes: binaryIncludes, text: functors,
		template: fmt.Sprintf("binary_vv, "+halves+", Add, %d", workPerThread(n)),
	}, n, bindArray(0, a), bindArray(1, b), bindArray(2, out), bindBytes(3, ints(n)))
	return out
}

// scale is scalar · b over n halves, which keep their layout.
func (r *Runner) scale(scalar float64, b Array, n int) Array {
	out, a := r.New(2*n), r.Halves([]float64{scalar})
	r.vector(kernel{
		name: "sv" + elementsSuffix(n) + "_Multiplyfloat16", includes: binaryIncludes, text: functors,
		template: fmt.Sprintf("binary_sv, "+halves+", Multiply, %d", workPerThread(n)),
	}, n, bindArray(0, a), bindArray(1, b), bindArray(2, out), bindBytes(3, ints(n)))
	return out
}

// addMask is scores [batch, rows, keys] + mask [batch, keys], broadcast over rows: collapse_contiguous_dims leaves three
// dimensions of the four, one thread an element.
func (r *Runner) addMask(scores, mask Array, batch, rows, keys int) Array {
	out := r.New(2 * batch * rows * keys)
	grid := [3]int{keys, rows, batch}
	r.threads(kernel{name: "g3_Addfloat16", includes: binaryIncludes, text: functors, template: "binary_g_nd3, " + halves + ", Add, int"},
		grid, blockDims(grid), bindArray(0, scores), bindArray(1, mask), bindArray(2, out),
		strideBytes(3, rows*keys, keys, 1), strideBytes(4, keys, 0, 1))
	return out
}

// Tanh is mlx.core.tanh over n halves.
func (r *Runner) Tanh(x Array, n int) Array {
	out := r.New(2 * n)
	r.vector(kernel{
		name:     "v" + elementsSuffix(n) + "_Tanhfloat16float16",
		includes: []string{"utils.h", "erf.h", "unary.h"}, text: functors,
		template: fmt.Sprintf("unary_v, "+halves+", Tanh, %d", workPerThread(n)),
	}, n, bindArray(0, x), bindArray(1, out), bindBytes(2, ints(n)))
	return out
}

// GELU is mlx.nn.gelu, x·(1 + erf(x/√2))/2, which is compiled into one kernel: compiled.cpp writes a loop over the
// thread's elements that applies the operations one after another, each rounded to half.
func (r *Runner) GELU(x Array, n int) Array {
	out := r.New(2 * n)
	text := fmt.Sprintf(`
[[host_name("gelu_contiguous")]] [[kernel]] void gelu_contiguous(
    device const half* x [[buffer(0)]],
    device half* y [[buffer(1)]],
    constant const uint& size [[buffer(2)]],
    uint3 pos [[thread_position_in_grid]]) {
  uint at = %[1]d * pos.x;
  for (int i = 0; i < %[1]d && at < size; ++i, ++at) {
    half v = x[at];
    half quotient = Divide()(v, static_cast<half>(1.4142135623730951f));
    half error = Erf()(quotient);
    half sum = Add()(static_cast<half>(1.0f), error);
    half product = Multiply()(v, sum);
    y[at] = Divide()(product, static_cast<half>(2.0f));
  }
}
`, workPerThread(n))
	r.vector(kernel{
		name: "gelu_contiguous", includes: []string{"utils.h", "erf.h"}, text: functors + text,
	}, n, bindArray(0, x), bindArray(1, out), bindBytes(2, ints(n)))
	return out
}

// Gather is rows of table [vocabulary, h] by ids [n] of int32: gather_front, two elements a thread.
func (r *Runner) Gather(table, ids Array, n, vocabulary, h int) Array {
	out := r.New(2 * n * h)
	grid := [3]int{ceilDiv(h, 2), n, 1}
	r.threads(kernel{
		name: "gather_frontfloat16_int32_int_2", includes: []string{"utils.h", "indexing/gather_front.h"},
		template: "gather_front, half, int32_t, int, 2",
	}, grid, blockDims(grid), bindArray(0, table), bindArray(1, ids), bindArray(2, out),
		bindBytes(3, int64(h)), bindBytes(4, ints(vocabulary)))
	return out
}

// mergeHeads is the copy that transpose(0, 2, 1, 3).flatten(-2, -1) makes of x [batch, heads, length, d]: four
// dimensions, which none of the specialised kernels has, so the general one with two elements a thread.
func (r *Runner) mergeHeads(x Array, batch, heads, length, d int) Array {
	out := r.New(2 * batch * heads * length * d)
	grid := [3]int{ceilDiv(d, 2), heads, batch * length}
	r.threads(kernel{
		name: "gn2_copyfloat16float16", includes: []string{"utils.h", "copy.h"}, template: "copy_g, " + halves + ", 2, int",
	}, grid, blockDims(grid), bindArray(0, x), bindArray(1, out), shapeBytes(2, batch, length, heads, d),
		strideBytes(3, heads*length*d, d, length*d, 1), bindBytes(5, ints(4)))
	return out
}
