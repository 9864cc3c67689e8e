package engine

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode"
)

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
		if want := one.whole(word); word != "" && !slices.Equal(s.ids, want) {
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
		if want := one.whole(word.String()); !slices.Equal(s.ids, want) {
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
		if want := one.whole(word); !slices.Equal(s.ids, want) {
			t.Fatalf("%.100q: %d tokens, want %d", word, len(s.ids), len(want))
		}
	}
}
