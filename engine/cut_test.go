package engine

import (
	"math/rand/v2"
	"slices"
	"testing"
	"unicode"
)

// checkPieces compares the tokens of a text's pieces, of about size bytes, each encoded by itself, with those of the whole.
func checkPieces(t *testing.T, one *tokenizer, encode func(text string) []int32, text string, size int, from end) (pieces int) {
	t.Helper()
	want := one.whole(text)
	var got [][]int32
	rest := text
	for rest != "" {
		var piece string
		piece, rest = one.cuts.take(t.Context(), rest, size, from)
		if one.cuts.kind == cutWords {
			piece = one.cuts.words.compact(t.Context(), piece)
		}
		got = append(got, encode(piece))
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
	texts := 1000
	if testing.Short() {
		texts = 100
	}
	for i, f := range cutFamilies {
		t.Run(f.name, func(t *testing.T) {
			one := f.open(t)
			encode := one.remembering()
			r := rand.New(rand.NewPCG(1, uint64(i))) // other texts for each family
			pieces := 0
			for range texts {
				text := randomText(r, 1+r.IntN(60))
				pieces += checkPieces(t, one, encode, text, 1+r.IntN(20), end(r.IntN(2)))
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
		one := all[int(family)%len(all)]
		checkPieces(t, one, one.whole, clean(text), max(1, int(size)), from)
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
