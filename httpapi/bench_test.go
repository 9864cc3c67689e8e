package httpapi

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"github.com/metalrank/metalrank/engine"
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

// BenchmarkDecode compares our decoder with a general one and with a plain copy.
func BenchmarkDecode(b *testing.B) {
	l := limits{1000, 1 << 20, 1 << 20}
	for name, body := range benchmarkBodies(b) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				c, f := decode(body, rerankForm, l)
				if f != nil || len(c.documents.texts) != 8 {
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
		b.Run(name+"/copy", func(b *testing.B) { // the least work of any decoder
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

// BenchmarkHandle answers a request, from the bytes of its body to those of the answer, without a network or a model.
func BenchmarkHandle(b *testing.B) {
	ranking := &engine.Ranking{}
	for i := range 8 {
		ranking.Results = append(ranking.Results, engine.Result{Index: i, Score: 0.98765432109876543 / float64(i+1)})
	}
	s, err := New(only{&fakeRanker{rerank: func(context.Context, string, []string, engine.Options) (*engine.Ranking, error) {
		return ranking, nil
	}}}, Config{})
	if err != nil {
		b.Fatal(err)
	}
	for name, body := range benchmarkBodies(b) {
		b.Run(name, func(b *testing.B) {
			var ctx fasthttp.RequestCtx
			ctx.Init(&fasthttp.Request{}, nil, nil)
			b.ReportAllocs()
			for b.Loop() {
				ctx.Request.Header.SetMethod(http.MethodPost)
				ctx.Request.SetRequestURI("/rerank")
				ctx.Request.Header.SetContentType(contentTypeJSON)
				ctx.Request.SetBodyRaw(body)
				ctx.Response.Reset()
				if s.handle(&ctx); ctx.Response.StatusCode() != http.StatusOK {
					b.Fatalf("%s", ctx.Response.Body())
				}
			}
		})
	}
}
