package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// A call of the library can't be cancelled and takes memory in proportion to its text, up to 650 bytes a byte. Also, most
// of a long document is going to be cut off.
const (
	// maxPieceBytes is how much text goes to the library at once, where the text can be cut.
	maxPieceBytes = 8 << 10
	// minPieceBytes is the least that is worth a call.
	minPieceBytes = 512
	// tokenBytes is about how long a token is: a piece has no more text than the tokens wanted are likely to need.
	tokenBytes = 5
	// maxUncutBytes is how much goes to the library at once where the text can't be cut. More is a *StretchError.
	maxUncutBytes = 64 << 10
	// maxStretchBytes is the same for stretches that encodeWindows or encodeLongWords encodes.
	maxStretchBytes = 2 << 20
	// shortStretches and longStretches bound the stretches encoded at once: those up to maxUncutBytes, and longer ones. A
	// stretch takes up to 20 bytes of memory a byte, and all requests that have one under way take turns.
	shortStretches, longStretches = 64, 4
)

// StretchError says that a text has a stretch that is too long for the tokenizer and can't be cut.
type StretchError struct {
	Bytes, Limit int
}

// Error implements error.
func (e *StretchError) Error() string {
	return fmt.Sprintf("engine: a stretch of %d bytes without white space or another place where this tokenizer may be "+
		"given less, the limit is %d", e.Bytes, e.Limit)
}

// end is the end of a text from which tokens are wanted.
type end uint8

const (
	front end = iota
	back
)

// encode returns the token ids of text without special tokens, or at least the first or the last need of them: a long
// text is encoded piece by piece, and no further than that. whole says that these are all.
func (t *tokenizer) encode(ctx context.Context, c *caller, text string, need int, from end) (ids []int32, whole bool, err error) {
	text = clean(text)
	var pieces [][]int32
	have := 0
	for text != "" && have < need {
		var piece string
		piece, text = t.cuts.take(ctx, text, pieceBytes(need-have), from)
		if ctx.Err() != nil {
			return nil, false, context.Cause(ctx)
		}
		got, whole, err := t.encodePiece(ctx, c, piece, need-have, from)
		if err != nil {
			return nil, false, err
		}
		if !whole {
			text = piece // not all of the piece is encoded
		}
		pieces = append(pieces, got)
		have += len(got)
	}
	if from == back {
		slices.Reverse(pieces)
	}
	return slices.Concat(pieces...), text == "", ctx.Err()
}

// pieceBytes is how much text to encode for so many tokens more.
func pieceBytes(need int) int {
	if need >= maxPieceBytes/tokenBytes {
		return maxPieceBytes
	}
	return max(minPieceBytes, need*tokenBytes)
}

// take cuts a piece of about size bytes off text, at least that where it is followed by another. It is longer where the
// text can't be cut.
func (c *cutter) take(ctx context.Context, text string, size int, from end) (piece, rest string) {
	switch {
	case len(text) <= size:
		return text, ""
	case from == back:
		i := c.before(ctx, text, len(text)-size)
		return text[i:], text[:i]
	}
	i := c.after(ctx, text, size)
	return text[:i], text[i:]
}

// encodePiece returns the token ids of a piece, or at least the first or the last need of them. The piece may be longer
// than the library should get at once.
func (t *tokenizer) encodePiece(ctx context.Context, c *caller, piece string, need int, from end) (ids []int32, whole bool, err error) {
	if t.cuts.kind == cutWords && len(piece) > minPieceBytes {
		piece = t.cuts.words.compact(ctx, piece)
	}
	if len(piece) > 2*maxPieceBytes {
		return t.encodeStretch(ctx, c, piece, need, from)
	}
	ids, err = t.call(ctx, c, piece)
	return ids, true, err
}

// stretchTurns let clients take turns with stretches: short with those up to maxUncutBytes, long with longer ones.
type stretchTurns struct{ short, long *turns }

func newStretchTurns() stretchTurns {
	return stretchTurns{newTurns(shortStretches), newTurns(longStretches)}
}

// encodeStretch is encodePiece for a piece that is longer than the library should get, as a rule.
func (t *tokenizer) encodeStretch(ctx context.Context, c *caller, piece string, need int, from end) (ids []int32, whole bool, err error) {
	limit, room := maxUncutBytes, t.stretches.short
	var encode func(ctx context.Context, c *caller, text string, need int) (ids []int32, whole bool, err error)
	switch {
	case t.joins && (t.cuts.kind == cutClasses || t.cuts.kind == cutPhrases && !splitsLines(piece)):
		limit, encode = maxStretchBytes, t.encodeWindows
	case t.long != nil:
		limit, encode = maxStretchBytes, t.encodeLongWords
	}
	if len(piece) > limit {
		return nil, false, &StretchError{Bytes: len(piece), Limit: limit}
	}
	if len(piece) > maxUncutBytes {
		room = t.stretches.long
	}
	turn := &caller{client: c.client, weight: c.weight}
	if err := room.wait(ctx, turn, len(piece)); err != nil {
		return nil, false, err
	}
	defer room.done(turn)
	if encode != nil {
		if from == back {
			need = all
		}
		ids, whole, err = encode(ctx, c, piece, need)
		if _, uncut := errors.AsType[*StretchError](err); !uncut {
			return ids, whole, err
		}
		if len(piece) > maxUncutBytes {
			return nil, false, &StretchError{Bytes: len(piece), Limit: maxUncutBytes}
		}
	}
	ids, err = t.call(ctx, c, piece)
	return ids, true, err
}

// call encodes one piece.
func (t *tokenizer) call(ctx context.Context, c *caller, text string) ([]int32, error) {
	encoding, err := t.encodeWith(ctx, c, text, 0)
	if err != nil {
		return nil, err
	}
	// The library returns nothing at all where its Rust side fails. A Latin letter or digit always gives a token,
	// if only the unknown one, so nothing for such a text is that failure.
	if len(encoding.ids) == 0 && strings.ContainsFunc(text, isLatin) {
		return nil, fmt.Errorf("%w on a text of %d bytes", ErrTokenizer, len(text))
	}
	return encoding.ids, nil
}

// encodeWith encodes a text when it is the caller's turn.
func (t *tokenizer) encodeWith(ctx context.Context, c *caller, text string, wanted details) (encoding, error) {
	if err := t.turns.wait(ctx, c, len(text)); err != nil {
		return encoding{}, err
	}
	defer t.turns.done(c)
	return t.encoder.encode(text, wanted), nil
}

// all is a need that asks for all tokens: no text has so many.
const all = math.MaxInt
