package mlx

import (
	"fmt"
	"math"

	"github.com/metalrank/metalrank/metal"
)

// LayerWeights are a BERT layer's: matrices [out, in], all in half.
type LayerWeights struct {
	Query, Key, Value, Output, Up, Down                         Array
	QueryBias, KeyBias, ValueBias, OutputBias, UpBias, DownBias Array
	Gamma1, Beta1, Gamma2, Beta2                                Array
}

// Layer is one encoder layer, norms last, over x [batch, length, heads·d] with mask [batch, length] to be added; f is the
// inner size of the feed-forward part: 17 dispatches, or 12 where attention is fused.
func (r *Runner) Layer(x Array, w LayerWeights, mask Array, batch, length, heads, d, f int, eps float32) Array {
	t, h := batch*length, heads*d
	q := r.Linear(x, w.Query, w.QueryBias, t, h, h)
	k := r.Linear(x, w.Key, w.KeyBias, t, h, h)
	v := r.Linear(x, w.Value, w.ValueBias, t, h, h)
	context := r.Attention(q, k, v, &mask, batch, length, heads, d)
	y := r.Add(x, r.Linear(context, w.Output, w.OutputBias, t, h, h), t*h)
	x = r.LayerNorm(y, w.Gamma1, w.Beta1, t, h, eps)
	y = r.GELU(r.Linear(x, w.Up, w.UpBias, t, f, h), t*f)
	y = r.Add(x, r.Linear(y, w.Down, w.DownBias, t, h, f), t*h)
	return r.LayerNorm(y, w.Gamma2, w.Beta2, t, h, eps)
}

// EmbeddingWeights are three tables and a layer norm.
type EmbeddingWeights struct {
	Words, Positions, Types, Gamma, Beta Array
}

// Embed is the sum of three gathers, normalised; ids, positions and types are int32 [t].
func (r *Runner) Embed(w EmbeddingWeights, ids, positions, types Array, t, h, vocabulary, maxPositions, typeCount int, eps float32) Array {
	y := r.Add(r.Gather(w.Positions, positions, t, maxPositions, h), r.Gather(w.Words, ids, t, vocabulary, h), t*h)
	y = r.Add(y, r.Gather(w.Types, types, t, typeCount, h), t*h)
	return r.LayerNorm(y, w.Gamma, w.Beta, t, h, eps)
}

// Head is classifier(tanh(pooler(x[:, 0]))) of x [batch, length, h] to one logit each. x[:, 0] is a view.
func (r *Runner) Head(x, pooler, poolerBias, classifier, classifierBias Array, batch, length, h int) Array {
	y := r.linear(matrix{Array: x, ld: length * h}, pooler, poolerBias, batch, h, h)
	return r.Linear(r.Tanh(y, batch*h), classifier, classifierBias, batch, 1, h)
}

// Attention is mlx.fast.scaled_dot_product_attention of q, k and v, each [batch, length, heads·d] as the projections leave
// it, and what joins the heads after it. mask is [batch, length], to be added; nil: none.
//
// Heads of 64 to 128 have a fused kernel. Others, those of 32 among them, fall back to the operations that fast.cpp
// composes: scale, product, mask, softmax, product, and a copy that joins the heads. Transposing makes views, no copies.
func (r *Runner) Attention(q, k, v Array, mask *Array, batch, length, heads, d int) Array {
	h := heads * d
	if fuses(d, length) {
		return r.fusedAttention(q, k, v, mask, batch, length, heads, d)
	}
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

// fusedAttention is sdpa_full_self_attention_metal (scaled_dot_product_attention.cpp, line 183): a threadgroup takes 32
// queries of a head, and goes along the keys by 32, or by 16 where heads are wide. The kernel writes heads side by side, so
// that nothing joins them. The mask is a view of [batch, heads, length, length], of which the middle two strides are 0.
func (r *Runner) fusedAttention(q, k, v Array, mask *Array, batch, length, heads, d int) Array {
	if length <= fewQueries {
		r.fail(fmt.Errorf("mlx: no rule for the attention of %d queries at once", length))
		return Array{}
	}
	const bq = 32
	bk := 32
	if d >= 128 {
		bk = 16
	}
	h, out := heads*d, r.New(2*batch*length*heads*d)
	strides := []int64{int64(length * h), int64(d), int64(h)} // of q, k, v and out as [batch, heads, length, d]
	arguments := []argument{
		bindArray(0, q), bindArray(1, k), bindArray(2, v), bindArray(3, out),
		// AttnParams
		bindBytes(4, ints(batch, heads, d, length, length, 1), float32(1/math.Sqrt(float64(d))),
			ints(ceilDiv(length, bq), ceilDiv(length, bk), length/bq, length/bk, length%bq, length%bk, 0),
			strides, strides, strides, strides),
	}
	if mask != nil {
		arguments = append(arguments, bindBytes(5, []int64{int64(length), 0, 0}), bindArray(6, *mask))
	}
	r.groups(kernel{
		name:     fmt.Sprintf("steel_attention_float16_bq%d_bk%d_bd%d_wm4_wn1_maskfloat16", bq, bk, d),
		includes: []string{"utils.h", "steel/attn/kernels/steel_attention.h"},
		template: fmt.Sprintf("attention, half, %d, %d, %d, 4, 1, half", bq, bk, d),
		constants: []metal.Constant{
			metal.Bool(200, length%bq == 0), metal.Bool(201, length%bk == 0),
			metal.Bool(300, mask != nil), metal.Bool(301, false), metal.Bool(302, false), // not causal, no sinks
		},
	}, [3]int{ceilDiv(length, bq), heads, batch}, [3]int{32, 4, 1}, arguments...)
	return out
}

// LayerNorm is LayerNorm::eval_gpu for rows of at most 6,656 halves: 8 elements a thread, one threadgroup a row.
func (r *Runner) LayerNorm(x, weight, bias Array, rows, h int, eps float32) Array {
	out := r.New(2 * rows * h)
	r.groups(kernel{
		name: "layer_normfloat16", includes: []string{"layer_norm.metal"}, // which instantiates it
	}, [3]int{rows, 1, 1}, [3]int{rowThreads(h, 8), 1, 1},
		bindArray(0, x), bindArray(1, weight), bindArray(2, bias), bindArray(3, out),
		bindBytes(4, eps), bindBytes(5, ints(h)), bindBytes(6, ints(1)), bindBytes(7, ints(1)))
	return out
}

// softmax is Softmax::eval_gpu with precise sums, as the fallback of attention asks for: 4 elements a thread.
func (r *Runner) softmax(x Array, rows, axis int) Array {
	out := r.New(2 * rows * axis)
	r.groups(kernel{
		name: "block_softmax_precise_float16", includes: []string{"utils.h", "softmax.h"},
		template: "softmax_single_row, half, float",
	}, [3]int{rows, 1, 1}, [3]int{rowThreads(axis, 4), 1, 1}, bindArray(0, x), bindArray(1, out), bindBytes(2, ints(axis)))
	return out
}
