package engine

import (
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// cutter finds the places of a text where it may be cut so that the tokens of the parts are the tokens of the whole.
// A place is taken only where that follows from the code of the tokenizer's normaliser and pre-tokeniser; a test
// compares the tokens.
type cutter struct {
	kind  cutKind
	words wordClasses // for cutWords
	// spaces are the characters that the normaliser turns into a space; for cutSpaces.
	spaces string
	// prefixed says that the pre-tokeniser puts a space before a text that has none: a part may then begin only with a
	// space.
	prefixed  bool
	bytes     bool // the pre-tokeniser knows white space by its bytes
	literal   bool // special tokens in a text are encoded as text
	blankOnly bool // words are cut at white space alone
	composes  bool // the normaliser may join a character to the one before
	digits    bool // each digit is a word; for cutPhrases
	added     []addedToken
	begins    [256]bool // of the bytes that an added token begins with
}

// cutKind is a family of rules.
type cutKind uint8

const (
	cutNever   cutKind = iota // nothing is known of the pre-tokeniser
	cutSpaces                 // between words of letters: before white space that the next word owns, as ▁ in SentencePiece
	cutClasses                // GPT-2's expression: between letters, numbers, white space and the rest, too
	cutWords                  // BERT: at white space, on both sides of punctuation and of CJK characters
	cutPhrases                // GPT-4's expression: between classes of characters, too, but see phrasesDiffer
)

// addedToken is an entry of tokenizer.json's added_tokens, which is found in the text before all else.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// newCutter reads the parts of a tokenizer.json that decide where its texts may be cut. known says whether all of its stages
// could be read.
func newCutter(file map[string]jsontext.Value, normalizers, preTokenizers []stage, known bool) *cutter {
	c := &cutter{spaces: " "}
	if !known || len(file["added_tokens"]) > 0 && json.Unmarshal(file["added_tokens"], &c.added) != nil {
		return c
	}
	c.added = slices.DeleteFunc(c.added, func(t addedToken) bool { return t.Content == "" }) // empty: not in the library
	c.kind = c.choose(normalizers, preTokenizers)
	if c.kind == cutWords {
		c.words = newWordClasses(&normalizers[0], file["model"], c.added)
	}
	for _, t := range c.added {
		c.begins[t.Content[0]] = true
		normalized := t.Normalized && len(normalizers) > 0 // inAdded doesn't know the text's normal form
		switch {
		case strings.ContainsFunc(t.Content, unicode.IsSpace), // it is found across white space
			normalized && t.RStrip && c.kind != cutWords:
			c.kind = cutNever
		case normalized:
			c.blankOnly = true
		}
	}
	if (c.kind == cutClasses || c.kind == cutPhrases) && c.blankOnly {
		c.kind = cutSpaces
	}
	return c
}

// addSpaces adds to spaces the characters that encode treats as a space.
func (c *cutter) addSpaces(encode func(text string) []int32) {
	if c.kind != cutSpaces || c.bytes {
		return
	}
	space := encode("a a")
	for _, r := range "\n\t\r\u00a0\u3000" {
		if slices.Equal(encode("a"+string(r)+"a"), space) {
			c.spaces += string(r)
		}
	}
}

func (c *cutter) choose(normalizers, preTokenizers []stage) cutKind {
	first := func(all []stage, name string) bool { return len(all) == 1 && all[0].Type == name }
	if isBERT(normalizers, preTokenizers) {
		return cutWords
	}
	for _, n := range normalizers {
		switch n.Type {
		case "NFC", "NFD", "NFKC", "NFKD", "Precompiled", "Lowercase", "StripAccents", "BertNormalizer", "Nmt":
		case "Strip":
			if n.StripLeft { // it would strip the beginning of a part
				return cutNever
			}
		case "Replace":
			if !n.joinsSpaces() && !n.leavesSpaces() {
				return cutNever
			}
		default:
			return cutNever
		}
	}
	classes := len(normalizers) == 0 || first(normalizers, "NFC")
	if first(preTokenizers, "ByteLevel") && orTrue(preTokenizers[0].UseRegex) {
		c.bytes, c.prefixed = true, orTrue(preTokenizers[0].AddPrefixSpace)
		if classes {
			c.composes = len(normalizers) > 0
			return cutClasses
		}
		return cutSpaces
	}
	c.bytes = slices.ContainsFunc(preTokenizers, func(s stage) bool { return s.Type == "ByteLevel" })
	if classes && splitsPhrases(preTokenizers) {
		c.composes, c.digits = len(normalizers) > 0, preTokenizers[0].expression() == qwenExpression
		return cutPhrases
	}
	return splitsAtSpaces(preTokenizers)
}

// splitsAtSpaces returns cutSpaces if words always end where white space begins, and cutNever if not.
func splitsAtSpaces(preTokenizers []stage) cutKind {
	kind := cutNever
	for i, p := range preTokenizers {
		switch p.Type {
		case "BertPreTokenizer", "WhitespaceSplit", "Whitespace":
			kind = cutSpaces
		case "ByteLevel":
			if orTrue(p.UseRegex) {
				kind = cutSpaces
			}
		case "Metaspace":
			if !orTrue(p.Split) || p.PrependScheme == "first" && i > 0 {
				return cutNever
			}
			kind = cutSpaces
		case "Punctuation": // each character by itself, whatever is beside it
		default:
			return cutNever
		}
	}
	return kind
}

// trimsOffsets says whether a post-processor of tokenizer.json leaves white space out of offsets.
func trimsOffsets(data jsontext.Value) bool {
	var p struct {
		Type        string           `json:"type"`
		TrimOffsets *bool            `json:"trim_offsets"`
		Processors  []jsontext.Value `json:"processors"` // of a Sequence
	}
	if json.Unmarshal(data, &p) != nil {
		return false
	}
	if p.Type == "Sequence" {
		return slices.ContainsFunc(p.Processors, func(one jsontext.Value) bool {
			return json.Unmarshal(one, &p) == nil && p.Type != "Sequence" && trimsOffsets(one)
		})
	}
	return (p.Type == "RobertaProcessing" || p.Type == "ByteLevel") && orTrue(p.TrimOffsets)
}

// lookBytes is how much text is scanned between two checks of the context.
const lookBytes = 64 << 10

// after returns the first place to cut at or after size, or the length of text. Once ctx has ended it may return the
// length, too.
func (c *cutter) after(ctx context.Context, text string, size int) int {
	if c.kind == cutNever {
		return len(text)
	}
	for i := size; i < len(text); i++ {
		if c.at(text, i) {
			return i
		}
		if i%lookBytes == 0 && ctx.Err() != nil {
			break
		}
	}
	return len(text)
}

// before returns the last place to cut at or before size, or 0. Once ctx has ended it may return 0, too.
func (c *cutter) before(ctx context.Context, text string, size int) int {
	if c.kind == cutNever {
		return 0
	}
	for i := size; i > 0; i-- {
		if c.at(text, i) {
			return i
		}
		if i%lookBytes == 0 && ctx.Err() != nil {
			break
		}
	}
	return 0
}

// at says whether text may be cut before byte i, which is inside of it.
func (c *cutter) at(text string, i int) bool {
	if !utf8.RuneStart(text[i]) {
		return false
	}
	return (c.byRule(text, i) || c.begins[text[i]] && c.beforeAdded(text, i)) && !c.inAdded(text, i)
}

// byRule says whether the pre-tokeniser allows a cut before byte i, where a character begins.
func (c *cutter) byRule(text string, i int) bool {
	b, _ := utf8.DecodeRuneInString(text[i:])
	if c.kind == cutSpaces && !strings.ContainsRune(c.spaces, b) {
		return false
	}
	a, _ := utf8.DecodeLastRuneInString(text[:i])
	switch c.kind {
	case cutWords:
		return (c.words.separates(a) || c.words.separates(b)) && (!c.blankOnly || isBlank(a) || isBlank(b))
	case cutClasses:
		return c.classesDiffer(a, b)
	case cutPhrases:
		return c.phrasesDiffer(a, b)
	case cutSpaces:
		return c.endsWord(a, text[i:])
	}
	return false
}

// beforeAdded says whether an added token begins at byte i: the library splits the text there in any case.
func (c *cutter) beforeAdded(text string, i int) bool {
	for j := range c.added {
		t := &c.added[j]
		if strings.HasPrefix(text[i:], t.Content) && !t.SingleWord && !t.Normalized && !(t.Special && c.literal) {
			a, _ := utf8.DecodeLastRuneInString(text[:i])
			return !unicode.IsSpace(a)
		}
	}
	return false
}

// inAdded says whether an added token could reach across a cut before byte i, or depend on the text beyond it.
func (c *cutter) inAdded(text string, i int) bool {
	for j := range c.added {
		t := &c.added[j]
		if (t.RStrip || t.SingleWord) && strings.HasSuffix(text[:i], t.Content) ||
			t.SingleWord && strings.HasPrefix(text[i:], t.Content) {
			return true
		}
		for k := 1; k < len(t.Content) && k <= i; k++ {
			if text[i-k] == t.Content[0] && strings.HasPrefix(text[i-k:], t.Content) {
				return true
			}
		}
	}
	return false
}

// maxSpaces is how many bytes of white space endsWord skips to find the next word.
const maxSpaces = 64

// endsWord says whether a ends a word, and rest is white space, which the normaliser turns into spaces, and then a word. No
// normaliser acts across that place: graphemes and compositions have a space only as their first character.
func (c *cutter) endsWord(a rune, rest string) bool {
	if !inWord(a) && !unicode.Is(unicode.M, a) && !isMarkup(a) {
		return false
	}
	for i, r := range rest {
		switch {
		case i > maxSpaces:
			return false
		case !strings.ContainsRune(c.spaces, r):
			return i > 0 && (inWord(r) || isMarkup(r))
		}
	}
	return false
}

// isBlank says whether r is white space to BERT with all options of its normaliser.
func isBlank(r rune) bool {
	return r == ' ' || r == '\t' || r == '\n' || r == '\r' || r >= utf8.RuneSelf && unicode.Is(unicode.Z, r)
}

// isMarkup says whether r is punctuation or a symbol of ASCII, or punctuation of the CJK blocks.
func isMarkup(r rune) bool {
	return r > ' ' && r < 0x7f && !inWord(r) || r >= 0x3001 && r <= 0x3003 || r >= 0x3008 && r <= 0x3011 || r >= 0xff01 && r <= 0xff1f
}

// inWord says whether r is a letter or digit to every tokenizer, and never joins the character after it. It leaves out the
// letters that Unicode calls Prepend.
func inWord(r rune) bool {
	if r < utf8.RuneSelf {
		return '0' <= r && r <= '9' || 'a' <= r|0x20 && r|0x20 <= 'z'
	}
	const malayalamDotReph = 0x0d4e
	return r <= 0xffff && r != malayalamDotReph && unicode.In(r, unicode.L, unicode.Nd)
}

// class is a class of characters in GPT-2's expression.
type class uint8

const (
	classUnknown class = iota // versions of Unicode may disagree on it
	classLetter
	classNumber
	classSpace
	classRest
	classMark // of classRest, but composes with the character before it
)

func classOf(r rune) class {
	switch {
	case unicode.IsSpace(r):
		return classSpace
	case unicode.IsLetter(r):
		return classLetter
	case unicode.IsNumber(r):
		return classNumber
	case unicode.IsMark(r):
		return classMark
	case unicode.In(r, unicode.P, unicode.S), r < ' ', r == 0x7f:
		return classRest
	}
	return classUnknown
}

// classesDiffer says whether GPT-2's expression (pre_tokenizers/byte_level.rs) ends a match between a and b, and the text
// before that has no effect on the text after it. a must not be white space, which may belong to the match after it, nor an
// apostrophe, which may begin a contraction that b is part of.
func (c *cutter) classesDiffer(a, b rune) bool {
	before, after := classOf(a), classOf(b)
	if before == classMark {
		before = classRest
	}
	switch {
	case before == classUnknown, after == classUnknown, before == classSpace, after == classMark, a == '\'':
		return false
	case c.prefixed && b != ' ':
		return false
	}
	return before != after
}
