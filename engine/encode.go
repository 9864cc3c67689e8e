package engine

import (
	"context"
	"fmt"
	"math"

	"github.com/metalrank/metalrank/parallel"
)

// sequence is one tokenised pair, special tokens included.
type sequence struct {
	ids, types []int32 // [L]
}

// encode tokenises pairs in parallel; results are in the order of the pairs. A query that several neighbours share,
// as all documents of a rerank request do, is tokenised once.
func (e *Engine) encode(ctx context.Context, pairs []Pair, options *Options) ([]sequence, error) {
	var (
		distinct []string                  // queries, without repetition of neighbours
		queryOf  = make([]int, len(pairs)) // index into distinct
	)
	for i := range pairs {
		if i == 0 || pairs[i].Query != pairs[i-1].Query || pairs[i].Alone != pairs[i-1].Alone {
			query := pairs[i].Query
			if pairs[i].Alone {
				query = ""
			}
			distinct = append(distinct, query)
		}
		queryOf[i] = len(distinct) - 1
	}
	queries := make([][]int32, len(distinct))
	err := parallel.For(ctx, len(distinct), 0, func(i int) (err error) {
		queries[i], err = e.encodeCut(ctx, distinct[i], math.MaxInt, options.MaxQueryTokens, options.Truncation)
		return err
	})
	if err != nil {
		return nil, err
	}
	sequences := make([]sequence, len(pairs))
	err = parallel.For(ctx, len(pairs), 0, func(i int) (err error) {
		template := e.tokenizer.pair
		if pairs[i].Alone {
			template = e.tokenizer.single
		}
		sequences[i], err = e.encodePair(ctx, template, queries[queryOf[i]], pairs[i].Document, i, options)
		return err
	})
	return sequences, err
}

// encodeText is tokenizer.encode by way of the cache.
func (e *Engine) encodeText(ctx context.Context, text string, need int) ([]int32, error) {
	if text == "" {
		return nil, ctx.Err()
	}
	if ids, ok := e.tokens.get(text, need); ok {
		return ids, nil
	}
	ids, whole, err := e.tokenizer.encode(ctx, text, need)
	if err != nil {
		return nil, err
	}
	e.tokens.put(text, ids, whole)
	return ids, nil
}

// encodeCut returns at least the first need tokens of text, and at most so many, 0 being no limit, cut as mode says.
func (e *Engine) encodeCut(ctx context.Context, text string, need, most int, mode Truncation) ([]int32, error) {
	if most > 0 && mode != TruncateLeft {
		need = min(need, most)
	}
	ids, err := e.encodeText(ctx, text, need)
	if most > 0 && len(ids) > most {
		ids = mode.cut(ids, most)
	}
	return ids, err
}

// encodePair tokenises the document of pair index and joins it with the query's tokens q, of which there are none where the
// template is of one text.
func (e *Engine) encodePair(
	ctx context.Context, template *textTemplate, q []int32, document string, index int, options *Options,
) (sequence, error) {
	if template == nil {
		return sequence{}, fmt.Errorf("%w: tokenizer.json doesn't say how a text alone is put together", ErrTokenizer)
	}
	mode, most := options.Truncation, e.config.MaxLength
	if options.MaxPairTokens != 0 {
		most = min(most, options.MaxPairTokens)
	}
	limit := most - template.specials
	need := math.MaxInt
	if mode == TruncateRight {
		need = documentNeed(len(q), limit)
	}
	d, err := e.encodeCut(ctx, document, need, options.MaxDocumentTokens, mode)
	if err != nil {
		return sequence{}, err
	}
	if length := len(q) + len(d); mode == TruncateNever && length > limit {
		return sequence{}, &LengthError{Index: index, Tokens: length + template.specials, Limit: most}
	}
	keepQ, keepD := longestFirst(len(q), len(d), limit)
	s := template.assemble(mode.cut(q, keepQ), mode.cut(d, keepD))
	return s, e.checkIDs(s.ids)
}

// checkIDs finds a token that the model has no embedding of. Here it costs its own request; in a batch it would cost all.
func (e *Engine) checkIDs(ids []int32) error {
	vocab := int32(e.checkpoint.Config().VocabSize)
	for _, id := range ids {
		if id < 0 || id >= vocab {
			return fmt.Errorf("%w: it gives token id %d, the model has %d", ErrTokenizer, id, vocab)
		}
	}
	return nil
}
