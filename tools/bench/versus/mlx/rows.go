package mlx

// LayerNorm is LayerNorm::eval_gpu for rows of at most 6,656 halves: 8 elements a thread, one threadgroup a row.
func (r *Runner) LayerNorm(x, weight, bias Array, rows, h int, eps float32) Array {
	out := r.New(2 * rows * h)
	r.groups(kernel{
		name: "layer_normfloat16", includes: []string{"layer_norm.metal"}, // which instantiates it
	}, [3]int{rows, 1, 1}, [3]int{rowThreads(h, 8), 1, 1},
		at(0, x), at(1, weight), at(2, bias), at(3, out),
		set(4, eps), set(5, ints(h)), set(6, ints(1)), set(7, ints(1)))
	return out
}

// softmax is Softmax::eval_gpu with precise sums, as the fallback of attention asks for: 4 elements a thread.
func (r *Runner) softmax(x Array, rows, axis int) Array {
	out := r.New(2 * rows * axis)
	r.groups(kernel{
		name: "block_softmax_precise_float16", includes: []string{"utils.h", "softmax.h"},
		template: "softmax_single_row, half, float",
	}, [3]int{rows, 1, 1}, [3]int{rowThreads(axis, 4), 1, 1}, at(0, x), at(1, out), set(2, ints(axis)))
	return out
}
