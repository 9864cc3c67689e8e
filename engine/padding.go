package engine

import (
	"fmt"
	"slices"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/weights"
)

// padding is how a model treats tokens that transformers takes for padding, though they come from a text, such as "<pad>" in a
// document.
type padding struct {
	id, row  int32   // of a RoBERTa: the token's id, and its position; row 0: the model has none
	trailing []int32 // weights.Plan.Trailing
}

func newPadding(plan *weights.Plan, config weights.Config) padding {
	p := padding{trailing: plan.Trailing}
	if plan.Embeddings.Padding != nil {
		p.id, p.row = int32(config.PositionOffset-1), int32(plan.Positions)
	}
	return p
}

// place gives padding tokens in a batch their position, and leaves them out of the positions of others.
func (p *padding) place(b *backend.Batch) {
	if p.row == 0 || !slices.Contains(b.IDs, p.id) {
		return
	}
	for i, start := range b.Starts[:b.Sequences()] {
		position := int32(0)
		for t := start; t < b.Starts[i+1]; t++ {
			if b.Positions[t] = p.row; b.IDs[t] != p.id {
				b.Positions[t] = position
				position++
			}
		}
	}
}

// withoutTrailing returns how many tokens of a sequence there are up to the one whose row gives the score. The others are needed
// where they are seen, which is an error; in a causal model no token sees a later one.
func (p *padding) withoutTrailing(ids []int32, causal bool) (int, error) {
	n := len(ids)
	for n > 1 && slices.Contains(p.trailing, ids[n-1]) {
		n--
	}
	if n < len(ids) && !causal {
		return n, fmt.Errorf("%w: the text ends with token %d, which is padding (pad_token_id of config.json): a model that reads "+
			"in both directions takes its score from the token before it, which is not supported", ErrTokenizer, ids[n])
	}
	return n, nil
}
