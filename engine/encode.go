package engine

import (
	"context"
	"math"

	"github.com/metalrank/metalrank/parallel"
)

// sequence is one tokenised pair, special tokens included.
type sequence struct {
	ids, types []int32 // [L]
}

// encode tokenises pairs in parallel; results are in the order of the pairs. A query that several neighbours share,
// as all documents of a rerank request do, is tokenised once.
func (e *Engine) encode(ctx context.Context, pairs []Pair, mode Truncation) ([]sequence, error) {
	var (
		distinct []string                  // queries, without repetition of neighbours
		queryOf  = make([]int, len(pairs)) // index into distinct
	)
	for i := range pairs {
		if i == 0 || pairs[i].Query != pairs[i-1].Query {
			distinct = append(distinct, pairs[i].Query)
		}
		queryOf[i] = len(distinct) - 1
	}
	queries := make([][]int32, len(distinct))
	err := parallel.For(ctx, len(distinct), 0, func(i int) (err error) {
		queries[i], err = e.tokenizer.encode(ctx, distinct[i], math.MaxInt)
		return err
	})
	if err != nil {
		return nil, err
	}
	sequences := make([]sequence, len(pairs))
	err = parallel.For(ctx, len(pairs), 0, func(i int) (err error) {
		sequences[i], err = e.encodePair(ctx, queries[queryOf[i]], pairs[i].Document, i, mode)
		return err
	})
	return sequences, err
}

// encodePair tokenises the document of pair index and joins it with the query's tokens q.
func (e *Engine) encodePair(ctx context.Context, q []int32, document string, index int, mode Truncation) (sequence, error) {
	template := e.tokenizer.pair
	limit := e.config.MaxLength - template.specials
	need := math.MaxInt
	if mode == TruncateRight {
		need = documentNeed(len(q), limit)
	}
	d, err := e.tokenizer.encode(ctx, document, need)
	if err != nil {
		return sequence{}, err
	}
	if length := len(q) + len(d); mode == TruncateNever && length > limit {
		return sequence{}, &LengthError{Index: index, Tokens: length + template.specials, Limit: e.config.MaxLength}
	}
	keepQ, keepD := longestFirst(len(q), len(d), limit)
	return template.assemble(mode.cut(q, keepQ), mode.cut(d, keepD)), nil
}
