package engine

import (
	"context"
	"fmt"
	"unicode/utf8"
)

// Token is one token of a text.
type Token struct {
	ID      uint32
	Text    string // the part of the text that it stands for; of a special token, its name
	Special bool   // one that the template adds, which stands for no part of the text
	// Start and Stop are the first of its characters and the one after the last, counted in code points from 0.
	// Both are 0 for special tokens.
	Start, Stop int
}

// MaxTokenizeBytes bounds the text of one call of Tokenize: unlike a text to score, it is encoded whole, and a token takes
// 64 bytes of memory.
const MaxTokenizeBytes = 256 << 10

// Tokenize returns the tokens of text as the model gets them, uncut, with special tokens round it if asked for. It uses
// only the options of the client. Errors: ErrClosed, ErrTokenizer, a *StretchError, ctx's.
func (e *Engine) Tokenize(ctx context.Context, text string, specialTokens bool, options Options) ([]Token, error) {
	if err := e.hold(); err != nil {
		return nil, err
	}
	defer e.calls.Done()
	if len(text) > MaxTokenizeBytes {
		return nil, fmt.Errorf("%w: a text of %d bytes, the limit is %d", ErrTokenizer, len(text), MaxTokenizeBytes)
	}
	c := &caller{client: options.Client, weight: options.ClientWeight}
	var tokens, after []Token
	if specialTokens {
		var err error
		if tokens, after, err = e.tokenizer.specials(); err != nil {
			return nil, err
		}
	}
	text = clean(text)
	w := walk{text: text}
	for at := 0; at < len(text); {
		piece, _ := e.tokenizer.cuts.take(ctx, text[at:], maxPieceBytes, front)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if len(piece) > maxUncutBytes {
			return nil, &StretchError{Bytes: len(piece), Limit: maxUncutBytes}
		}
		encoding, err := e.tokenizer.encodeWith(ctx, c, piece, withOffsets)
		if err != nil {
			return nil, err
		}
		if len(encoding.offsets) != len(encoding.ids) {
			return nil, fmt.Errorf("%w on a text of %d bytes", ErrTokenizer, len(piece))
		}
		for i, id := range encoding.ids {
			start, stop := at+encoding.offsets[i].Start, at+encoding.offsets[i].Stop
			if i == 0 && at > 0 && e.tokenizer.trims && stop > start+1 && text[start] == ' ' {
				start++ // the library takes the space for the one that it puts before a text
			}
			tokens = append(tokens, Token{ID: uint32(id), Text: text[start:stop], Start: w.to(start), Stop: w.to(stop)})
		}
		at += len(piece)
	}
	return append(tokens, after...), nil
}

// specials returns the special tokens before and after a text alone.
func (t *tokenizer) specials() (before, after []Token, err error) {
	if t.single == nil {
		return nil, nil, fmt.Errorf("%w: tokenizer.json doesn't say how a text alone is put together", ErrTokenizer)
	}
	tokens := &before
	for _, p := range t.single.pieces {
		if p.source != special {
			tokens = &after
			continue
		}
		*tokens = append(*tokens, Token{ID: uint32(p.id), Text: p.name, Special: true})
	}
	return before, after, nil
}

// walk counts the characters before places of a text. Tokens come in the text's order, so one walk is enough.
type walk struct {
	text              string
	bytes, characters int
}

func (w *walk) to(place int) int {
	if place < w.bytes { // the tokens of one character may overlap
		w.characters -= utf8.RuneCountInString(w.text[place:w.bytes])
	} else {
		w.characters += utf8.RuneCountInString(w.text[w.bytes:place])
	}
	w.bytes = place
	return w.characters
}
