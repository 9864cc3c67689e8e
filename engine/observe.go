package engine

import (
	"context"
	"errors"

	"github.com/metalrank/metalrank/engine/reference"
)

// Observe scores pairs on the reference backend, whatever config says of backends, and shows f what enters the linear
// layers of the model meanwhile. f is called from one goroutine at a time, and must not keep the rows.
func Observe(ctx context.Context, config Config, pairs []Pair, f func(layers []string, rows []float64, width int)) error {
	config.Backend, config.Precision = BackendReference, ""
	e, err := Open(ctx, config)
	if err != nil {
		return err
	}
	b, ok := e.backend.(*reference.Backend)
	if !ok {
		panic("BUG: engine: the reference backend is another")
	}
	b.Observe(f)
	_, err = e.Score(ctx, pairs, Options{RawScores: true})
	return errors.Join(err, e.Close())
}
