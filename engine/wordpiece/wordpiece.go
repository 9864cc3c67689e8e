// Package wordpiece is BERT's tokenizer in Go: added tokens, BertNormalizer, BertPreTokenizer and WordPiece, with the ids and
// offsets of the Rust library tokenizers 0.22 (src/tokenizer/added_vocabulary.rs, normalizers/bert.rs, pre_tokenizers/bert.rs,
// models/wordpiece/mod.rs). Tests compare the two.
//
// It must not know of files or of models' inputs: special tokens round a text are the caller's.
package wordpiece

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"unicode/utf8"
)

// Config describes a tokenizer.
type Config struct {
	Normalizer    Normalizer
	Vocab         map[string]uint32
	Unknown       string // token of a word that has no others
	Prefix        string // of tokens that do not begin a word: ##
	MaxCharacters int    // in a word; a longer one is the unknown token
	Added         []Added
	// SpecialAsText says that special tokens are not found in texts.
	SpecialAsText bool
}

// Added is a token that is found in a text before the text is split. Contents are distinct and not empty.
type Added struct {
	Content        string
	LStrip, RStrip bool // it takes the white space beside it
	Normalized     bool // it is found in the normal form of a text, by its own
	Special        bool
}

// Tokenizer turns texts into ids. It may be used from several goroutines at once.
type Tokenizer struct {
	normalizer Normalizer
	begins     pieces // tokens that begin a word
	follows    pieces // the others, without the prefix
	unknown    int32
	most       int // characters in a word
	size       int // of the vocabulary
	plain      matcher
	normalized matcher
	table      *classTable
	runs       sync.Pool // *run
}

// pieces are ids by text.
type pieces struct {
	ids     map[string]int32
	longest int // text, in bytes
}

// New returns a Tokenizer, or an error for tokens that it can't find as the library does.
func New(config *Config) (*Tokenizer, error) {
	unknown, ok := config.Vocab[config.Unknown]
	if !ok {
		return nil, fmt.Errorf("wordpiece: the vocabulary lacks the unknown token, %.80q", config.Unknown)
	}
	t := &Tokenizer{
		normalizer: config.Normalizer, unknown: int32(unknown), most: config.MaxCharacters, table: classes(),
		begins:  pieces{ids: make(map[string]int32, len(config.Vocab))},
		follows: pieces{ids: map[string]int32{}},
	}
	for text, id := range config.Vocab {
		t.begins.add(text, id)
		if rest, ok := strings.CutPrefix(text, config.Prefix); ok {
			t.follows.add(rest, id)
		}
	}
	t.runs.New = func() any { return &run{normalizer: normalizer{Normalizer: t.normalizer, table: t.table}} }
	return t, t.addTokens(config)
}

func (p *pieces) add(text string, id uint32) {
	p.ids[text] = int32(id)
	p.longest = max(p.longest, len(text))
}

// addTokens gives each added token the id that the library gives it: that of the vocabulary, or one after all others.
func (t *Tokenizer) addTokens(config *Config) error {
	size := uint32(len(config.Vocab))
	ids := maps.Clone(config.Vocab)
	content := map[uint32]string{}
	highest, known := uint32(0), false
	for _, token := range config.Added {
		id, ok := ids[token.Content]
		if !ok {
			if id = size; known && highest >= size {
				id = highest + 1
			}
			ids[token.Content] = id
		}
		if other, ok := content[id]; ok {
			return fmt.Errorf("wordpiece: the added tokens %.80q and %.80q have one id, %d", other, token.Content, id)
		}
		content[id] = token.Content
		highest, known = max(highest, id), true
	}
	t.size = len(ids)
	for _, special := range []bool{true, false} { // the library's order, for tokens of one normal form
		for _, token := range config.Added {
			if token.Special != special {
				continue
			}
			m, text := &t.plain, token.Content
			if token.Normalized {
				m, text = &t.normalized, t.normalForm(token.Content)
			}
			if text == "" || isSpace(text) {
				return fmt.Errorf("wordpiece: the added token %.80q begins with white space or has no normal form", token.Content)
			}
			m.add(pattern{text: text, id: int32(ids[token.Content]), lstrip: token.LStrip, rstrip: token.RStrip,
				ignored: config.SpecialAsText && special})
		}
	}
	return nil
}

// isSpace says whether a text begins with white space.
func isSpace(text string) bool {
	r, _ := utf8.DecodeRuneInString(text)
	return classes().of(r)&blank != 0
}

func (t *Tokenizer) normalForm(text string) string {
	n := normalizer{Normalizer: t.normalizer, table: t.table}
	n.add(text, 0)
	return string(n.text)
}

// VocabSize returns the number of tokens, added ones included.
func (t *Tokenizer) VocabSize() int { return t.size }

// run is one call of Encode.
type run struct {
	normalizer
	ids     []int32
	offsets []Offset // nil unless traced
}

// Encode returns the ids of the tokens of a text, and where they are in it if that is wanted.
func (t *Tokenizer) Encode(text string, offsets bool) ([]int32, []Offset) {
	r, _ := t.runs.Get().(*run) // nothing else is in it
	defer t.runs.Put(r)
	r.trace = offsets
	r.ids, r.offsets = make([]int32, 0, len(text)/4+1), nil
	t.plain.split(text, func(from, to int, token *pattern) {
		if token != nil {
			r.token(token.id, Offset{from, to})
			return
		}
		r.reset()
		r.add(text[from:to], from)
		if t.normalized.none() {
			t.words(r, 0, len(r.text))
			return
		}
		t.normalized.split(string(r.text), func(from, to int, token *pattern) {
			if token != nil {
				r.token(token.id, r.from(from, to))
				return
			}
			t.words(r, from, to)
		})
	})
	return r.ids, r.offsets
}

func (r *run) token(id int32, at Offset) {
	r.ids = append(r.ids, id)
	if r.trace {
		r.offsets = append(r.offsets, at)
	}
}

// from returns the part of the text that a part of its normal form comes from.
func (r *run) from(start, stop int) Offset {
	if !r.trace {
		return Offset{}
	}
	return Offset{r.spans[start].Start, r.spans[stop-1].Stop}
}

// words encodes a part of the normal form.
func (t *Tokenizer) words(r *run, from, to int) {
	word, characters := from, 0
	for i := from; i < to; {
		var c class
		size := 1
		if b := r.text[i]; b < utf8.RuneSelf {
			c = t.table.ascii[b]
		} else {
			var char rune
			char, size = utf8.DecodeRune(r.text[i:])
			c = t.table.of(char)
		}
		if c&(blank|punct) == 0 {
			i, characters = i+size, characters+1
			continue
		}
		t.word(r, word, i, characters)
		if c&punct != 0 {
			t.word(r, i, i+size, 1)
		}
		i += size
		word, characters = i, 0
	}
	t.word(r, word, to, characters)
}

// word encodes a word: of the tokens that it may begin with, the longest, and so on. It is one unknown token if that fails.
func (t *Tokenizer) word(r *run, from, to, characters int) {
	if from == to {
		return
	}
	count := len(r.ids)
	table := &t.begins
	for at := from; at < to; table = &t.follows {
		stop := min(to, at+table.longest)
		for stop < to && !utf8.RuneStart(r.text[stop]) {
			stop--
		}
		id, ok := int32(0), false
		for stop > at && characters <= t.most {
			if id, ok = table.ids[string(r.text[at:stop])]; ok {
				break
			}
			for stop--; !utf8.RuneStart(r.text[stop]); {
				stop--
			}
		}
		if !ok {
			r.ids = r.ids[:count]
			if r.trace {
				r.offsets = r.offsets[:count]
			}
			r.token(t.unknown, r.from(from, to))
			return
		}
		r.token(id, r.from(at, stop))
		at = stop
	}
}
