package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/daulet/tokenizers"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/metalrank/metalrank/weights/builtin"
)

// tokenizerFile reads a tokenizer.json of the tests; "" is the embedded model's.
func tokenizerFile(t testing.TB, family string) map[string]jsontext.Value {
	t.Helper()
	var (
		data []byte
		err  error
	)
	if family == "" {
		checkpoint, openErr := builtin.Open()
		if openErr != nil {
			t.Fatal(openErr)
		}
		defer checkpoint.Close()
		data, err = checkpoint.File("tokenizer.json")
	} else {
		data, err = os.ReadFile(filepath.Join("testdata", "families", family, "tokenizer.json"))
	}
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]jsontext.Value
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// newTestTokenizer makes a tokenizer of a file that is changed before; asText: special tokens in a text are encoded as
// text.
func newTestTokenizer(t testing.TB, file map[string]jsontext.Value, asText bool) *tokenizer {
	t.Helper()
	one := &tokenizer{turns: newTurns(2), stretches: newStretchTurns()}
	data, err := one.prepare(file)
	if err != nil {
		t.Fatal(err)
	}
	var options []tokenizers.TokenizerOption
	if asText {
		options = append(options, tokenizers.WithEncodeSpecialTokens())
	}
	if one.handle, err = tokenizers.FromBytes(data, options...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = one.close() })
	if err := one.prepareCuts(file, asText); err != nil {
		t.Fatal(err)
	}
	return one
}

// whole encodes a text in one call of the library.
func (t *tokenizer) whole(text string) []uint32 { return t.handle.EncodeWithOptions(text, false).IDs }

// cutFamily is a kind of tokenizer that cuts are tested with.
type cutFamily struct {
	name, file string
	change     map[string]string // fields of tokenizer.json
	asText     bool
	kind       cutKind
}

const bertNormalizer = `{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":%t,"strip_accents":%s,"lowercase":%t}`

// awkwardAdded are added tokens that may be parts of words, with every flag.
const awkwardAdded = `[{"id":1,"content":"<mask>","single_word":false,"lstrip":true,"rstrip":true,"normalized":false,"special":true},
	{"id":2,"content":"!a","single_word":true,"lstrip":false,"rstrip":false,"normalized":false,"special":false},
	{"id":3,"content":"[SEP]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}]`

// normalizedAdded are as in the files of RoBERTa and XLM-RoBERTa on the Hub, which have some tokens found in the normal form.
const normalizedAdded = `[{"id":0,"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":true,"special":true},
	{"id":2,"content":"</s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
	{"id":4,"content":"<mask>","single_word":false,"lstrip":true,"rstrip":false,"normalized":true,"special":true}]`

var cutFamilies = []cutFamily{
	{name: "bert", kind: cutWords},
	{name: "bert, special tokens as text", asText: true, kind: cutWords},
	{name: "bert, cased", kind: cutWords, change: map[string]string{"normalizer": fmt.Sprintf(bertNormalizer, true, "null", false)}},
	{name: "bert, cased, accents stripped", kind: cutWords, change: map[string]string{"normalizer": fmt.Sprintf(bertNormalizer, true, "true", false)}},
	{name: "bert, no CJK", kind: cutWords, change: map[string]string{"normalizer": fmt.Sprintf(bertNormalizer, false, "false", true)}},
	{name: "bert, not cleaned", kind: cutWords, change: map[string]string{
		"normalizer": `{"type":"BertNormalizer","clean_text":false,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true}`}},
	{name: "bert, awkward tokens", kind: cutWords, change: map[string]string{"added_tokens": awkwardAdded}},
	{name: "bert, normalized tokens", kind: cutWords, change: map[string]string{
		"added_tokens": `[{"id":1,"content":"[DOC]","single_word":false,"lstrip":false,"rstrip":false,"normalized":true,"special":false}]`}},
	{name: "electra", file: "electra", kind: cutWords},
	{name: "roberta", file: "roberta", kind: cutClasses},
	{name: "roberta, prefix", file: "roberta", kind: cutClasses, change: map[string]string{
		"pre_tokenizer": `{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}`}},
	{name: "roberta, awkward tokens", file: "roberta", kind: cutClasses, change: map[string]string{"added_tokens": awkwardAdded}},
	{name: "roberta, normalized tokens", file: "roberta", kind: cutClasses, change: map[string]string{"added_tokens": normalizedAdded}},
	{name: "roberta, NFC, normalized tokens", file: "roberta", kind: cutSpaces, change: map[string]string{
		"normalizer": `{"type":"NFC"}`, "added_tokens": normalizedAdded}},
	{name: "roberta, NFC", file: "roberta", kind: cutClasses, change: map[string]string{"normalizer": `{"type":"NFC"}`}},
	{name: "roberta, NFKC and lower case", file: "roberta", kind: cutSpaces, change: map[string]string{
		"normalizer": `{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Lowercase"}]}`}},
	{name: "xlm-roberta", file: "xlm_roberta", kind: cutSpaces},
	{name: "xlm-roberta, NFKC, normalized tokens", file: "xlm_roberta", kind: cutSpaces, change: map[string]string{
		"normalizer": `{"type":"NFKC"}`, "added_tokens": normalizedAdded}},
	{name: "xlm-roberta, metaspace alone", file: "xlm_roberta", kind: cutSpaces, change: map[string]string{
		"pre_tokenizer": `{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true}`}},
	{name: "xlm-roberta, spaces joined", file: "xlm_roberta", kind: cutSpaces, change: map[string]string{
		"normalizer":    `{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Strip","strip_left":false,"strip_right":true},{"type":"Replace","pattern": { "Regex": " {2,}" },"content":"▁"}]}`,
		"pre_tokenizer": `{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":true}`}},
	{name: "xlm-roberta, charsmap", file: "xlm_roberta", kind: cutSpaces, change: map[string]string{"normalizer": "charsmap"}},
	{name: "xlm-roberta, charsmap, metaspace alone", file: "xlm_roberta", kind: cutSpaces, change: map[string]string{
		"normalizer":    "charsmap",
		"pre_tokenizer": `{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true}`}},
	{name: "camembert", file: "camembert", kind: cutSpaces},
	{name: "unknown", file: "xlm_roberta", kind: cutNever, change: map[string]string{
		"pre_tokenizer": `{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":false}`}},
	{name: "unknown expression", file: "roberta", kind: cutNever, change: map[string]string{
		"pre_tokenizer": `{"type":"Split","pattern":{"Regex":"a|b"},"behavior":"Isolated","invert":false}`}},
}

func (f *cutFamily) open(t testing.TB) *tokenizer {
	t.Helper()
	file := tokenizerFile(t, f.file)
	for key, value := range f.change {
		if value == "charsmap" {
			value = `{"type":"Precompiled","precompiled_charsmap":"` + readCharsmap(t) + `"}`
		}
		file[key] = jsontext.Value(value)
	}
	one := newTestTokenizer(t, file, f.asText)
	if one.cuts.kind != f.kind {
		t.Fatalf("%s: cut by rule %d, want %d", f.name, one.cuts.kind, f.kind)
	}
	return one
}

// readCharsmap returns a small charsmap that SentencePiece 0.2 compiled from rules that a normaliser can have: white space
// to a space, characters to nothing, to several, to marks, and pairs of them.
func readCharsmap(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "charsmap.base64"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// scripts are the parts of the tests' texts: whole words and single characters.
var scripts = [][]string{
	strings.Fields("the harbour boat can't it's they'll we've 'tis ferry pier. Stone, (lamp) light; storm! wind? a b c naïve Ärger"),
	strings.Fields("東 京 天 気 水 火 山 川 日 本 の は カ タ ー ト 。 、 「 」 龥 㐀 豈 ｶ ﾞ 한 글 각 ᄀ ᅡ ᆨ"),
	strings.Fields("ภาษาไทย สวัสดี ำ ่ ก ข ค العربية مَرْحَبًا ، ؟ ا ل עברית שָׁלוֹם हिन्दी नमस्ते कि क्ष । ් தமிழ் ಕನ್ನಡ മലയാളം ൎ"),
	strings.Fields("😀 👩‍👩‍👧 🇩🇪 🇫 ❤️ 👍🏽 1️⃣ 🏴 ☕ ™ © ① ½ Ⅷ ㎏ ﬁ … ‼ ≠ ≯ \u2e4f"),
	{"\u0301", "\u0308", "\u0316", "\u0345", "\u1dfe", "\u200d", "\u200c", "\u200b", "\ufeff", "\u00ad", "\u0338", "\u0d4e", "\u0600", "\u20dd", "\u1abf"},
	{" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2028", "\u0085", "\u000b", "\u1680", "   ", " ", " ", "\n\n"},
	{"\u0001", "\u001f", "\u007f", "\ufffd", "\ue000", "\U000f0000", "\u0378", "\U0001f9ff", "\U0001fae8", "▁", "\U00020000", "\U0002b830"},
	strings.Fields("[SEP] [CLS] [MASK] <s> </s> <mask> <pad> <unk> [DOC] [doc] [SE P] !a a!a !a! '' ''s 's 't 'S ' \" ## ##ing [ ] < > ＜mask＞ ＜s＞"),
	strings.Fields("0 1 12 123 4567 ٣ ๓ x1 1x a1b2 1.5 -7 $9 50% # @me http://a.b/c?d=e&f=g"),
	{strings.Repeat("x", 99), strings.Repeat("y", 100), strings.Repeat("z", 101), strings.Repeat("é", 101), strings.Repeat("か", 60), strings.Repeat("a\u0301", 60)},
}

// randomText is a text of about n parts, of one script or of several, with and without white space.
func randomText(r *rand.Rand, n int) string {
	var out strings.Builder
	of := [3]int{r.IntN(len(scripts)), r.IntN(len(scripts)), r.IntN(len(scripts))}
	spaced := r.IntN(3)
	for range n {
		script := scripts[of[r.IntN(3)]]
		if r.IntN(12) == 0 {
			script = scripts[r.IntN(len(scripts))]
		}
		part := script[r.IntN(len(script))]
		if len(part) < 8 && r.IntN(10) == 0 {
			part = strings.Repeat(part, 1+r.IntN(40))
		}
		out.WriteString(part)
		if spaced > 0 && r.IntN(spaced+1) > 0 {
			out.WriteByte(' ')
		}
	}
	return clean(out.String())
}

// checkPieces compares the tokens of a text's pieces, of about size bytes, with those of the whole.
func checkPieces(t *testing.T, one *tokenizer, text string, size int, from end) (pieces int) {
	t.Helper()
	want := one.whole(text)
	var got [][]uint32
	rest := text
	for rest != "" {
		var piece string
		piece, rest = one.cuts.take(t.Context(), rest, size, from)
		if one.cuts.kind == cutWords {
			piece = one.cuts.words.compact(t.Context(), piece)
		}
		got = append(got, one.whole(piece))
	}
	if from == back {
		slices.Reverse(got)
	}
	if ids := slices.Concat(got...); !slices.Equal(ids, want) {
		t.Errorf("pieces of %d bytes of %q give\n%v, want\n%v", size, text, ids, want)
	}
	return len(got)
}

func TestPiecesHaveTheTokensOfTheWhole(t *testing.T) {
	texts := 2000
	if testing.Short() {
		texts = 200
	}
	for _, f := range cutFamilies {
		t.Run(f.name, func(t *testing.T) {
			one := f.open(t)
			r := rand.New(rand.NewPCG(1, 2))
			pieces := 0
			for range texts {
				text := randomText(r, 1+r.IntN(60))
				pieces += checkPieces(t, one, text, 1+r.IntN(20), end(r.IntN(2)))
				if t.Failed() {
					return
				}
			}
			if many := pieces > 2*texts; many != (f.kind != cutNever) {
				t.Errorf("%d pieces of %d texts", pieces, texts)
			}
		})
	}
}

// FuzzPieces looks for a text with pieces that have other tokens than the whole.
func FuzzPieces(f *testing.F) {
	var all []*tokenizer
	for i := range cutFamilies {
		all = append(all, cutFamilies[i].open(f))
	}
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 200 {
		f.Add(randomText(r, 20), uint8(i), uint8(1+r.IntN(20)), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, text string, family, size uint8, fromBack bool) {
		from := front
		if fromBack {
			from = back
		}
		checkPieces(t, all[int(family)%len(all)], clean(text), max(1, int(size)), from)
	})
}

// The library has the classes of characters that wordClasses says it has.
func TestWordClasses(t *testing.T) {
	one := newTestTokenizer(t, tokenizerFile(t, ""), false)
	dropped, separate, letter := one.whole("aa"), one.whole("a a"), one.whole("a")
	for r := rune(1); r <= unicode.MaxRune; r++ {
		switch {
		case r >= 0x10000 && r%251 != 0 && !unicode.In(r, unicode.P, unicode.M, unicode.Z, unicode.Cf), // too many to ask about
			r >= 0xd800 && r < 0xe000, r >= 0xe100 && r < 0xf800: // surrogates, and private use
			continue
		}
		got := one.whole("a" + string(r) + "a")
		want := classWord
		switch {
		case slices.Equal(got, dropped):
			want = classDropped
		case slices.Equal(got, separate), len(got) >= 3 && got[0] == letter[0] && got[len(got)-1] == letter[0]:
			want = classSeparator
		}
		if class := one.cuts.words.of(r); class != want && class != classUnsure {
			t.Errorf("%U is of class %d, the library has it in %d", r, class, want)
		}
	}
}

// Stretches that can't be cut have the tokens of the whole when they are encoded in windows.
func TestLongStretches(t *testing.T) {
	for _, f := range cutFamilies {
		if f.kind == cutNever {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			one := f.open(t)
			r := rand.New(rand.NewPCG(5, 6))
			texts := 12
			if testing.Short() {
				texts = 3
			}
			for range texts {
				var text strings.Builder
				script := scripts[r.IntN(5)]
				period := 1 + r.IntN(30)
				var parts []string
				for range period {
					parts = append(parts, strings.TrimSpace(script[r.IntN(len(script))]))
				}
				for i := 0; text.Len() < 40<<10; i++ {
					part := parts[i%period]
					if period > 20 {
						part = script[r.IntN(len(script))]
					}
					text.WriteString(part)
				}
				long := clean(text.String())
				want := appendIDs(nil, one.whole(long))
				for _, from := range []end{front, back} {
					for _, need := range []int{600, all} {
						ids, whole, err := one.encode(t.Context(), &caller{}, long, need, from)
						switch {
						case err != nil:
							t.Fatalf("%.80q: %v", long, err)
						case whole && !slices.Equal(ids, want),
							!whole && (len(ids) < need || len(ids) > len(want)),
							!whole && from == front && !slices.Equal(ids, want[:len(ids)]),
							!whole && from == back && !slices.Equal(ids, want[len(want)-len(ids):]):
							t.Fatalf("%.80q: %d ids, whole %t, from %d are not those of the whole, which has %d", long, len(ids), whole, from, len(want))
						}
					}
				}
			}
		})
	}
}

// Behind a charsmap, stretches of every script can be encoded, and have the tokens of the whole.
func TestLongStretchesOfScripts(t *testing.T) {
	for _, f := range cutFamilies {
		if f.change["normalizer"] != "charsmap" {
			continue
		}
		one := f.open(t)
		for _, part := range []string{
			"ភាសាខ្មែរ", "བོད་ཡིག", "မြန်မာဘာသာ", "नमस्ते", "क्", "አማርኛ", "ᏣᎳᎩ", "ᠮᠣᠩᠭᠣᠯ", "👩\u200d👩\u200d👧", "👩\u200d", "🇩🇪", "1️⃣", "\u0001",
			"\u007f", "\u200b", "\u0378", "\ue000", "\u0301", "ำ", "ｶﾞ", "½", "…", "a\u00ad", " ", "\u00a0", "\t", "\r\n", "a" + strings.Repeat(" ", 8000),
		} {
			text := strings.Repeat(part, 2*maxUncutBytes/len(part))
			ids, whole, err := one.encode(t.Context(), &caller{}, text, all, front)
			if want := appendIDs(nil, one.whole(text)); err != nil || !whole || !slices.Equal(ids, want) {
				t.Errorf("%s: %.40q: %d ids, whole %t, want the %d of the whole: %v", f.name, part, len(ids), whole, len(want), err)
			}
		}
	}
}

// A text that repeats one character, or a few, has the tokens of the whole. Neither its length nor its end matters.
func TestRowsInWindows(t *testing.T) {
	for _, f := range cutFamilies {
		if f.kind != cutClasses {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			one := f.open(t)
			r := rand.New(rand.NewPCG(13, 14))
			for _, part := range []string{"-", "\n", "'", "''s", "=-", "x", "the", "東", "é", "\u00ad", "'l"} {
				for _, end := range []string{"", "s", "'s", " a", "'ll", "!"} {
					text := "a" + strings.Repeat(part, (20<<10+r.IntN(20<<10))/len(part)) + end
					ids, whole, err := one.encode(t.Context(), &caller{}, text, all, front)
					if want := appendIDs(nil, one.whole(text)); err != nil || !whole || !slices.Equal(ids, want) {
						t.Errorf("%d bytes of %q and %q: %d ids, whole %t, want the %d of the whole: %v",
							len(text), part, end, len(ids), whole, len(want), err)
					}
				}
			}
			long := strings.Repeat("'", 2*maxUncutBytes)
			if _, _, err := one.encode(t.Context(), &caller{}, long, all, front); err != nil {
				t.Errorf("a row of quotes: %v", err)
			}
		})
	}
}

// normalText returns a text as the library passes it to the model: the texts of its tokens, joined.
func normalText(one *tokenizer, text string) string {
	return strings.Join(one.handle.EncodeWithOptions(text, false, tokenizers.WithReturnTokens()).Tokens, "")
}

// awkwardText is a text of n characters without a place to cut, of all planes or of one block, and of those that join others.
func awkwardText(r *rand.Rand, n int) string {
	joining := []rune("\u0301\u093c\u094d\u0995\u09cd\u1161\u11a8\u1100\u200d\u0600\u0d4e\U0001f1e9\U0001f468\U0001f3fd\ufe0f\u0e33\uff9e\r\n \u00a0\u0001\u00ad\u3164\u0f77\u0958\u0b92\u1025\u102e")
	var out strings.Builder
	block := rune(r.IntN(0x3000)) << 4
	for range n {
		c := block + rune(r.IntN(64))
		switch r.IntN(4) {
		case 0:
			c = joining[r.IntN(len(joining))]
		case 1:
			c = rune(r.IntN(0x1ffff))
		}
		if c != '\u2581' && c != '<' && c != 0 {
			out.WriteRune(c)
		}
	}
	return clean(out.String())
}

// The normal form of a stretch is the library's, part for part, or the stretch can't be split into clusters.
func TestNormalForm(t *testing.T) {
	for _, f := range cutFamilies {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			one := f.open(t)
			if one.long == nil {
				t.Skip("not for this tokenizer")
			}
			r := rand.New(rand.NewPCG(11, 12))
			found := 0
			for range 3000 {
				checkNormal(t, one, awkwardText(r, 1+r.IntN(30)), &found)
				checkNormal(t, one, clean(randomText(r, 1+r.IntN(30))), &found)
				if t.Failed() {
					return
				}
			}
			if found < 2000 {
				t.Errorf("%d of 6000 texts have a normal form", found)
			}
		})
	}
}

func checkNormal(t *testing.T, one *tokenizer, text string, found *int) {
	t.Helper()
	n, err := one.newNormal(text)
	var got strings.Builder
	for last := false; err == nil && !last; {
		var part string
		part, last, err = n.next(t.Context(), one, &caller{})
		got.WriteString(part)
	}
	var stretch *StretchError
	switch {
	case errors.As(err, &stretch):
		return
	case err != nil:
		t.Error(err)
	}
	if want := normalText(one, text); got.String() != want {
		t.Errorf("%+q becomes\n%+q, want\n%+q", text, got.String(), want)
	}
	*found++
}

// An added token that appears only in the normal form of a stretch, at any place of its parts, is found there.
func TestNormalizedTokenInLongStretch(t *testing.T) {
	i := slices.IndexFunc(cutFamilies, func(f cutFamily) bool { return f.name == "xlm-roberta, NFKC, normalized tokens" })
	one := cutFamilies[i].open(t)
	for pad := range 20 {
		before := strings.Repeat("x", pad) + strings.Repeat("東京", maxPieceBytes/len("東京")-3)
		text := before + "＜mask＞" + strings.Repeat("の天気", 2000)
		ids, whole, err := one.encode(t.Context(), &caller{}, text, all, front)
		if want := appendIDs(nil, one.whole(text)); err != nil || !whole || !slices.Equal(ids, want) || !slices.Contains(ids, 4) {
			t.Errorf("after %d bytes: %d ids, whole %t, want the %d of the whole: %v", len(before), len(ids), whole, len(want), err)
		}
	}
}

// Only so many stretches are encoded at once, and one that is too long is refused.
func TestStretchesTakeTurns(t *testing.T) {
	one := newTestTokenizer(t, tokenizerFile(t, "xlm_roberta"), false)
	ctx, cancel := context.WithCancelCause(t.Context())
	long := strings.Repeat("x", maxUncutBytes+1)
	for i := range longStretches {
		if err := one.stretches.long.wait(ctx, &caller{client: fmt.Sprint(i)}, 1); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := one.encode(ctx, &caller{}, long[1:], all, front); err != nil {
		t.Errorf("a shorter stretch waits for longer ones: %v", err)
	}
	why := errors.New("why")
	ended := make(chan error)
	go func() {
		_, _, err := one.encode(ctx, &caller{}, long, all, front)
		ended <- err
	}()
	cancel(why)
	if err := <-ended; !errors.Is(err, why) {
		t.Errorf("one more stretch than may be encoded at once: %v", err)
	}
	if room := one.stretches.long.free; room != 0 {
		t.Errorf("room for %d more, want none", room)
	}
	var stretch *StretchError
	if _, _, err := one.encode(t.Context(), &caller{}, strings.Repeat("x", maxStretchBytes+1), 1, front); !errors.As(err, &stretch) || stretch.Limit != maxStretchBytes {
		t.Errorf("a stretch over the limit: %v", err)
	}
}

// A word of a megabyte that is never settled takes a few bytes of memory a byte.
func TestUnigramTakesLittleMemory(t *testing.T) {
	one := newTestTokenizer(t, tokenizerFile(t, "xlm_roberta"), false)
	text := strings.Repeat("the", 1<<20/3)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	ids, _, err := one.encodeLongWords(t.Context(), &caller{}, text, all)
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) >> 20; err != nil || len(ids) < len(text)/3 || got > 64 {
		t.Errorf("%d ids with %d MiB of memory: %v", len(ids), got, err)
	}
}

// The best pieces of a word are the library's, ties included.
func FuzzUnigram(f *testing.F) {
	one := newTestTokenizer(f, tokenizerFile(f, "xlm_roberta"), false)
	for _, word := range []string{"aaaaaaaaa", "thethethe", "the", "x", "東京", "東京the京", "ththhthththe", strings.Repeat("ilit", 50)} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		word = strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) || r == '▁' || r == '<' || r == 0xfffd {
				return -1
			}
			return r
		}, clean(word))
		s := search{model: one.long.model}
		s.add(metaspace+word, true)
		if want := appendIDs(nil, one.whole(word)); word != "" && !slices.Equal(s.ids, want) {
			t.Errorf("%q: %v, want %v", word, s.ids, want)
		}
	})
}

func TestUnigramHasTheLibrarysPieces(t *testing.T) {
	one := newTestTokenizer(t, tokenizerFile(t, "xlm_roberta"), false)
	r := rand.New(rand.NewPCG(7, 8))
	for range 3000 {
		alphabet := []rune("thenilrasoæ東1.")[:1+r.IntN(14)]
		var word strings.Builder
		for range 1 + r.IntN(200) {
			word.WriteRune(alphabet[r.IntN(len(alphabet))])
		}
		s := search{model: one.long.model}
		s.add(metaspace+word.String(), true)
		if want := appendIDs(nil, one.whole(word.String())); !slices.Equal(s.ids, want) {
			t.Fatalf("%q: %v, want %v", word.String(), s.ids, want)
		}
	}
}

func TestSerdeFloat(t *testing.T) {
	for _, c := range []struct {
		text string
		want float64
	}{
		{"0", 0}, {"-2.5", -2.5}, {"1e3", 1000}, {"-12E-1", -1.2}, {"12345678901234567890123", 1.2345678901234568e22}, {"0.1", 0.1},
		{"-3.2564409173042796", -32564409173042796. / 1e16}, {"1e-400", 0}, {"0e999", 0},
	} {
		if got, err := serdeFloat(c.text); err != nil || got != c.want {
			t.Errorf("%s: %g, want %g: %v", c.text, got, c.want, err)
		}
	}
	for _, text := range []string{"x", "1ex", `"1"`, "null"} {
		if got, err := serdeFloat(text); err == nil {
			t.Errorf("%s: %g", text, got)
		}
	}
}

// A word that is settled part by part has the tokens of one that isn't.
func TestUnigramSettles(t *testing.T) {
	one := newTestTokenizer(t, tokenizerFile(t, "xlm_roberta"), false)
	r := rand.New(rand.NewPCG(9, 10))
	parts := []string{"the", "then", "ilit", "x", "東京", strings.Repeat("Ж", 3000), strings.Repeat("e", 3000), strings.Repeat("thil", 900), "😀"}
	for range 40 {
		s := search{model: one.long.model}
		word := metaspace
		s.add(metaspace, false)
		for len(word) < 40<<10 {
			part := parts[r.IntN(len(parts))]
			word += part
			s.add(part, false)
		}
		s.add("", true)
		if want := appendIDs(nil, one.whole(word)); !slices.Equal(s.ids, want) {
			t.Fatalf("%.100q: %d tokens, want %d", word, len(s.ids), len(want))
		}
	}
}
