package engine

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// wordClasses tell how BERT's normaliser and pre-tokeniser treat a character, by the tables of the Rust library.
type wordClasses struct {
	clean, chinese, accents bool // options of the normaliser; accents: they are stripped
	// maxCharacters is how many characters a word may have; a longer one is the unknown token.
	maxCharacters int
	// mayCompact says that compact may shorten texts: the model is WordPiece, and no added token may be inside an
	// apparent word.
	mayCompact bool
	table      []wordClass // of the characters up to U+FFFF, for speed: whole texts are scanned
}

// newWordClasses reads the options of a BertNormalizer and of a WordPiece model.
func newWordClasses(normalizer *stage, model jsontext.Value, added []addedToken) wordClasses {
	w := wordClasses{
		clean: orTrue(normalizer.CleanText), chinese: orTrue(normalizer.HandleChinese),
		accents: orTrue(normalizer.Lowercase), mayCompact: true,
	}
	if normalizer.StripAccents != nil {
		w.accents = *normalizer.StripAccents
	}
	m := struct {
		Type string `json:"type"`
		Most *int   `json:"max_input_chars_per_word"`
	}{}
	if json.Unmarshal(model, &m) != nil || m.Type != "WordPiece" {
		w.mayCompact = false
	}
	w.maxCharacters = 100
	if m.Most != nil {
		w.maxCharacters = *m.Most
	}
	w.mayCompact = w.mayCompact && w.maxCharacters >= 0 && w.maxCharacters <= 1000
	w.table = make([]wordClass, 1<<16)
	for r := range w.table {
		w.table[r] = w.find(rune(r))
	}
	for _, t := range added {
		// A token between separators has no part of a longer word. If it is short and has no dropped character, compact
		// can't create it.
		first, _ := utf8.DecodeRuneInString(t.Content)
		last, _ := utf8.DecodeLastRuneInString(t.Content)
		w.mayCompact = w.mayCompact && w.separates(first) && w.separates(last) && len(t.Content) <= w.maxCharacters &&
			!strings.ContainsFunc(t.Content, func(r rune) bool { return w.of(r) == classDropped })
	}
	return w
}

// wordClass is how a character is treated.
type wordClass uint8

const (
	classUnsure    wordClass = iota
	classWord                // it stays
	classDropped             // it goes, and joins the characters on both sides to one word
	classSeparator           // it is white space, or a word by itself
)

// separates says whether no word has r and another character in it.
func (w *wordClasses) separates(r rune) bool { return w.of(r) == classSeparator }

func (w *wordClasses) of(r rune) wordClass {
	if int(r) < len(w.table) {
		return w.table[r]
	}
	return w.find(r)
}

func (w *wordClasses) find(r rune) wordClass {
	switch {
	case r < utf8.RuneSelf:
		return w.ofASCII(r)
	case unicode.Is(libraryDiffers, r):
		return classUnsure
	case unicode.In(r, unicode.Z):
		return classSeparator
	case r == utf8.RuneError, unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co):
		if w.clean && (r <= 0xffff || !unicode.Is(unicode.Cf, r)) {
			return classDropped
		}
		return classUnsure
	case unicode.Is(unicode.Mn, r):
		switch {
		case r > 0xffff:
			return classUnsure
		case w.accents:
			return classDropped
		}
		return classWord
	case unicode.Is(unicode.P, r):
		if r > 0xffff {
			return classUnsure
		}
		return classSeparator
	case w.chinese && isChinese(r):
		return classSeparator
	}
	return classWord
}

func (w *wordClasses) ofASCII(r rune) wordClass {
	switch {
	case r == ' ', r == '\t', r == '\n', r == '\r':
		return classSeparator
	case r < ' ', r == 0x7f:
		if w.clean {
			return classDropped
		}
		return classUnsure
	case inWord(r):
		return classWord
	}
	return classSeparator // punctuation and symbols
}

// isChinese has the ranges of the library (normalizers/bert.rs), which leaves out a part of extension E.
func isChinese(r rune) bool {
	switch {
	case r >= 0x4e00 && r <= 0x9fff, r >= 0x3400 && r <= 0x4dbf, r >= 0xf900 && r <= 0xfaff,
		r >= 0x20000 && r <= 0x2a6df, r >= 0x2a700 && r <= 0x2b73f, r >= 0x2b740 && r <= 0x2b81f,
		r >= 0x2b920 && r <= 0x2ceaf, r >= 0x2f800 && r <= 0x2fa1f:
		return true
	}
	return false
}

// libraryDiffers are the characters up to U+FFFF that the Rust library has in another class than Go's tables: it knows
// Unicode 8, and decomposes before it looks for punctuation. TestWordClasses finds missing ones.
var libraryDiffers = &unicode.RangeTable{R16: []unicode.Range16{
	{0x061d, 0x061d, 1}, {0x07fd, 0x07fd, 1}, {0x0890, 0x0891, 1}, {0x0898, 0x089f, 1}, {0x08ca, 0x08e2, 1},
	{0x09fd, 0x09fe, 1}, {0x0a76, 0x0a76, 1}, {0x0afa, 0x0aff, 1}, {0x0b55, 0x0b55, 1}, {0x0c04, 0x0c04, 1},
	{0x0c3c, 0x0c3c, 1}, {0x0c77, 0x0c77, 1}, {0x0c84, 0x0c84, 1}, {0x0d00, 0x0d00, 1}, {0x0d3b, 0x0d3c, 1},
	{0x0d81, 0x0d81, 1}, {0x0eba, 0x0eba, 1}, {0x0ece, 0x0ece, 1}, {0x166d, 0x166d, 1}, {0x1734, 0x1734, 1},
	{0x180f, 0x180f, 1}, {0x1885, 0x1886, 1}, {0x1abf, 0x1ace, 1}, {0x1b7d, 0x1b7e, 1}, {0x1df6, 0x1dfb, 1},
	{0x1fef, 0x1fef, 1}, {0x2260, 0x2260, 1}, {0x226e, 0x226f, 1}, {0x2e43, 0x2e5d, 1}, {0xa82c, 0xa82c, 1},
	{0xa8c5, 0xa8c5, 1}, {0xa8ff, 0xa8ff, 1}, {0xa9bd, 0xa9bd, 1},
}}

// compact shortens a text without changing its tokens. Of each stretch that is certainly one word, and longer than words
// may be, it keeps the beginning, which makes the same unknown token. Of each run of white space, and of characters that
// are dropped, it keeps the first. Once ctx has ended it may return any text.
func (w *wordClasses) compact(ctx context.Context, text string) string {
	if !w.mayCompact {
		return text
	}
	var out strings.Builder
	var word, dropped, blank int // lengths of the stretch and the runs at the end of text[:i]
	kept, look := 0, lookBytes
	for i, r := range text {
		if i >= look {
			if look += lookBytes; ctx.Err() != nil {
				return ""
			}
		}
		var keep bool
		switch w.of(r) {
		case classWord:
			word, dropped, blank = word+1, 0, 0
			keep = word <= w.maxCharacters+1
		case classDropped:
			dropped, blank = dropped+1, 0
			keep = dropped == 1 && word <= w.maxCharacters
		default:
			word, dropped = 0, 0
			if blank++; !isBlank(r) {
				blank = 0
			}
			keep = blank <= 1
		}
		if !keep {
			out.WriteString(text[kept:i])
			kept = i + utf8.RuneLen(r)
		}
	}
	out.WriteString(text[kept:])
	return out.String()
}
