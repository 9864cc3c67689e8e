package engine

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A stretch that can't be cut, such as a page of Chinese, is one word of a byte-level tokenizer or few. It is encoded in
// windows that overlap. Byte-pair encoding allows that: tokens are those of the whole word if the text of each two
// neighbours, encoded alone, gives the same two (proved in RATIONALE.md). So two windows may be joined before a token that
// both have at one place: the first has its neighbour before it, and the second its neighbours after it.

// overlaps are how many bytes windows overlap by, tried one after another.
var overlaps = [...]int{256, 1 << 10, 4 << 10}

// joins says whether a model of tokenizer.json is byte-pair encoding that knows nothing of where a word ends, and encodes a
// word of the vocabulary by its merges, too.
func joins(model jsontext.Value) bool {
	var m struct {
		Type    string   `json:"type"`
		Dropout *float64 `json:"dropout"`
		Prefix  string   `json:"continuing_subword_prefix"`
		Suffix  string   `json:"end_of_word_suffix"`
		Whole   bool     `json:"ignore_merges"`
	}
	return json.Unmarshal(model, &m) == nil && m.Type == "BPE" && m.Dropout == nil && m.Prefix == "" && m.Suffix == "" && !m.Whole
}

// windows encodes a stretch.
type windows struct {
	tokenizer *tokenizer
	caller    *caller
	text      string
	known     map[string]encoding // of windows: a line of dashes has the same ones again and again
}

// maxKnownWindows is how many windows are remembered, of up to 160 KiB each.
const maxKnownWindows = 8

// window is a part of a stretch with its tokens.
type window struct {
	at     int // in the stretch
	bytes  int
	tokens encoding
	from   int // the first token that is not in the window before
}

func (w *window) start(i int) int { return w.at + w.tokens.offsets[i].Start }
func (w *window) stop(i int) int  { return w.at + w.tokens.offsets[i].Stop }

// apart says whether token i has no character in common with the one before.
func (w *window) apart(i int) bool { return i > 0 && w.stop(i-1) <= w.start(i) }

// encodeWindows returns the token ids of a stretch, or at least the first need of them.
func (t *tokenizer) encodeWindows(ctx context.Context, c *caller, text string, need int) (ids []int32, whole bool, err error) {
	s := &windows{tokenizer: t, caller: c, text: text, known: map[string]encoding{}}
	w, err := s.window(ctx, 0)
	for {
		if err != nil {
			return nil, false, err
		}
		if w.at+w.bytes == len(text) {
			return append(ids, w.tokens.ids[w.from:]...), true, nil
		}
		next, keep, err := s.next(ctx, w)
		if err != nil {
			return nil, false, err
		}
		ids = append(ids, w.tokens.ids[w.from:keep]...)
		if len(ids) >= need {
			return ids, false, nil
		}
		w = next
	}
}

// window encodes a part of the stretch.
func (s *windows) window(ctx context.Context, at int) (*window, error) {
	stop := min(at+maxPieceBytes, len(s.text))
	for stop < len(s.text) && (!utf8.RuneStart(s.text[stop]) || s.tokenizer.cuts.inAdded(s.text, stop)) {
		stop++
	}
	part := s.text[at:stop]
	w := &window{at: at, bytes: stop - at}
	var ok bool
	if w.tokens, ok = s.known[part]; ok {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return w, nil
	}
	var err error
	w.tokens, err = s.tokenizer.encodeWith(ctx, s.caller, part, withOffsets)
	if err == nil && len(w.tokens.offsets) != len(w.tokens.ids) {
		err = ErrTokenizer
	}
	if err != nil {
		return nil, err
	}
	if len(s.known) >= maxKnownWindows {
		clear(s.known)
	}
	s.known[part] = w.tokens
	return w, nil
}

// next returns the window after w, and how many tokens of w to keep before it.
func (s *windows) next(ctx context.Context, w *window) (next *window, keep int, err error) {
	for _, overlap := range overlaps {
		i := len(w.tokens.ids) - 1
		for i > w.from && (w.start(i) > w.at+w.bytes-overlap || !w.apart(i) || !s.tokenizer.cuts.mayBegin(s.text, w.start(i))) {
			i--
		}
		if i <= w.from {
			break
		}
		if next, err = s.window(ctx, w.start(i)); err != nil {
			return nil, 0, err
		}
		if keep, ok := next.join(w, i); ok {
			return next, keep, nil
		}
	}
	return nil, 0, &StretchError{Bytes: len(s.text), Limit: maxUncutBytes}
}

// join finds the first token from i on of the window before that this one has at the same place.
func (w *window) join(before *window, i int) (keep int, ok bool) {
	j := 0
	for i < len(before.tokens.ids) && j < len(w.tokens.ids) {
		a, b := before.start(i), w.start(j)
		switch {
		case a < b:
			i++
		case b < a:
			j++
		case before.tokens.ids[i] == w.tokens.ids[j] && before.stop(i) == w.stop(j) && before.apart(i) && (j == 0 || w.apart(j)):
			w.from = j
			return i, true
		default:
			i, j = i+1, j+1
		}
	}
	return 0, false
}

// mayBegin says whether the tokenizer finds the same words after byte i without the text before it. It wants a character
// that composes with none before it, and no contraction near.
func (c *cutter) mayBegin(text string, i int) bool {
	r, _ := utf8.DecodeRuneInString(text[i:])
	const jamo, jamoEnd = 0x1100, 0x11ff // which compose to syllables
	if c.composes && (unicode.IsMark(r) || r >= jamo && r <= jamoEnd || classOf(r) == classUnknown) {
		return false
	}
	if before, _ := utf8.DecodeLastRuneInString(text[:i]); c.kind == cutPhrases && classOf(r) == classNumber && classOf(before) == classNumber {
		return false // digits may be counted off in threes
	}
	const contraction = 3                                   // bytes of the longest, 'll
	quotes := i > 0 && strings.HasPrefix(text[i-1:], "'''") // no contraction begins or ends in a row of them
	return (quotes || !strings.Contains(text[max(0, i-contraction):i+1], "'")) && !c.inAdded(text, i)
}
