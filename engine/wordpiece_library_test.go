//go:build tokenizers

package engine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// wordPieceAddedTokens are added tokens with every flag that package wordpiece takes, some of them parts of words and of each other.
const wordPieceAddedTokens = `[{"id":101,"content":"[CLS]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
	{"id":102,"content":"[SEP]","single_word":false,"lstrip":false,"rstrip":true,"normalized":false,"special":true},
	{"id":103,"content":"[MASK]","single_word":false,"lstrip":true,"rstrip":false,"normalized":false,"special":true},
	{"id":30522,"content":"[DOC]","single_word":false,"lstrip":false,"rstrip":false,"normalized":true,"special":true},
	{"id":30523,"content":"[DOC]!","single_word":false,"lstrip":true,"rstrip":true,"normalized":true,"special":false},
	{"id":30524,"content":"É東","single_word":false,"lstrip":true,"rstrip":false,"normalized":true,"special":false},
	{"id":30525,"content":"!a","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":false}]`

// wordPieceFamilies are tokenizers of package wordpiece, by fields of tokenizer.json that differ from the embedded model's.
var wordPieceFamilies = []struct {
	name   string
	change map[string]string
	asText bool
}{
	{name: "embedded"},
	{name: "special tokens as text", asText: true},
	{name: "cased", change: map[string]string{"normalizer": fmt.Sprintf(bertNormalizer, true, "false", false)}},
	{name: "accents kept", change: map[string]string{"normalizer": fmt.Sprintf(bertNormalizer, false, "false", true)}},
	{name: "cased, accents stripped", change: map[string]string{"normalizer": fmt.Sprintf(bertNormalizer, true, "true", false)}},
	{name: "not clean", change: map[string]string{"normalizer": strings.Replace(fmt.Sprintf(bertNormalizer, true, "null", true), "true", "false", 1)}},
	{name: "added tokens", change: map[string]string{"added_tokens": wordPieceAddedTokens}},
	{name: "added tokens as text", change: map[string]string{"added_tokens": wordPieceAddedTokens}, asText: true},
}

// openBoth opens a tokenizer of wordPieceFamilies in package wordpiece and in the library.
func openBoth(t testing.TB, change map[string]string, asText bool) (ours, library encoder) {
	t.Helper()
	file := maps.Clone(tokenizerFile(t, ""))
	for key, value := range change {
		file[key] = jsontext.Value(value)
	}
	file["truncation"], file["padding"] = jsontext.Value("null"), jsontext.Value("null")
	ours, err := newEncoder(file, asText)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := ours.(wordPieceEncoder); !ok {
		_, err := wordPieceConfig(file)
		t.Fatalf("it is not package wordpiece's: %v", err)
	}
	if library, err = newLibrary(file, asText); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = library.close() })
	if ours.vocabSize() != library.vocabSize() {
		t.Errorf("%d tokens, the library has %d", ours.vocabSize(), library.vocabSize())
	}
	return ours, library
}

// compareEncoders wants the ids and the offsets of the library.
func compareEncoders(t testing.TB, ours, library encoder, text string) {
	t.Helper()
	got, want := ours.encode(text, withOffsets), library.encode(text, withOffsets)
	if !slices.Equal(got.ids, want.ids) {
		t.Errorf("%+q has tokens\n%d, want\n%d", text, got.ids, want.ids)
	} else if !slices.Equal(got.offsets, want.offsets) {
		t.Errorf("%+q has tokens at\n%d, want\n%d", text, got.offsets, want.offsets)
	}
	if plain := ours.encode(text, 0).ids; !slices.Equal(plain, got.ids) {
		t.Errorf("%+q has tokens\n%d without offsets, want\n%d", text, plain, got.ids)
	}
}

// vocabularyText is a text of n parts of words, in upper and lower case, as they are in the vocabulary.
func vocabularyText(r *rand.Rand, words []string, n int) string {
	var out strings.Builder
	for range n {
		word := words[r.IntN(len(words))]
		if rest, ok := strings.CutPrefix(word, "##"); ok {
			word = rest
		} else if r.IntN(4) > 0 {
			out.WriteByte(' ')
		}
		if r.IntN(6) == 0 {
			word = strings.ToUpper(word)
		}
		out.WriteString(word)
	}
	return clean(out.String())
}

// Random texts have the library's ids and offsets: a million of them without -short.
func TestWordPieceIsTheLibrarys(t *testing.T) {
	texts := 1_000_000 / len(wordPieceFamilies)
	if testing.Short() {
		texts = 2000
	}
	var model struct {
		Vocab map[string]int `json:"vocab"`
	}
	if err := json.Unmarshal(tokenizerFile(t, "")["model"], &model); err != nil {
		t.Fatal(err)
	}
	words := slices.Sorted(maps.Keys(model.Vocab))
	for i, f := range wordPieceFamilies {
		t.Run(f.name, func(t *testing.T) {
			ours, library := openBoth(t, f.change, f.asText)
			r := rand.New(rand.NewPCG(5, uint64(i)))
			for n := 0; n < texts && !t.Failed(); n++ {
				length := 2 + r.IntN(6)
				if n%256 < 4 {
					length = 32
				}
				switch n % 4 {
				case 0:
					compareEncoders(t, ours, library, randomText(r, length))
				case 1:
					compareEncoders(t, ours, library, awkwardText(r, length))
				case 2:
					compareEncoders(t, ours, library, vocabularyText(r, words, length))
				default:
					compareEncoders(t, ours, library, awkwardText(r, length/2)+randomText(r, length/2)+vocabularyText(r, words, length/2))
				}
			}
		})
	}
}

// All lines of the engine's code and test data have the library's ids and offsets.
func TestWordPieceOfTestTexts(t *testing.T) {
	notShort(t)
	ours, library := openBoth(t, nil, false)
	lines := 0
	err := filepath.WalkDir("..", func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !slices.Contains([]string{".json", ".jsonl", ".txt", ".md", ".tsv", ".csv", ".go"}, filepath.Ext(path)) {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(data)) {
			if len(line) > maxUncutBytes {
				continue
			}
			compareEncoders(t, ours, library, clean(line))
			lines++
		}
		if t.Failed() {
			return filepath.SkipAll
		}
		return nil
	})
	if err != nil || lines < 10_000 {
		t.Errorf("%d lines: %v", lines, err)
	}
}

// FuzzWordPiece compares the ids of any text.
func FuzzWordPiece(f *testing.F) {
	ours, library := openBoth(f, map[string]string{"added_tokens": wordPieceAddedTokens}, false)
	f.Add("Hello, wörld 🙂 tokenization [DOC]! 東京")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) <= maxPieceBytes {
			compareEncoders(t, ours, library, clean(text))
		}
	})
}

// BenchmarkWordPiece compares the encoders, by bytes of text.
func BenchmarkWordPiece(b *testing.B) {
	ours, library := openBoth(b, nil, false)
	for _, text := range []struct{ name, text string }{
		{"prose", strings.Repeat("The quick brown fox jumps over the lazy dog, and nobody is surprised by its agility. ", 20)},
		{"rare words", strings.Repeat("Antidisestablishmentarianism pneumonoultramicroscopic tetrahydrocannabinol. ", 20)},
		{"German", strings.Repeat("Die größten Übergänge führen über schöne Straßen; das weiß jeder Fußgänger. ", 20)},
		{"Chinese", strings.Repeat("東京の天気は今日も晴れです。", 40)},
		{"Korean", strings.Repeat("오늘 서울의 날씨는 맑습니다. ", 40)},
		{"random", randomText(rand.New(rand.NewPCG(1, 1)), 300)},
	} {
		for _, one := range []struct {
			name    string
			encoder encoder
		}{{"go", ours}, {"library", library}} {
			b.Run(text.name+"/"+one.name, func(b *testing.B) {
				b.SetBytes(int64(len(text.text)))
				b.ReportAllocs()
				for b.Loop() {
					one.encoder.encode(text.text, 0)
				}
			})
		}
	}
}
