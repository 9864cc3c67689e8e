package httpapi

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metalrank/metalrank/engine"
)

// TestRerank has requests and their answers.
func TestRerank(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{})
	for _, c := range []struct{ name, body, want string }{
		{ // the request of text-embeddings-inference's README, word for word
			"TEI's README", `{"query":"What is Deep Learning?", "texts": ["Deep Learning is not...", "Deep learning is..."]}`,
			`[{"index":0,"score":0.8807970779778823},{"index":1,"score":0.7310585786300049}]`,
		},
		{ // that of its quick tour
			"TEI's quick tour",
			`{"query":"What is Deep Learning?", "texts": ["Deep Learning is not...", "Deep learning is..."], "raw_scores": false}`,
			`[{"index":0,"score":0.8807970779778823},{"index":1,"score":0.7310585786300049}]`,
		},
		{ // every field, with the example values of its OpenAPI document
			"TEI's OpenAPI", `{"query":"What is Deep Learning?","raw_scores":false,"return_text":false,` +
				`"texts":["Deep Learning is ..."],"truncate":false,"truncation_direction":"Right"}`,
			`[{"index":0,"score":0.8807970779778823}]`,
		},
		{"raw", `{"query":"a","texts":["b","a"],"raw_scores":true}`, `[{"index":1,"score":1},{"index":0,"score":0}]`},
		{
			"return_text", `{"query":"a","texts":["b","a",""],"raw_scores":true,"return_text":true}`,
			`[{"index":1,"text":"a","score":1},{"index":0,"text":"b","score":0},{"index":2,"text":"","score":0}]`,
		},
		{"ties keep their order", `{"query":"a","texts":["b","a","c","a"],"raw_scores":true}`,
			`[{"index":1,"score":1},{"index":3,"score":1},{"index":0,"score":0},{"index":2,"score":0}]`},
		{"nulls", `{"query":"a","texts":["a"],"truncate":null,"truncation_direction":null,"raw_scores":null,"return_text":null}`,
			`[{"index":0,"score":0.7310585786300049}]`},
		{"unknown fields", `{"model":"m","query":"a","top":{"x":[1,{"y":null}]},"texts":["a"],"raw_scores":true,"n":1e999}`,
			`[{"index":0,"score":1}]`},
		{"white space", "\r\n\t { \"texts\" : [ \"a\" ] , \"query\" : \"a\" , \"raw_scores\" : true } \n", `[{"index":0,"score":1}]`},
		{"escapes", `{"query":"\u0061","texts":["\u0061 \ud83d\ude00 \"\\ \u0000"],"raw_scores":true,"return_text":true}`,
			`[{"index":0,"text":"a 😀 \"\\ \u0000","score":1}]`},
		{"empty query", `{"query":"","texts":["a"],"raw_scores":true}`, `[{"index":0,"score":0}]`},
		{"empty text", `{"query":"a","texts":[""],"raw_scores":true}`, `[{"index":0,"score":0}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := rerank(t, address, c.body)
			if got.status != 200 || got.body != c.want || got.header.Get("Content-Type") != contentTypeJSON {
				t.Errorf("got %d %q %s\nwant 200 %q %s", got.status, got.header.Get("Content-Type"), got.body, contentTypeJSON, c.want)
			}
		})
	}
}

// TestRerankPassesOn checks the arguments that reach the ranker.
func TestRerankPassesOn(t *testing.T) {
	var (
		query   string
		texts   []string
		options engine.Options
	)
	_, address := start(t, &fakeRanker{rerank: func(
		_ context.Context, q string, d []string, o engine.Options,
	) (*engine.Ranking, error) {
		query, texts, options = q, d, o
		return rankByWords(q, d, o), nil
	}}, Config{})
	for fields, want := range map[string]engine.Options{
		``:                                                {},
		`,"raw_scores":true`:                              {RawScores: true},
		`,"truncate":true`:                                {},
		`,"truncate":false`:                               {Truncation: engine.TruncateNever},
		`,"truncation_direction":"right"`:                 {},
		`,"truncation_direction":"Right"`:                 {},
		`,"truncation_direction":"left"`:                  {Truncation: engine.TruncateLeft},
		`,"truncation_direction":"Left"`:                  {Truncation: engine.TruncateLeft},
		`,"truncate":null,"raw_scores":null`:              {},
		`,"truncate":false,"truncation_direction":"Left"`: {Truncation: engine.TruncateNever},
		`,"truncation_direction":"Left","truncate":true`:  {Truncation: engine.TruncateLeft},
	} {
		want.Scale = engine.ScaleProbability
		got := rerank(t, address, `{"query":"q \u00e9","texts":["a","ü"]`+fields+`}`)
		if got.status != 200 || query != "q é" || !cmp.Equal(texts, []string{"a", "ü"}) || options != want {
			t.Errorf("%s: %d %s; the ranker got %q, %q, %+v; want options %+v",
				fields, got.status, got.body, query, texts, options, want)
		}
	}
}

func TestComputeHeaders(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{})
	got := rerank(t, address, `{"query":"é b","texts":["a b c","ü"]}`)
	for name, want := range map[string]string{
		"X-Compute-Type": "fake", "X-Compute-Tokens": "4", "X-Compute-Characters": "12",
		"X-Tokenization-Time": "2", "X-Queue-Time": "0", "X-Inference-Time": "3", "X-Compute-Time": got.header.Get("X-Total-Time"),
	} {
		if value := got.header.Get(name); value != want || value == "" {
			t.Errorf("%s is %q, want %q", name, value, want)
		}
	}
}

// TestScoreText checks that scores keep all their digits, and no more than they need.
func TestScoreText(t *testing.T) {
	scores := []float64{1 - 1e-16, 1, 0.1, 1e-7, 1e-300, 0, math.Copysign(0, -1), -11.5, 1e21}
	_, address := start(t, &fakeRanker{rerank: func(
		_ context.Context, _ string, documents []string, _ engine.Options,
	) (*engine.Ranking, error) {
		ranking := &engine.Ranking{}
		for i := range documents {
			ranking.Results = append(ranking.Results, engine.Result{Index: i, Score: scores[i]})
		}
		return ranking, nil
	}}, Config{})
	for i, want := range []string{"0.9999999999999999", "1", "0.1", "1e-7", "1e-300", "0", "-0", "-11.5", "1e+21"} {
		got := rerank(t, address, fmt.Sprintf(`{"query":"q","texts":[%s"x"]}`, strings.Repeat(`"x",`, i)))
		if !strings.HasSuffix(got.body, fmt.Sprintf(`{"index":%d,"score":%s}]`, i, want)) {
			t.Errorf("score %g: %s, want %s", scores[i], got.body, want)
		}
	}
}

// TestTextsOutliveBody scribbles over the bytes that texts were decoded from.
func TestTextsOutliveBody(t *testing.T) {
	body := []byte(`{"query":"plain query","texts":["plain text","esc\u0061ped","ünïcode"]}`)
	request, f := decode(body, rerankForm, limits{10, 100, 100})
	if f != nil {
		t.Fatal(f.message)
	}
	for i := range body {
		body[i] = 'X'
	}
	runtime.GC()
	if got := append([]string{request.query}, request.documents.texts...); !cmp.Equal(got,
		[]string{"plain query", "plain text", "escaped", "ünïcode"}) {
		t.Errorf("got %q", got)
	}
}

// TestDecodeLeavesBody checks that decoding doesn't write to the body, which the access log still measures.
func TestDecodeLeavesBody(t *testing.T) {
	body := []byte(`{"query":"q","x":[{"y":"z"}],"texts":["a","b\n"]}`)
	before := bytes.Clone(body)
	if _, f := decode(body, rerankForm, limits{10, 100, 100}); f != nil || !bytes.Equal(body, before) {
		t.Errorf("%v, body is now %q", f, body)
	}
}

// TestManyTexts is a request at the limit, with a body that arrives in chunks.
func TestManyTexts(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{MaxTexts: 1000})
	body := `{"query":"a","texts":["a"` + strings.Repeat(`,"a"`, 999) + `]}`
	raw := request(http.MethodPost, "/rerank", "", typeJSON, "Transfer-Encoding: chunked")
	raw = strings.Replace(raw, "Content-Length: 0\r\n", "", 1)
	got := send(t, address, http.MethodPost, fmt.Sprintf("%s%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", raw, 7, body[:7], len(body)-7, body[7:]))
	if got.status != 200 || strings.Count(got.body, "index") != 1000 {
		t.Errorf("%d, %d results", got.status, strings.Count(got.body, "index"))
	}
}
