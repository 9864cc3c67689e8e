package weights

import (
	"math"
	"strconv"
	"strings"
)

// jina is JinaBERT (Günther et al. 2023): a BERT whose scores fall with distance, with a gated feed-forward block. Its configs
// have BERT's model_type, and its names are those of modeling_bert.py in jinaai/jina-bert-implementation. Its variant of
// jinaai/jina-bert-v2-qk-post-norm, with norms of queries and keys, is no cross-encoder that was published.
func (f *fields) jina(c *Config) architecture {
	b := &bertLike{slopes: alibiSlopes(c.Heads), layer: jinaLayer}
	kind, code := f.text("feed_forward_type", "original"), f.customCode()
	switch {
	case kind == "original":
		b.layer = bertLayer
	case kind == "geglu":
		c.Activation = GELU
	case kind == "reglu":
		c.Activation = ReLU
	case f.err == nil:
		f.err = unsupportedf("%s: feed_forward_type: %s, want \"original\", \"geglu\" or \"reglu\"", f.file, quote(kind))
	}
	if strings.Contains(code, "qk-post-norm") && f.err == nil {
		f.err = unsupportedf("%s: auto_map: %s: norms of queries and keys are not supported; nearest is %s", f.file, quote(code), likeJina)
	}
	return b
}

// alibiSlopes returns the slope of each head: 2^(-8 i/n) for n heads, i from 1. Where n is no power of two, the greatest one
// below it has its slopes, then come every second of twice that (Press et al. 2022, get_slopes in its code).
func alibiSlopes(heads int) []float32 {
	whole := 1
	for 2*whole <= heads {
		whole *= 2
	}
	slopes := make([]float32, heads)
	for i := range slopes {
		power := -8 * float64(i+1) / float64(whole)
		if i >= whole {
			power = -8 * (float64(i-whole) + 0.5) / float64(whole)
		}
		slopes[i] = float32(math.Exp2(power))
	}
	return slopes
}

func jinaLayer(r *resolver, i int) Layer {
	at, h, f := "encoder.layer."+strconv.Itoa(i)+".", r.c.config.HiddenSize, r.c.config.FeedForward
	l := bertAttention(r, at)
	inner := r.packed(at+"mlp.gated_layers", h, false, f, f)
	l.Gate, l.Inner = &inner[0], inner[1]
	l.Outer = r.linear(at+"mlp.wo", h, f, true)
	l.OuterNorm = r.norm(at+"mlp.layernorm", h)
	return l
}
