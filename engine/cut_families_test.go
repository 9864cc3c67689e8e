package engine

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	err := one.prepare(file)
	if err != nil {
		t.Fatal(err)
	}
	if one.encoder, err = newEncoder(file, asText); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = one.close() })
	if err := one.prepareCuts(file, asText); err != nil {
		t.Fatal(err)
	}
	return one
}

// whole encodes a text in one call of the encoder.
func (t *tokenizer) whole(text string) []int32 { return t.encoder.encode(text, 0).ids }

// remembering returns whole with a memory: small pieces of texts are the same again and again.
func (t *tokenizer) remembering() func(text string) []int32 {
	known := map[string][]int32{}
	return func(text string) []int32 {
		ids, ok := known[text]
		if !ok {
			ids = t.whole(text)
			known[text] = ids
		}
		return ids
	}
}

// cutFamily is a kind of tokenizer that cuts are tested with.
type cutFamily struct {
	name, file string
	change     map[string]string // fields of tokenizer.json
	asText     bool
	kind       cutKind
}

const bertNormalizer = `{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":%t,"strip_accents":%s,"lowercase":%t}`

// debertaNormalizer is that of DebertaV2Tokenizer.
const debertaNormalizer = `{"type":"Sequence","normalizers":[{"type":"Replace","pattern":{"Regex":"\\s{2,}|[\\n\\r\\t]"},"content":" "},{"type":"NFC"},{"type":"Strip","strip_left":false,"strip_right":true}]}`

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
	{name: "qwen", file: "../prompts/qwen", kind: cutPhrases},
	{name: "qwen, special tokens as text", file: "../prompts/qwen", asText: true, kind: cutPhrases},
	{name: "qwen, awkward tokens", file: "../prompts/qwen", kind: cutPhrases, change: map[string]string{"added_tokens": awkwardAdded}},
	{name: "qwen, normalized tokens", file: "../prompts/qwen", kind: cutSpaces, change: map[string]string{"added_tokens": normalizedAdded}},
	{name: "llama", file: "../prompts/llama", kind: cutPhrases},
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
	{name: "albert", file: "albert", kind: cutSpaces, change: map[string]string{"normalizer": `{"type":"Sequence","normalizers":[
		{"type":"Replace","pattern":{"String":"` + "``" + `"},"content":"\""},{"type":"Replace","pattern":{"String":"''"},"content":"\""},
		{"type":"NFKD"},{"type":"StripAccents"},{"type":"Lowercase"}]}`}},
	{name: "deberta", file: "xlm_roberta", kind: cutSpaces, change: map[string]string{
		"normalizer":    debertaNormalizer,
		"pre_tokenizer": `{"type":"Sequence","pretokenizers":[{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true}]}`}},
	{name: "deberta, by punctuation, normalized tokens", file: "xlm_roberta", kind: cutSpaces, change: map[string]string{
		"normalizer": strings.Replace(debertaNormalizer, "[", `[{"type":"Lowercase"},`, 1), "added_tokens": normalizedAdded,
		"pre_tokenizer": `{"type":"Sequence","pretokenizers":[{"type":"Punctuation","behavior":"Isolated"},{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true}]}`}},
	{name: "deberta, no prefix", file: "xlm_roberta", kind: cutSpaces, change: map[string]string{
		"normalizer":    debertaNormalizer,
		"pre_tokenizer": `{"type":"Sequence","pretokenizers":[{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":true}]}`}},
	{name: "unknown", file: "xlm_roberta", kind: cutNever, change: map[string]string{
		"pre_tokenizer": `{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":false}`}},
	{name: "qwen, other expression", file: "../prompts/qwen", kind: cutNever, change: map[string]string{
		"pre_tokenizer": `{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"\\\\p{L}+"},"behavior":"Isolated","invert":false},` +
			`{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":false,"use_regex":false}]}`}},
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
