package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Stretches that can't be cut have the tokens of the whole when they are encoded in windows.
func TestLongStretches(t *testing.T) {
	for family, f := range cutFamilies {
		if f.kind == cutNever {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			one := f.open(t)
			r := rand.New(rand.NewPCG(5, uint64(family)))
			texts := 5
			if testing.Short() {
				texts = 2
			}
			for i := range texts {
				var text strings.Builder
				script := scripts[(family+i)%5]
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
				want := one.whole(long)
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
			if want := one.whole(text); err != nil || !whole || !slices.Equal(ids, want) {
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
				ends := []string{"", "s", "'s", " a", "'ll", "!"}
				if testing.Short() {
					ends = ends[2:3]
				}
				for _, end := range ends {
					text := "a" + strings.Repeat(part, (2*maxPieceBytes+8+r.IntN(maxPieceBytes))/len(part)) + end
					ids, whole, err := one.encode(t.Context(), &caller{}, text, all, front)
					if want := one.whole(text); err != nil || !whole || !slices.Equal(ids, want) {
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
