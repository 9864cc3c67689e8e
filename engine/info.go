package engine

import (
	"cmp"
	"slices"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/weights"
)

// Info describes a loaded model.
type Info struct {
	Model        string // the folder's name, the hub's name for a folder of its cache, or the embedded model's name
	Revision     string // the commit on the hub, of a folder of its cache; else empty
	Architecture string // "BertForSequenceClassification"
	Config       weights.Config
	Parameters   int64 // elements of all tensors, quantised ones counted as dequantised
	DTypes       []DTypeCount
	Labels       []string
	Activation   string // from logits to scores: "sigmoid", "softmax", "identity", "tanh"
	MaxLength    int    // tokens in a pair, special tokens included, that the engine keeps
	// MaxBatchTokens is how many tokens one forward pass takes at most, unless a single pair has more.
	MaxBatchTokens int
	Tokenizer      TokenizerInfo
	Backend        backend.Info
	// Fallback is why the CPU computes although backend "auto" found a GPU: an error of the device, or of its self-check.
	// Empty: it doesn't.
	Fallback string
}

// DTypeCount sums up the tensors that are stored in one way.
type DTypeCount struct {
	DType   string // "F16", "U32", "Q4_0"
	Tensors int
	Bytes   int64
}

// Info describes the loaded model. It may be called on a closed Engine.
func (e *Engine) Info() Info {
	info := e.info
	info.Backend = *e.backendInfo.Load()
	if err := e.gpu.failure(); err != nil {
		info.Fallback = err.Error()
	}
	return info
}

// Card reads licence and origin of the model, as the front matter of its README.md states them. Errors: weights.ErrInvalid for
// a front matter that can't be read, weights.ErrClosed after Close.
func (e *Engine) Card() (weights.Card, error) { return e.checkpoint.Card() }

func (e *Engine) describe() Info {
	config := e.checkpoint.Config()
	info := Info{
		Model: e.checkpoint.Name(), Revision: e.checkpoint.Revision(), Architecture: config.Architecture, Config: config, Labels: config.Labels,
		Activation: e.activation.name, MaxLength: e.config.MaxLength,
		MaxBatchTokens: e.config.MaxBatchTokens, Tokenizer: e.tokenizer.info,
	}
	counts := map[string]DTypeCount{}
	for _, t := range e.checkpoint.Tensors() {
		c := counts[t.StoredAs()]
		counts[t.StoredAs()] = DTypeCount{DType: t.StoredAs(), Tensors: c.Tensors + 1, Bytes: c.Bytes + int64(t.SizeBytes())}
	}
	if whole, err := e.checkpoint.Weights(); err == nil { // no error: the backend has read it
		for _, t := range whole {
			info.Parameters += int64(t.Len())
		}
	}
	for _, c := range counts {
		info.DTypes = append(info.DTypes, c)
	}
	slices.SortFunc(info.DTypes, func(a, b DTypeCount) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return info
}
