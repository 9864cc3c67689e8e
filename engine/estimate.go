package engine

import (
	"math"
	"sync/atomic"
)

// A request is admitted by an estimate of its tokens from its bytes, before it is tokenised: an overloaded server refuses
// at once, and not when most of the work is done. The actual tokens are admitted after that.

// tokenRate is the number of tokens per byte of recent texts. It is low at first, so that the first requests are not
// refused for tokens that they don't have.
type tokenRate struct{ bits atomic.Uint64 }

const firstTokenRate = 1. / 8

func (r *tokenRate) get() float64 {
	if bits := r.bits.Load(); bits != 0 {
		return math.Float64frombits(bits)
	}
	return firstTokenRate
}

// add lets the last texts count for a tenth. Of two concurrent calls one may be lost.
func (r *tokenRate) add(tokens, bytes int) {
	if bytes > 0 {
		r.bits.Store(math.Float64bits(0.9*r.get() + 0.1*float64(tokens)/float64(bytes)))
	}
}

// estimateTokens returns how many tokens pairs are likely to have once they are cut.
func (e *Engine) estimateTokens(pairs []Pair, options *Options) int {
	most := e.config.MaxLength
	if options.MaxPairTokens != 0 {
		most = min(most, options.MaxPairTokens)
	}
	rate, sum := e.rate.get(), 0
	for i := range pairs {
		sum += min(most, 1+int(rate*float64(e.bytes(pairs, i))))
	}
	return sum
}

// bytes is the text of pair i: of a query that is computed once for several pairs, that of the first.
func (e *Engine) bytes(pairs []Pair, i int) int {
	p := &pairs[i]
	if p.NoQuery || i > 0 && e.sharesPrefixes() && !pairs[i-1].NoQuery && pairs[i-1].Query == p.Query {
		return len(p.Document)
	}
	return len(p.Query) + len(p.Document)
}

// learn corrects the rate by the pairs that were not cut.
func (e *Engine) learn(pairs []Pair, sequences []sequence) {
	tokens, bytes, shares := 0, 0, e.sharesPrefixes()
	for i := range sequences {
		if n := len(sequences[i].ids); n < e.config.MaxLength {
			if shares {
				n -= shared(sequences, i)
			}
			tokens, bytes = tokens+n, bytes+e.bytes(pairs, i)
		}
	}
	e.rate.add(tokens, bytes)
}

// unreserve releases the tokens that enter has reserved.
func (e *Engine) unreserve(client string, expected int) {
	e.dispatcher.mu.Lock()
	e.queue.Release(client, expected)
	e.dispatcher.mu.Unlock()
}
