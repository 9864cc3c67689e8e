package engine

import (
	"context"
	"fmt"

	"github.com/metalrank/metalrank/internal/parallel"
)

// sequence is one tokenised pair, special tokens included.
type sequence struct {
	ids, types []int32 // [L]
	prefix     int     // tokens before the document, as other documents of its query have them
}

// encode tokenises pairs in parallel; results are in the order of the pairs. A query that several neighbours share,
// as all documents of a rerank request do, is tokenised once.
func (e *Engine) encode(ctx context.Context, pairs []Pair, options *Options) ([]sequence, error) {
	if options.Truncation == TruncateRight && e.tokenizer.truncatesLeft {
		left := *options
		left.Truncation = TruncateLeft
		options = &left
	}
	if e.tokenizer.prompt != nil {
		return e.encodePrompts(ctx, pairs, options)
	}
	if options.Instruction != "" {
		return nil, ErrNoInstruction
	}
	firsts, queryOf := distinctQueries(pairs)
	c := &caller{client: options.Client, weight: options.ClientWeight}
	queries := make([][]int32, len(firsts))
	err := parallel.For(ctx, len(firsts), 0, func(i int) (err error) {
		query := ""
		if first := &pairs[firsts[i]]; !first.NoQuery {
			query = e.tokenizer.prefix + first.Query
		}
		queries[i], err = e.encodeCut(ctx, c, query, all, options.MaxQueryTokens, options.Truncation)
		return err
	})
	if err != nil {
		return nil, err
	}
	sequences := make([]sequence, len(pairs))
	err = parallel.For(ctx, len(pairs), 0, func(i int) (err error) {
		template, document := e.tokenizer.pair, pairs[i].Document
		if pairs[i].NoQuery {
			template, document = e.tokenizer.single, e.tokenizer.prefix+document
		}
		sequences[i], err = e.encodePair(ctx, c, template, queries[queryOf[i]], document, i, options)
		return err
	})
	return sequences, err
}

// distinctQueries returns the first pair of each query, without repetition of neighbours, and for each pair the index of its
// query in that list.
func distinctQueries(pairs []Pair) (firsts, queryOf []int) {
	queryOf = make([]int, len(pairs))
	for i := range pairs {
		if i == 0 || pairs[i].Query != pairs[i-1].Query || pairs[i].NoQuery != pairs[i-1].NoQuery {
			firsts = append(firsts, i)
		}
		queryOf[i] = len(firsts) - 1
	}
	return firsts, queryOf
}

// encodeText is tokenizer.encode by way of the cache, which has only beginnings of texts.
func (e *Engine) encodeText(ctx context.Context, c *caller, text string, need int, from end) ([]int32, error) {
	if text == "" {
		return nil, ctx.Err()
	}
	least := need
	if from == back {
		least = all
	}
	if ids, ok := e.tokens.get(text, least); ok {
		return ids, nil
	}
	ids, whole, err := e.tokenizer.encode(ctx, c, text, need, from)
	if err != nil {
		return nil, err
	}
	if whole || from == front {
		e.tokens.put(text, ids, whole)
	}
	return ids, nil
}

// encodeCut returns at least need tokens of text from the end that mode keeps, and at most most; 0: no limit.
func (e *Engine) encodeCut(ctx context.Context, c *caller, text string, need, most int, mode Truncation) ([]int32, error) {
	if most > 0 {
		need = min(need, most)
	}
	from := front
	if mode == TruncateLeft {
		from = back
	}
	ids, err := e.encodeText(ctx, c, text, need, from)
	if most > 0 && len(ids) > most {
		ids = mode.cut(ids, most)
	}
	return ids, err
}

// countedTokens is how many tokens of a document are counted for a *LengthError. A larger count is of no use.
const countedTokens = 1 << 14

// encodePair tokenises the document of pair index and joins it with the query's tokens q, which are empty where the
// template is of one text.
func (e *Engine) encodePair(
	ctx context.Context, c *caller, template *textTemplate, q []int32, document string, index int, options *Options,
) (sequence, error) {
	if template == nil {
		return sequence{}, fmt.Errorf("%w: tokenizer.json doesn't say how a text alone is put together", ErrTokenizer)
	}
	mode, most := options.Truncation, e.config.MaxLength
	if options.MaxPairTokens != 0 {
		most = min(most, options.MaxPairTokens)
	}
	limit := most - template.specials
	need := documentNeed(len(q), limit)
	if mode == TruncateNever {
		need = max(need, countedTokens)
	}
	d, err := e.encodeCut(ctx, c, document, need, options.MaxDocumentTokens, mode)
	if err != nil {
		return sequence{}, err
	}
	if length := len(q) + len(d); mode == TruncateNever && length > limit {
		return sequence{}, &LengthError{Index: index, Tokens: length + template.specials, Limit: most, AtLeast: len(d) >= need}
	}
	keepQ, keepD := longestFirst(len(q), len(d), limit)
	s := template.assemble(mode.cut(q, keepQ), mode.cut(d, keepD))
	if len(s.ids) == 0 { // no forward pass takes it, and the scheduler would never run it
		return sequence{}, fmt.Errorf("%w: pair %d has no tokens, as the texts have none and tokenizer.json adds none", ErrTokenizer, index)
	}
	return s, e.checkIDs(s.ids)
}

// checkIDs returns an error for a token that the model has no embedding of. Here only its request fails; in a batch all
// would.
func (e *Engine) checkIDs(ids []int32) error {
	vocab := int32(e.checkpoint.Config().VocabSize)
	for _, id := range ids {
		if id < 0 || id >= vocab {
			return fmt.Errorf("%w: it gives token id %d, the model has %d", ErrTokenizer, id, vocab)
		}
	}
	return nil
}
