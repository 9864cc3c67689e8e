package httpapi

import (
	"bytes"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// benchmarkBodies are eight documents of a hundred words each: as they are, with a few escapes, and without ASCII.
func benchmarkBodies(b *testing.B) map[string][]byte {
	b.Helper()
	bodies := map[string][]byte{}
	for name, words := range map[string]string{
		"plain": "lorem ipsum dolor sit amet ", "escapes": "lorem ipsum \"dolor\" sit\n", "cyrillic": "лорем ипсум долор сит амет ",
	} {
		texts := make([]string, 8)
		for i := range texts {
			texts[i] = strings.Repeat(words, 20)
		}
		body, err := json.Marshal(map[string]any{"query": words, "texts": texts}, json.Deterministic(true))
		if err != nil {
			b.Fatal(err)
		}
		bodies[name] = body
	}
	return bodies
}

// BenchmarkDecode reads a body, beside a general decoder doing so.
func BenchmarkDecode(b *testing.B) {
	l := limits{1000, 1 << 20, 1 << 20}
	for name, body := range benchmarkBodies(b) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				c, f := decode(body, rerankForm, l)
				if f != nil || len(c.list.texts) != 8 {
					b.Fatal(f)
				}
			}
		})
		b.Run(name+"/general", func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				var c struct {
					Query string   `json:"query"`
					Texts []string `json:"texts"`
				}
				if err := json.Unmarshal(body, &c); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/copy", func(b *testing.B) { // what no decoder can do without
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if len(bytes.Clone(body)) == 0 {
					b.Fatal()
				}
			}
		})
	}
}
