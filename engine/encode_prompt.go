package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/metalrank/metalrank/internal/parallel"
)

// encodePrompts is encode for a model with a prompt. All but the document is encoded once for a query, and never cut: the
// instruction and the query are what the document is judged by, and the end is where the score is read.
func (e *Engine) encodePrompts(ctx context.Context, pairs []Pair, options *Options) ([]sequence, error) {
	p := e.tokenizer.prompt
	instruction := cmp.Or(options.Instruction, e.config.Instruction)
	if instruction != "" && p.words.Instruct == nil {
		return nil, ErrNoInstruction
	}
	c := &caller{client: options.Client, weight: options.ClientWeight}
	opening, err := e.encodeOpening(ctx, c, instruction)
	if err != nil {
		return nil, err
	}
	firsts, queryOf := distinctQueries(pairs)
	prefixes := make([][]int32, len(firsts))
	err = parallel.For(ctx, len(firsts), 0, func(i int) (err error) {
		prefixes[i], err = e.encodeQuery(ctx, c, opening, &pairs[firsts[i]], firsts[i], options)
		return err
	})
	if err != nil {
		return nil, err
	}
	sequences := make([]sequence, len(pairs))
	err = parallel.For(ctx, len(pairs), 0, func(i int) (err error) {
		sequences[i], err = e.encodeDocument(ctx, c, prefixes[queryOf[i]], pairs[i].Document, i, options)
		return err
	})
	return sequences, err
}

// pairLimit is how many tokens a pair may have.
func (e *Engine) pairLimit(options *Options) int {
	if options.MaxPairTokens != 0 {
		return min(e.config.MaxLength, options.MaxPairTokens)
	}
	return e.config.MaxLength
}

// checkPromptLength returns an error if MaxLength leaves no room for a query and a document in the model's prompt.
func (e *Engine) checkPromptLength(ctx context.Context) error {
	if e.tokenizer.prompt == nil {
		return nil
	}
	_, err := e.encodePrompts(ctx, []Pair{{}}, &Options{})
	if length, ok := errors.AsType[*LengthError](err); ok {
		return wrong("MaxLength", e.config.MaxLength, "at least %d for this model's prompt", length.Tokens)
	}
	return err
}

// fixedTokens returns how many tokens a pair has that are never cut: with a prompt, all but the document's.
func (e *Engine) fixedTokens(ctx context.Context, query string) (int, error) {
	if e.tokenizer.prompt == nil {
		return 0, nil
	}
	encoded, err := e.encodePrompts(ctx, []Pair{{Query: query}}, &Options{})
	if err != nil {
		return 0, err
	}
	return len(encoded[0].ids), nil
}

// encodeOpening returns the tokens before the query's piece.
func (e *Engine) encodeOpening(ctx context.Context, c *caller, instruction string) ([]int32, error) {
	p := e.tokenizer.prompt
	parts := p.plain
	if i := p.words.Instruct; i != nil {
		if instruction = cmp.Or(instruction, i.Default); instruction != "" {
			parts = join(join(p.lead, []part{{text: instruction}}), p.start)
		}
	}
	ids := slices.Clone(p.opening)
	for _, part := range parts {
		if part.text == "" {
			ids = append(ids, part.id)
			continue
		}
		more, err := e.encodeText(ctx, c, part.text, all, front)
		if err != nil {
			return nil, err
		}
		ids = append(ids, more...)
	}
	return ids, nil
}

// encodeQuery returns the tokens before the documents of the query of pair index.
func (e *Engine) encodeQuery(ctx context.Context, c *caller, opening []int32, pair *Pair, index int, options *Options) ([]int32, error) {
	p, limit := e.tokenizer.prompt, e.pairLimit(options)
	if pair.NoQuery {
		return nil, fmt.Errorf("%w: the model's prompt is for a query and a document, and pair %d has no query", ErrTokenizer, index)
	}
	q, err := e.encodeSurrounded(ctx, c, &p.query, pair.Query, limit, options.MaxQueryTokens, options.Truncation)
	if err != nil {
		return nil, err
	}
	prefix := slices.Concat(opening, q, p.middle)
	if tokens := len(prefix) + p.document.least() + len(p.end); tokens > limit {
		return nil, &LengthError{Index: index, Tokens: tokens, Limit: limit, AtLeast: len(q) >= limit, Query: true}
	}
	return prefix, nil
}

// encodeDocument returns the sequence of the document of pair index.
func (e *Engine) encodeDocument(
	ctx context.Context, c *caller, prefix []int32, document string, index int, options *Options,
) (sequence, error) {
	p, limit := e.tokenizer.prompt, e.pairLimit(options)
	room := limit - len(prefix) - len(p.end)
	need := room + 1
	if options.Truncation == TruncateNever {
		need = max(need, countedTokens)
	}
	d, err := e.encodeSurrounded(ctx, c, &p.document, document, need, options.MaxDocumentTokens, options.Truncation)
	if err != nil {
		return sequence{}, err
	}
	if len(d) > room {
		if options.Truncation == TruncateNever {
			return sequence{}, &LengthError{Index: index, Tokens: limit - room + len(d), Limit: limit, AtLeast: len(d) >= need}
		}
		d = p.document.cut(d, room, options.Truncation)
	}
	s := sequence{ids: slices.Concat(prefix, d, p.end), prefix: len(prefix)}
	n, err := e.padding.withoutTrailing(s.ids, e.prefixes)
	if err != nil {
		return sequence{}, err
	}
	s.ids = s.ids[:n]
	s.types = make([]int32, len(s.ids))
	return s, e.checkIDs(s.ids)
}

// encodeSurrounded returns at least need tokens of a piece, from the end that mode keeps. The text has no more of them than most;
// 0: no limit.
func (e *Engine) encodeSurrounded(
	ctx context.Context, c *caller, s *surrounded, text string, need, most int, mode Truncation,
) ([]int32, error) {
	if most > 0 {
		most += len(s.head) + len(s.tail)
		need = min(need, most+1)
	}
	from := front
	if mode == TruncateLeft {
		from = back
	}
	ids, err := e.encodeText(ctx, c, s.before+text+s.after, need, from)
	if err == nil && most > 0 && len(ids) > most {
		ids = s.cut(ids, most, mode)
	}
	return ids, err
}
