package cpu

/*
#include "forward.h"
*/
import "C"

import (
	"errors"
	"fmt"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/weights"
)

// setHeads sets the sizes of heads, which all layers have in common.
func setHeads(m *C.struct_model, p *weights.Plan) error {
	first := &p.Layers[0].Attention
	for i := range p.Layers {
		a := &p.Layers[i].Attention
		if a.Heads != first.Heads || a.KeyHeads != first.KeyHeads || a.Size != first.Size {
			return &backend.UnsupportedError{Backend: "cpu", Operation: "layers with heads of different numbers or sizes"}
		}
		if (a.QueryNorm != nil || a.KeyNorm != nil) && a.Size > C.MOST_NORMED {
			return fmt.Errorf("cpu: heads of %d values with norms of their own, want at most %d", a.Size, C.MOST_NORMED)
		}
	}
	m.heads, m.key_heads, m.size = C.int(first.Heads), C.int(first.KeyHeads), C.int(first.Size)
	m.queries_padded, m.keys_padded = C.int(roundUp(first.Heads*first.Size, pad)), C.int(roundUp(first.KeyHeads*first.Size, pad))
	return nil
}

// checkPrefixes refuses prefixes of a model that takes none, and a sequence that is longer with its prefix than any may be.
func (b *Backend) checkPrefixes(batch *backend.Batch) error {
	if batch.Prefixes != nil && !b.info.Prefixes {
		return errors.New("cpu: the batch has prefixes, which only causal models take that pool the last token")
	}
	for i := range batch.Prefixes {
		start, stop := batch.Prefix(i)
		if tokens := stop - start + int(batch.Starts[i+1]-batch.Starts[i]); tokens > b.plan.Positions {
			return fmt.Errorf("cpu: sequence %d has %d tokens with its prefix, the model has %d positions", i, tokens, b.plan.Positions)
		}
	}
	return nil
}
