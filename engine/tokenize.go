package engine

import (
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/daulet/tokenizers"
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
	tokens, before, err := e.tokenizer.specials(ctx, c, specialTokens)
	if err != nil {
		return nil, err
	}
	after := tokens[before:]
	tokens = tokens[:before:before]
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
		encoding, err := e.tokenizer.encodeWith(ctx, c, piece, false, tokenDetails...)
		if err != nil {
			return nil, err
		}
		if !complete(&encoding) {
			return nil, fmt.Errorf("%w on a text of %d bytes", ErrTokenizer, len(piece))
		}
		for i, id := range encoding.IDs {
			start, stop := at+int(encoding.Offsets[i][0]), at+int(encoding.Offsets[i][1])
			if i == 0 && at > 0 && e.tokenizer.trims && stop > start+1 && text[start] == ' ' {
				start++ // the library takes the space for the one that it puts before a text
			}
			tokens = append(tokens, Token{ID: id, Text: text[start:stop], Start: w.to(start), Stop: w.to(stop)})
		}
		at += len(piece)
	}
	return append(tokens, after...), nil
}

var tokenDetails = []tokenizers.EncodeOption{
	tokenizers.WithReturnTokens(), tokenizers.WithReturnSpecialTokensMask(), tokenizers.WithReturnOffsets(),
}

func complete(encoding *tokenizers.Encoding) bool {
	n := len(encoding.IDs)
	return n == len(encoding.Tokens) && n == len(encoding.Offsets) && n == len(encoding.SpecialTokensMask)
}

// specials returns the special tokens round a text alone, and how many of them are before it.
func (t *tokenizer) specials(ctx context.Context, c *caller, wanted bool) (tokens []Token, before int, err error) {
	if !wanted {
		return nil, 0, nil
	}
	encoding, err := t.encodeWith(ctx, c, "", true, tokenDetails...)
	if err != nil {
		return nil, 0, err
	}
	if !complete(&encoding) {
		return nil, 0, fmt.Errorf("%w on its special tokens", ErrTokenizer)
	}
	for i, id := range encoding.IDs {
		tokens = append(tokens, Token{ID: id, Text: encoding.Tokens[i], Special: true})
	}
	if t.single != nil {
		for before < len(tokens) && t.single.pieces[before].source == special {
			before++
		}
	}
	return tokens, before, nil
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
