package gpu

import (
	"fmt"
	"slices"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/weights"
)

// supported are the operations beyond a BERT's that this package has.
var supported = []weights.Operation{
	weights.NormBefore, weights.GatedFeedForward, weights.RotaryPositions, weights.WindowAttention, weights.NoPositions,
	weights.NoNorm, weights.DistanceBias, weights.MeanPool, weights.OtherHead, weights.Disentangled,
	weights.LastPool, weights.CausalAttention, weights.GroupedHeads, weights.FreeHeads, weights.HeadNorms, weights.RMSNorm,
}

// Supports returns a *backend.UnsupportedError if a model has operations that there are no kernels for.
func Supports(p *weights.Plan, driver string) error {
	lacking := p.Lacking(supported...)
	if lacking == "" {
		lacking = unusual(p)
	}
	if lacking != "" {
		return &backend.UnsupportedError{Backend: driver, Operation: lacking}
	}
	return nil
}

// unusual names a form of a supported operation that there is no kernel for. Empty: all have one.
func unusual(p *weights.Plan) string {
	rms := func(n *weights.Norm) bool { return n != nil && n.RMS }
	causal := p.Layers[0].Attention.Causal
	switch first := p.FirstNorm; {
	case first != nil && (!p.KeepSum || p.Embeddings.Norm != nil || p.Embeddings.Projection != nil):
		return "a norm between embeddings and the first layer behind a norm or a projection of them"
	case rms(p.Embeddings.Norm):
		return "embeddings with a norm without a mean (RMS)"
	case causal && p.Pool == weights.PoolFirst:
		return "causal attention and a head of first tokens"
	case slices.ContainsFunc(p.Head, func(s weights.Step) bool { return rms(s.Norm) }):
		return "a head with a norm without a mean (RMS)"
	}
	for i := range p.Layers {
		l := &p.Layers[i]
		a := &l.Attention
		switch {
		case a.Size > kernels.MaxHeadSize || a.Size%4 != 0:
			return fmt.Sprintf("heads of %d values", a.Size)
		case a.Causal != causal:
			return "some causal layers among others"
		case (a.QueryNorm == nil) != (a.KeyNorm == nil):
			return "norms of queries or of keys alone"
		case a.QueryNorm != nil && !(rms(a.QueryNorm) && rms(a.KeyNorm)):
			return "norms of queries and keys with a mean"
		case !p.KeepSum && (rms(l.AttentionNorm) || rms(l.OuterNorm)):
			return "norms without a mean (RMS) after attention"
		case a.Relative != nil && rms(a.Relative.Norm):
			return "a table of positions with a norm without a mean (RMS)"
		case a.Relative != nil && (a.Heads*a.Size != p.Hidden || a.KeyHeads != a.Heads):
			return "disentangled attention of heads that share keys or are not as wide together as the model"
		}
	}
	return ""
}
