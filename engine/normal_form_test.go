package engine

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// normalText returns a text as the library passes it to the model: the texts of its tokens, joined.
func normalText(one *tokenizer, text string) string {
	return strings.Join(one.encoder.encode(text, withTexts).texts, "")
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
	normalTexts := 1200 // of each of two kinds
	if testing.Short() {
		normalTexts = 200
	}
	for i, f := range cutFamilies {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			one := f.open(t)
			if one.long == nil {
				t.Skip("not for this tokenizer")
			}
			r := rand.New(rand.NewPCG(11, uint64(i)))
			found := 0
			for range normalTexts {
				checkNormal(t, one, awkwardText(r, 1+r.IntN(30)), &found)
				checkNormal(t, one, clean(randomText(r, 1+r.IntN(30))), &found)
				if t.Failed() {
					return
				}
			}
			if found < 2*normalTexts/3 {
				t.Errorf("%d of %d texts have a normal form", found, 2*normalTexts)
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
		if want := one.whole(text); err != nil || !whole || !slices.Equal(ids, want) || !slices.Contains(ids, 4) {
			t.Errorf("after %d bytes: %d ids, whole %t, want the %d of the whole: %v", len(before), len(ids), whole, len(want), err)
		}
	}
}
