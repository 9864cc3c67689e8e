package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/weights"
)

// NonFiniteError says that a pair has no score: a number of its forward pass is NaN or infinite. It is an ErrBackend.
type NonFiniteError struct {
	Index int // of the pair or document, from 0; -1: of the pairs that Open tries
	// Tensor is the first tensor of the checkpoint with a weight that is not finite, and Element and Value are that
	// weight's index and value. Empty: all weights are finite, and numbers have become too large for the arithmetic.
	Tensor  string
	Element int
	Value   float32
	DType   string // of the arithmetic, as in backend.Info
}

// Error implements error.
func (e *NonFiniteError) Error() string {
	pair := fmt.Sprintf("pair %d", e.Index)
	if e.Index < 0 {
		pair = "a pair of plain text"
	}
	return fmt.Sprintf("%v: %s has no finite score: %s", ErrBackend, pair, e.Reason())
}

// Reason returns the cause and the remedy.
func (e *NonFiniteError) Reason() string {
	switch {
	case e.Tensor != "":
		return fmt.Sprintf("element %d of the checkpoint's tensor %q is %g: its weights are damaged, get them again", e.Element, e.Tensor, e.Value)
	case e.DType == "float32" || e.DType == "float64":
		return fmt.Sprintf("the checkpoint's weights are finite, but numbers become too large for %s: the model can't be used", e.DType)
	}
	return fmt.Sprintf("numbers become too large for %s: use --precision fp32", e.DType)
}

// Unwrap makes it an ErrBackend.
func (e *NonFiniteError) Unwrap() error { return ErrBackend }

// badWeight is the first weight of a checkpoint that is not finite.
type badWeight struct {
	once    sync.Once
	tensor  string // empty: there is none
	element int
	value   float32
}

// find reads all weights once.
func (b *badWeight) find(checkpoint *weights.Checkpoint) {
	b.once.Do(func() {
		tensors, err := checkpoint.Weights()
		if err != nil {
			return // no error is expected: the backend has read them
		}
		const chunk = 1 << 14
		for _, t := range tensors {
			if !t.IsNumeric() {
				continue
			}
			start := 0
			for piece, err := range checkpoint.Pieces(t, chunk) {
				if err != nil {
					return // the file has changed since
				}
				values := make([]float32, piece.Len())
				piece.Float32s(values, 0)
				if i := slices.IndexFunc(values, func(v float32) bool { return !isFinite(v) }); i >= 0 {
					b.tensor, b.element, b.value = t.Name, start+i, values[i]
					return
				}
				start += len(values)
			}
		}
	})
}

func isFinite(v float32) bool { return v-v == 0 }

// nonFinite returns an error for the first pair with a logit that is not finite, or nil if there is none. logits is [n, C].
func (e *Engine) nonFinite(logits []float32, dtype string) *NonFiniteError {
	i := slices.IndexFunc(logits, func(v float32) bool { return !isFinite(v) })
	if i < 0 {
		return nil
	}
	bad := &e.badWeight
	bad.find(e.checkpoint)
	return &NonFiniteError{Index: i / len(e.labels), Tensor: bad.tensor, Element: bad.element, Value: bad.value, DType: dtype}
}

// plainPairs are pairs that any reranker must be able to score.
var plainPairs = []Pair{
	{Query: "how big is a panda?", Document: "A panda is a bear."},
	{Query: "2024-01-01", Document: "東京: {1, 2}"},
}

// tryPairs runs plainPairs on the CPU where activations are narrower than float32: a model with numbers that don't fit
// fails when it is opened. On a GPU, selfCheck does so.
func (e *Engine) tryPairs(ctx context.Context, b backend.Backend) error {
	info := b.Info()
	if info.Name != BackendCPU || info.DType == "float32" {
		return nil
	}
	var batch backend.Batch
	for i := range plainPairs {
		sequences, err := e.encode(ctx, plainPairs[i:i+1], &Options{})
		if err != nil {
			continue // a request with such a text is refused by itself
		}
		batch.Append(sequences[0].ids, sequences[0].types)
	}
	logits := make([]float32, batch.Sequences()*len(e.labels))
	if err := b.Forward(ctx, &batch, logits); err != nil {
		return fmt.Errorf("%w: %w", ErrBackend, err)
	}
	if bad := e.nonFinite(logits, info.DType); bad != nil {
		bad.Index = -1
		return bad
	}
	return nil
}
