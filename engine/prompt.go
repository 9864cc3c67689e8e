package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/metalrank/metalrank/weights"
)

// usualPromptTokens is the most tokens of a pair of a decoder unless a configuration says otherwise: the cards of
// Qwen3-Reranker and of mxbai-rerank-v2 have 8192. Their tables of positions allow many more.
const usualPromptTokens = 8192

// prompt is a decoder's text as its tokenizer reads it. It is encoded in pieces, which have the tokens of the whole: it is cut in
// its literal text, where the pre-tokeniser ends a word whatever the texts beside it are (cutter.at), and at special tokens.
// So the query is encoded once for all documents. Pieces are, in order: the start with the instruction; the query with the
// literal text that touches it; the middle; the document with its literal text; the end.
type prompt struct {
	words    *weights.Prompt
	lead     []part // before the instruction
	start    []part // after it, up to the query's piece
	plain    []part // in place of lead, instruction and start where there is no instruction
	query    surrounded
	middle   []int32 // tokens after the query's piece
	document surrounded
	end      []int32
	opening  []int32 // the tokenizer's own special tokens before all
}

// part is a special token or text in a prompt.
type part struct {
	id   int32
	text string // "": the token id
}

// surrounded is a text of a call in its piece.
type surrounded struct {
	before, after string
	// head and tail are the tokens of before and after, but not those of white space before the text, which they share. A
	// text that is cut keeps them.
	head, tail []int32
}

// least is the fewest tokens of a piece that is cut: one of the text's.
func (s *surrounded) least() int { return len(s.head) + 1 + len(s.tail) }

// cut cuts the tokens of a piece, of which there are more, to most.
func (s *surrounded) cut(ids []int32, most int, mode Truncation) []int32 {
	if mode == TruncateLeft {
		return slices.Concat(s.head, ids[len(ids)-(most-len(s.head)):])
	}
	return slices.Concat(ids[:most-len(s.tail)], s.tail)
}

// newPrompt finds the pieces of a prompt.
func newPrompt(t *tokenizer, words *weights.Prompt) (*prompt, error) {
	p := &prompt{words: words}
	if t.cuts.kind == cutNever {
		return nil, errors.New("this tokenizer's pre_tokenizer is not known, so that query and documents can't be tokenised one by one")
	}
	before := t.cuts.split(words.BeforeQuery)
	between, after := t.cuts.split(words.Between), t.cuts.split(words.After)
	if err := t.cuts.checkPrompt(words); err != nil {
		return nil, err
	}
	var err error
	if before, p.query.before, err = t.cuts.last(before, words.Instruct == nil && words.Before == ""); err != nil {
		return nil, fmt.Errorf("before the query: %w", err)
	}
	if !words.Apart && len(between) > 1 && between[0].text != "" {
		p.query.after, between = between[0].text, between[1:]
	}
	if between, p.document.before, err = t.cuts.last(between, false); err != nil {
		return nil, fmt.Errorf("between query and document: %w", err)
	}
	if !words.Apart && p.query.after == "" && len(between) > 0 && between[0].text != "" {
		p.query.after, between = between[0].text, between[1:]
	}
	if !words.Apart {
		p.document.after, after = t.cuts.first(after)
	}
	p.plain = join(t.cuts.split(words.Before), before)
	if i := words.Instruct; i != nil {
		p.lead, p.start = join(t.cuts.split(words.Before), t.cuts.split(i.Before)), join(t.cuts.split(i.After), before)
	}
	return p, p.encodeLiterals(t, between, after)
}

// encodeLiterals encodes the literal text that is the same in all calls.
func (p *prompt) encodeLiterals(t *tokenizer, between, after []part) (err error) {
	encode := func(text string) []int32 {
		if err != nil || text == "" {
			return nil
		}
		var ids []int32
		ids, err = t.call(context.Background(), &caller{}, text)
		return ids
	}
	all := func(parts []part) (ids []int32) {
		for _, part := range parts {
			if part.text == "" {
				ids = append(ids, part.id)
			}
			ids = append(ids, encode(part.text)...)
		}
		return ids
	}
	p.middle, p.end = all(between), all(after)
	for _, s := range []*surrounded{&p.query, &p.document} {
		s.head, s.tail = encode(strings.TrimRight(s.before, " ")), encode(s.after)
	}
	if !p.words.Special {
		return err
	}
	if t.single == nil {
		return errors.New("tokenizer.json doesn't say how a text alone is put together")
	}
	place := &p.opening
	var closing []int32
	for _, piece := range t.single.pieces {
		if piece.source == document {
			place = &closing
		} else {
			*place = append(*place, piece.id)
		}
	}
	p.end = append(p.end, closing...)
	return err
}

// join joins literal text.
func join(a, b []part) []part {
	if len(a) > 0 && len(b) > 0 && a[len(a)-1].text != "" && b[0].text != "" {
		joined := part{text: a[len(a)-1].text + b[0].text}
		return slices.Concat(a[:len(a)-1], []part{joined}, b[1:])
	}
	return slices.Concat(a, b)
}

// split splits literal text at the added tokens that the library finds in it whatever is beside it: of those that begin first,
// the longest. They are tokens even where special tokens in texts are text.
func (c *cutter) split(text string) (parts []part) {
	for text != "" {
		at, found := len(text), -1
		for i := range c.added {
			t := &c.added[i]
			j := strings.Index(text, t.Content)
			if j < 0 || t.Normalized || t.SingleWord || t.RStrip || t.LStrip {
				continue
			}
			if j < at || j == at && len(t.Content) > len(c.added[found].Content) {
				at, found = j, i
			}
		}
		if at > 0 {
			parts = append(parts, part{text: text[:at]})
		}
		if found < 0 {
			break
		}
		parts = append(parts, part{id: c.added[found].ID})
		text = text[at+len(c.added[found].Content):]
	}
	return parts
}

// last cuts literal text before a text of a call, as late as possible: rest belongs to the text's piece. opens says that
// nothing is before the literal text.
func (c *cutter) last(parts []part, opens bool) (before []part, rest string, err error) {
	n := len(parts)
	if n == 0 || parts[n-1].text == "" {
		if n == 0 && !opens {
			err = errors.New("there is no text that divides it from what is before")
		}
		return parts, "", err
	}
	text := parts[n-1].text
	for i := len(text) - 1; i > 0; i-- {
		if c.at(text, i) {
			return append(slices.Clone(parts[:n-1]), part{text: text[:i]}), text[i:], nil
		}
	}
	if n == 1 && !opens {
		return nil, "", fmt.Errorf("the tokenizer may join all of %q to the texts beside it", text)
	}
	return parts[:n-1], text, nil
}

// first cuts literal text after a document, as early as possible: touching belongs to its piece.
func (c *cutter) first(parts []part) (touching string, rest []part) {
	if len(parts) == 0 || parts[0].text == "" {
		return "", parts
	}
	text := parts[0].text
	for i := 1; i < len(text); i++ {
		if c.at(text, i) {
			return text[:i], append([]part{{text: text[i:]}}, parts[1:]...)
		}
	}
	return text, parts[1:]
}

// checkPrompt refuses a tokenizer with an added token that could be found across an end of a text of a call, or that takes
// white space or the characters beside it into account.
func (c *cutter) checkPrompt(words *weights.Prompt) error {
	literals := []string{words.Before, words.BeforeQuery, words.Between, words.After}
	if i := words.Instruct; i != nil {
		literals = append(literals, i.Before, i.After)
	}
	for i := range c.added {
		t := &c.added[i]
		for _, text := range literals {
			if strings.Contains(text, t.Content) && (t.LStrip || t.RStrip || t.SingleWord || t.Normalized) {
				return fmt.Errorf("the added token %q takes the text beside it into account, and is in the prompt", t.Content)
			}
			for k := 1; k < len(t.Content); k++ {
				if utf8.RuneStart(t.Content[k]) && (touches(text, t.Content[:k], strings.HasSuffix) || touches(text, t.Content[k:], strings.HasPrefix)) {
					return fmt.Errorf("the added token %q may begin in the text %q of the prompt and end outside of it", t.Content, text)
				}
			}
		}
	}
	return nil
}

// touches reports whether a literal text ends (begins) with a part of a token, or is all inside of it.
func touches(text, part string, has func(s, fix string) bool) bool {
	return text != "" && (has(text, part) || has(part, text))
}
