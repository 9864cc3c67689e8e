//go:build !race

package engine

import (
	"context"
	"testing"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// Apart from its tokens and scores, a call costs no memory.
func TestRunDoesNotAllocate(t *testing.T) {
	e := openTest(t, weightstest.Tiny(), Config{wrap: wrapped(func(b backend.Backend) backend.Backend { return hashing{b, nil} })})
	sequences, err := e.encode(t.Context(), mixedPairs(8), &Options{})
	if err != nil {
		t.Fatal(err)
	}
	logits := make([]float32, len(sequences))
	run := func() {
		var stats Stats
		if err := e.dispatcher.run(context.Background(), e, e.newJob(sequences, logits), &stats); err != nil {
			t.Error(err)
		}
	}
	run()
	if n := testing.AllocsPerRun(1000, run); n >= 1 {
		t.Errorf("a call allocates %v times", n)
	}
}
