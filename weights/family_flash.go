package weights

import "strconv"

// flashLayer looks up a layer of a BERT under the names of flash-attention's models/bert.py, as jina-reranker-v2 has it. It
// computes the same.
func flashLayer(r *resolver, i int) Layer {
	at, h, f := "encoder.layers."+strconv.Itoa(i)+".", r.c.config.HiddenSize, r.c.config.FeedForward
	qkv := r.packed(at+"mixer.Wqkv", h, true, h, h, h)
	return Layer{
		Query: qkv[0], Key: qkv[1], Value: qkv[2],
		Output:        r.linear(at+"mixer.out_proj", h, h, true),
		AttentionNorm: r.norm(at+"norm1", h),
		Inner:         r.linear(at+"mlp.fc1", f, h, true),
		Outer:         r.linear(at+"mlp.fc2", h, f, true),
		OuterNorm:     r.norm(at+"norm2", h),
	}
}
