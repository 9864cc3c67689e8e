package engine

import (
	"context"
	"strings"
	"unicode/utf8"
)

// A page of Chinese is one word of a SentencePiece tokenizer, and its best pieces depend on all of it. longWordEncoder
// finds them, and applies a charsmap. For other normalisers, and where the bounds of graphemes are unclear, the library
// is asked for the normal form of one cluster at a time. No grapheme and no composition crosses the bounds of a
// cluster. Most clusters are one character.

// longWordEncoder encodes stretches without a place to cut, for a Unigram model after Metaspace.
type longWordEncoder struct {
	model    *unigram
	charsmap *charsmap // nil: the library is asked for all clusters
	splits   bool      // WhitespaceSplit comes first, so that white space is not kept
	prefix   string    // ▁, which the pre-tokeniser puts before a word without white space before it
	letter   string    // the normal form of "a"
	barrier  string    // a control character that the charsmap drops, so that a grapheme ends before and after it, or nothing
	joins    bool      // spaces in a row become one ▁
	last     lastSpace // whether spaces at the end of a text are kept
	replaced []stage   // the first normalisers, if they replace texts that may be of several clusters
}

// lastSpace says whether spaces at the end of a text are kept.
type lastSpace uint8

const (
	lastUnclear lastSpace = iota
	lastKept
	lastStripped
)

const metaspace = "▁"

// newLongWordEncoder returns nil for tokenizers that longWordEncoder can't encode for.
func newLongWordEncoder(normalizers, preTokenizers []stage, model *unigram, tokens func(string) []string) *longWordEncoder {
	n := len(preTokenizers)
	if model == nil || n == 0 || n > 2 || preTokenizers[n-1].Type != "Metaspace" || n == 2 && preTokenizers[0].Type != "WhitespaceSplit" {
		return nil
	}
	if scheme := preTokenizers[n-1].PrependScheme; scheme != "always" && scheme != "" || !orTrue(preTokenizers[n-1].AddPrefixSpace) {
		return nil
	}
	replaced, ok := replacedFirst(normalizers)
	if !ok {
		return nil
	}
	w := &longWordEncoder{model: model, charsmap: newCharsmap(normalizers), splits: n == 2, prefix: metaspace, replaced: replaced}
	normal := func(text string) string { return strings.Join(tokens(text), "") }
	word := normal("a")
	w.letter, ok = strings.CutPrefix(word, metaspace)
	if !ok || w.letter == "" || strings.Contains(w.letter, metaspace) || normal("a a") != word+word {
		return nil
	}
	if w.charsmap != nil {
		const control = "\x01"
		if bytes, dropped, _ := w.charsmap.find(control); bytes == len(control) && dropped == "" {
			w.barrier = control
		}
	}
	two := word + metaspace + metaspace
	switch normal("a  a") {
	case word + word:
		w.joins, two = true, word+metaspace
	case word + metaspace + word:
	default:
		return nil
	}
	switch one, all := normal("a "), normal("a  "); {
	case one == word && all == word:
		w.last = lastStripped
	case one == word+metaspace && all == two:
		w.last = lastKept
	}
	return w
}

// replacedFirst returns the normalisers of texts of several characters, which the normal form of one cluster after the other
// would miss. They can be applied to a whole stretch before it if they come first, and put nothing there that they look for.
func replacedFirst(normalizers []stage) (first []stage, ok bool) {
	others := false
	for _, n := range normalizers {
		text := n.literal()
		if n.Type != "Replace" || utf8.RuneCountInString(text) < 2 {
			others = true
			continue
		}
		if others || strings.ContainsAny(n.Content, text) {
			return nil, false
		}
		first = append(first, n)
	}
	return first, true
}

// errNotClusters marks a stretch that can't be split into clusters.
var errNotClusters = &StretchError{}

// encodeLongWords returns the token ids of a stretch, or at least the first need of them.
func (t *tokenizer) encodeLongWords(ctx context.Context, c *caller, text string, need int) (ids []int32, whole bool, err error) {
	n, err := t.newNormal(text)
	if err != nil {
		return nil, false, err
	}
	s := search{model: t.long.model}
	for {
		part, last, err := n.next(ctx, t, c)
		if err == nil {
			err = t.turns.wait(ctx, c, len(part))
		}
		if err != nil {
			return nil, false, err
		}
		if strings.HasPrefix(part, metaspace) {
			s.add("", true)
		}
		for part != "" {
			i := strings.Index(part[1:], metaspace) + 1 // where the next word begins
			if i == 0 {
				s.add(part, false)
				break
			}
			s.add(part[:i], true)
			part = part[i:]
		}
		if last {
			s.add("", true)
		}
		t.turns.done(c)
		if last || len(s.ids) >= need {
			return s.ids, last, nil
		}
	}
}
