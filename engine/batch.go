package engine

import (
	"context"
	"fmt"

	"github.com/metalrank/metalrank/engine/backend"
)

// forward runs sequences through the backend in batches of at most MaxBatchTokens, cut between sequences; a longer
// sequence is a batch of its own. logits is [n, C].
func (e *Engine) forward(ctx context.Context, sequences []sequence, logits []float32) error {
	var batch backend.Batch
	for len(sequences) > 0 {
		n := fitting(sequences, e.config.MaxBatchTokens)
		batch.Reset()
		for _, s := range sequences[:n] {
			batch.Append(s.ids, s.types)
		}
		values := n * len(e.labels)
		if err := e.runBatch(ctx, &batch, logits[:values]); err != nil {
			return err
		}
		sequences, logits = sequences[n:], logits[values:]
	}
	return nil
}

// fitting returns how many of the first sequences make a batch: at least one.
func fitting(sequences []sequence, maxTokens int) int {
	tokens := 0
	for i := range sequences {
		if tokens += len(sequences[i].ids); tokens > maxTokens && i > 0 {
			return i
		}
	}
	return len(sequences)
}

func (e *Engine) runBatch(ctx context.Context, batch *backend.Batch, out []float32) error {
	select {
	case e.forwards <- struct{}{}:
		defer func() { <-e.forwards }()
	case <-ctx.Done():
		return ctx.Err()
	}
	err := e.backend.Forward(ctx, batch, out)
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", ErrBackend, err)
}
