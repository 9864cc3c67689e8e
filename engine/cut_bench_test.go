package engine

import (
	"strings"
	"testing"
)

// BenchmarkEncodeLong encodes a megabyte for a pair of 512 tokens.
func BenchmarkEncodeLong(b *testing.B) {
	for _, f := range cutFamilies {
		if strings.Contains(f.name, ",") || f.kind == cutNever {
			continue
		}
		one := f.open(b)
		for _, text := range []struct{ name, text string }{
			{"prose", strings.Repeat("the quick brown fox jumps over the lazy dog. ", 1<<20/45)},
			{"punctuation", strings.Repeat("!", 1<<20)},
			{"CJK", strings.Repeat("東京の天気。", 1<<20/18)},
			{"word", strings.Repeat("x", 1<<20)},
			{"accents", strings.Repeat("é", 1<<19)},
			{"marks", "a" + strings.Repeat("\u0316\u0301", 1<<18)},
			{"emoji", strings.Repeat("😀", 1<<18)},
			{"Thai", strings.Repeat("ภาษาไทย", 1<<20/21)},
			{"tabs", strings.Repeat("\t", 1<<20)},
			{"spaced", strings.Repeat("a"+strings.Repeat(" ", 8000), 1<<20/8001)},
			{"control", strings.Repeat("\u0001", 1<<20)},
			{"special", strings.Repeat("[SEP]", 1<<20/5)},
		} {
			b.Run(f.name+"/"+text.name, func(b *testing.B) {
				b.SetBytes(int64(len(text.text)))
				for b.Loop() {
					ids, whole, err := one.encode(b.Context(), &caller{}, text.text, 512, front)
					if err != nil {
						b.Skip(err)
					}
					b.ReportMetric(float64(len(ids)), "ids")
					_ = whole
				}
			})
		}
	}
}
