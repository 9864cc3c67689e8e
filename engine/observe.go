package engine

import (
	"context"
	"errors"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/reference"
)

// observedPairs is how many pairs Observe scores at a time, which keeps a call below the limits of the queue.
const observedPairs = 64

// Observe scores pairs on the reference backend, whichever backend config names, and calls f with the inputs of the model's
// linear layers. f is called from one goroutine at a time, and must not keep the rows.
func Observe(ctx context.Context, config Config, pairs []Pair, f func(layers []string, rows []float64, width int)) (err error) {
	config.Backend, config.Precision, config.Replicas = BackendReference, "", 1
	config.wrap = func(b backend.Backend) (backend.Backend, error) {
		r, ok := b.(*reference.Backend)
		if !ok {
			panic("BUG: engine: the reference backend is another")
		}
		r.Observe(f)
		return b, nil
	}
	e, err := Open(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	for len(pairs) > 0 {
		n := min(observedPairs, len(pairs))
		if _, err := e.Score(ctx, pairs[:n], Options{RawScores: true}); err != nil {
			return err
		}
		pairs = pairs[n:]
	}
	return nil
}
