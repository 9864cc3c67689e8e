//go:build tokenizers

package wordpiece

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/daulet/tokenizers"
)

var update = flag.Bool("update", false, "write classes.txt as the library has it")

// openLibrary opens a tokenizer.json in the library.
func openLibrary(t testing.TB, file string, options ...tokenizers.TokenizerOption) *tokenizers.Tokenizer {
	t.Helper()
	library, err := tokenizers.FromBytes([]byte(file), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = library.Close() })
	return library
}

// normalizing is a tokenizer whose one token is the normal form of the text: an unknown piece.
const normalizing = `{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":%s,"pre_tokenizer":null,
	"post_processor":null,"decoder":null,"model":{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0.0]],"byte_fallback":false}}`

// splitting is a tokenizer that tells words apart: a and b are known, and ab as one word.
const splitting = `{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":%s,
	"pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":null,"decoder":null,"model":{"type":"WordPiece",
	"unk_token":"?","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{"?":0,"a":1,"b":2,"ab":3}}}`

func (n Normalizer) json() string {
	return fmt.Sprintf(`{"type":"BertNormalizer","clean_text":%t,"handle_chinese_chars":%t,"strip_accents":%t,"lowercase":%t}`,
		n.CleanText, n.HandleChineseChars, n.StripAccents, n.Lowercase)
}

// characters calls f for every character but NUL, which the library's C interface takes for the end.
func characters(f func(r rune)) {
	for r := rune(1); r <= unicode.MaxRune; r++ {
		if utf8.ValidRune(r) {
			f(r)
		}
	}
}

// libraryClasses asks the library for the classes of all characters.
func libraryClasses(t *testing.T) []class {
	t.Helper()
	all := make([]class, unicode.MaxRune+1)
	all[0] = dropped
	is := func(file string, text func(r rune) string, of func(tokens tokenizers.Encoding, r rune) class) {
		library := openLibrary(t, file)
		characters(func(r rune) {
			all[r] |= of(library.EncodeWithOptions(text(r), false, tokenizers.WithReturnTokens()), r)
		})
	}
	between := func(r rune) string { return "a" + string(r) + "b" }
	isClass := func(value class, ids ...uint32) func(tokenizers.Encoding, rune) class {
		return func(e tokenizers.Encoding, _ rune) class {
			if slices.Equal(e.IDs, ids) {
				return value
			}
			return 0
		}
	}
	is(fmt.Sprintf(splitting, Normalizer{CleanText: true}.json()), between, isClass(dropped, 3))
	is(fmt.Sprintf(splitting, Normalizer{}.json()), between, isClass(blank, 1, 2))
	is(fmt.Sprintf(splitting, Normalizer{}.json()), between, isClass(punct, 1, 0, 2))
	is(fmt.Sprintf(splitting, Normalizer{StripAccents: true}.json()), between, isClass(mark, 3))
	differs := func(value class, text func(r rune) string) func(tokenizers.Encoding, rune) class {
		return func(e tokenizers.Encoding, r rune) class {
			if strings.Join(e.Tokens, "") != text(r) {
				return value
			}
			return 0
		}
	}
	nfd := fmt.Sprintf(normalizing, `{"type":"NFD"}`)
	alone := func(r rune) string { return string(r) }
	is(nfd, alone, differs(decomposes, alone))
	is(fmt.Sprintf(normalizing, Normalizer{Lowercase: true}.json()), alone, differs(lowers, alone))
	// A character changes places with one of class 1 after it, or with one of class 240 before it.
	swaps := func(text func(r rune) string) {
		is(nfd, text, func(e tokenizers.Encoding, r rune) class {
			if all[r]&decomposes == 0 && strings.Join(e.Tokens, "") != text(r) {
				return combines
			}
			return 0
		})
	}
	swaps(func(r rune) string { return "|" + string(r) + "\u0334" })
	swaps(func(r rune) string { return "|\u0345" + string(r) })
	return all
}

// classes.txt has the library's classes of all characters.
func TestClasses(t *testing.T) {
	if testing.Short() && !*update {
		t.Skip("it asks the library ten million questions")
	}
	want := libraryClasses(t)
	if *update {
		var out strings.Builder
		for r, c := range want {
			if r == 0 || c != want[r-1] {
				fmt.Fprintf(&out, "%x %x\n", r, c)
			}
		}
		if err := os.WriteFile("classes.txt", []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got := classes()
	characters(func(r rune) {
		if _, isNew := newCase(r); isNew && got.of(r)&^lowers == want[r] {
			return // Rust of the library is older
		}
		if got.of(r) != want[r] {
			t.Errorf("U+%04X has class %#x, want the library's %#x", r, got.of(r), want[r])
		}
	})
}

// allNormalizers are all combinations of options.
func allNormalizers() (all []Normalizer) {
	for i := range 16 {
		all = append(all, Normalizer{CleanText: i&1 == 0, HandleChineseChars: i&2 == 0, StripAccents: i&4 == 0, Lowercase: i&8 == 0})
	}
	return all
}

// The normal form of every character is the library's, before a mark and after one.
func TestNormalFormOfAllCharacters(t *testing.T) {
	all := allNormalizers()
	if testing.Short() {
		all = all[:1]
	}
	for _, options := range all {
		t.Run(fmt.Sprintf("%+v", options), func(t *testing.T) {
			library := openLibrary(t, fmt.Sprintf(normalizing, options.json()))
			n := normalizer{Normalizer: options, table: classes()}
			var text strings.Builder
			check := func(r rune) {
				n.reset()
				n.add(text.String(), 0)
				tokens := library.EncodeWithOptions(text.String(), false, tokenizers.WithReturnTokens()).Tokens
				if want := strings.Join(tokens, ""); string(n.text) != want {
					t.Errorf("up to U+%04X: %+q, want %+q", r, n.text, want)
				}
				text.Reset()
			}
			characters(func(r rune) {
				if _, isNew := newCase(r); !isNew {
					fmt.Fprintf(&text, "%c\u0316|\u0301%c|", r, r)
				}
				if r%64 == 0 {
					check(r)
				}
			})
			check(unicode.MaxRune)
		})
	}
}

// The lower case of letters that got one lately is the library's, or the library doesn't know it.
func TestNewCase(t *testing.T) {
	library := openLibrary(t, fmt.Sprintf(normalizing, Normalizer{Lowercase: true}.json()))
	found := 0
	characters(func(r rune) {
		lower, ok := newCase(r)
		if !ok {
			return
		}
		found++
		got := strings.Join(library.EncodeWithOptions(string(r), false, tokenizers.WithReturnTokens()).Tokens, "")
		if got != string(lower) && got != string(r) {
			t.Errorf("U+%04X: %+q, want %+q", r, string(lower), got)
		}
	})
	if found != 55 {
		t.Errorf("%d letters, want 55", found)
	}
}
