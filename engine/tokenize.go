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

// maxTokenizeBytes bounds the text of one call of Tokenize: unlike what is scored, it is encoded whole, and the library
// takes up to 650 bytes of memory a byte.
const maxTokenizeBytes = 256 << 10

// Tokenize returns the tokens of text as the model gets them, uncut, with special tokens round it if asked for. Errors:
// ErrClosed, ErrTokenizer, ctx's.
func (e *Engine) Tokenize(ctx context.Context, text string, specialTokens bool) ([]Token, error) {
	if err := e.hold(); err != nil {
		return nil, err
	}
	defer e.calls.Done()
	if len(text) > maxTokenizeBytes {
		return nil, fmt.Errorf("%w: a text of %d bytes, the limit is %d", ErrTokenizer, len(text), maxTokenizeBytes)
	}
	select {
	case e.tokenizer.calls <- struct{}{}:
		defer func() { <-e.tokenizer.calls }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	text = clean(text)
	encoding := e.tokenizer.handle.EncodeWithOptions(text, specialTokens, tokenizers.WithReturnTokens(),
		tokenizers.WithReturnSpecialTokensMask(), tokenizers.WithReturnOffsets())
	if n := len(encoding.IDs); n != len(encoding.Tokens) || n != len(encoding.Offsets) || n != len(encoding.SpecialTokensMask) {
		return nil, fmt.Errorf("%w on a text of %d bytes", ErrTokenizer, len(text))
	}
	return tokensOf(text, &encoding), nil
}

// tokensOf turns the library's offsets, which count bytes, into characters. Tokens come in the order of the text, so
// that one walk over it does.
func tokensOf(text string, encoding *tokenizers.Encoding) []Token {
	tokens := make([]Token, len(encoding.IDs))
	bytes, characters := 0, 0
	position := func(to int) int {
		if to < bytes { // the tokens of one character may overlap
			characters -= utf8.RuneCountInString(text[to:bytes])
		} else {
			characters += utf8.RuneCountInString(text[bytes:to])
		}
		bytes = to
		return characters
	}
	for i, id := range encoding.IDs {
		if encoding.SpecialTokensMask[i] != 0 {
			tokens[i] = Token{ID: id, Text: encoding.Tokens[i], Special: true}
			continue
		}
		start, stop := int(encoding.Offsets[i][0]), int(encoding.Offsets[i][1])
		tokens[i] = Token{ID: id, Text: text[start:stop], Start: position(start), Stop: position(stop)}
	}
	return tokens
}
