package engine

import (
	"slices"

	"github.com/metalrank/metalrank/engine/backend"
)

// A causal model computes the same keys and values for a token whatever comes after it. So the documents of a request share
// those of the tokens before them, a prompt and the query: a batch has these once, as a sequence of its own.

// sharesPrefixes says whether the backend takes batches with prefixes of the model.
func (e *Engine) sharesPrefixes() bool { return e.prefixes && e.backendInfo.Load().Prefixes }

// shared is how many tokens at the beginning of sequence i a batch may compute once with the sequence before it: all those
// before the document, if they are the same. Each sequence keeps at least a token of its own.
func shared(sequences []sequence, i int) int {
	if i == 0 {
		return 0
	}
	a, b, n := &sequences[i-1], &sequences[i], sequences[i].prefix
	if n != a.prefix || n >= min(len(a.ids), len(b.ids)) || !slices.Equal(a.ids[:n], b.ids[:n]) || !slices.Equal(a.types[:n], b.types[:n]) {
		return 0
	}
	return n
}

// pack appends sequences to a batch, each prefix right before the sequences that follow it. shared is that of each sequence
// with the one before it; nil: no sequence shares.
func pack(b *backend.Batch, sequences []sequence, shared []int32) {
	prefix, length := -1, 0
	for i := range sequences {
		q := &sequences[i]
		if i == 0 || shared == nil || shared[i] == 0 { // it follows no sequence before it
			prefix, length = -1, 0
			if i+1 < len(sequences) && shared != nil && shared[i+1] > 0 {
				prefix, length = b.Sequences(), int(shared[i+1])
				b.Append(q.ids[:length], q.types[:length])
			}
		}
		b.AppendAfter(prefix, q.ids[length:], q.types[length:])
	}
}

// withoutPrefixes moves the rows of logits of a batch's sequences [B, C] together, without those of prefixes, each of which
// is right before the first sequence that follows it.
func withoutPrefixes(b *backend.Batch, logits []float32, labels int) []float32 {
	if b.Prefixes == nil {
		return logits
	}
	kept := logits[:0]
	for i := range b.Prefixes {
		if i+1 == len(b.Prefixes) || int(b.Prefixes[i+1]) != i {
			kept = append(kept, logits[i*labels:(i+1)*labels]...)
		}
	}
	return kept
}
