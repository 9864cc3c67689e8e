package httpapi

import (
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"

	"github.com/metalrank/metalrank/engine"
)

// FuzzRerankRequest decodes bodies. What is accepted is valid JSON that holds what a general decoder finds in it,
// and gives an equal request once encoded again; what is refused gets a 4xx with the error body.
func FuzzRerankRequest(f *testing.F) {
	for _, body := range []string{
		`{"query":"What is Deep Learning?","texts":["Deep Learning is not...","Deep learning is..."]}`,
		`{"query":"a","texts":["b",""],"truncate":false,"truncation_direction":"left","raw_scores":true,"return_text":true}`,
		`{"query":"\u00e9\ud83d\ude00","texts":["\"\\\/\b\f\n\r\t"],"x":{"y":[1e5,null,{}]},"truncate":null}`,
		`{"query":"","texts":[""]}`, `{"query":"a","texts":[]}`, `{"query":"a","texts":["a","b","c","d","e"]}`,
		`{"query":"a","query":"b"}`, `{"query":1}`, `[]`, ``, `{"texts":[null]}`, "{\"query\":\"\xff\"}", `{"query":"\ud800"}`,
	} {
		f.Add([]byte(body))
	}
	const maxTexts = 4
	f.Fuzz(func(t *testing.T, body []byte) {
		request, failure := decodeRerank(body, maxTexts)
		if failure != nil {
			checkRefused(t, body, failure)
			return
		}
		answer, err := request.encode(rankByWords(request.query, request.texts, request.options))
		if err != nil || !jsontext.Value(answer).IsValid() {
			t.Fatalf("%q: answer %s, %v", body, answer, err)
		}
		checkDecoded(t, body, request)
		again, failure := decodeRerank(encodeRequest(t, request), maxTexts)
		if failure != nil {
			t.Fatalf("%q: once encoded again: %s", body, failure.message)
		}
		if diff := cmp.Diff(request, again, cmp.AllowUnexported(rerankRequest{})); diff != "" {
			t.Fatalf("%q: once encoded again:\n%s", body, diff)
		}
	})
}

// checkRefused wants a 4xx, and only calls malformed what is.
func checkRefused(t *testing.T, body []byte, failure *failure) {
	t.Helper()
	var response fasthttp.Response
	failure.write(&response)
	if status := response.StatusCode(); status < 400 || status >= 500 || !jsontext.Value(response.Body()).IsValid() {
		t.Fatalf("%q: %d %s, want a 4xx with JSON", body, status, response.Body())
	}
	if failure.kind == kindMalformed && jsontext.Value(body).IsValid() {
		t.Fatalf("%q is valid JSON: %s", body, failure.message)
	}
}

// checkDecoded compares request with what json.Unmarshal makes of the same body.
func checkDecoded(t *testing.T, body []byte, request *rerankRequest) {
	t.Helper()
	var general struct {
		Query      string   `json:"query"`
		Texts      []string `json:"texts"`
		Truncate   *bool    `json:"truncate"`
		Direction  string   `json:"truncation_direction"`
		RawScores  bool     `json:"raw_scores"`
		ReturnText bool     `json:"return_text"`
	}
	if err := json.Unmarshal(body, &general); err != nil {
		t.Fatalf("%q: accepted, but %v", body, err)
	}
	want := &rerankRequest{query: general.Query, texts: general.Texts, returnText: general.ReturnText}
	want.options.RawScores = general.RawScores
	switch {
	case general.Truncate != nil && !*general.Truncate:
		want.options.Truncation = engine.TruncateNever
	case general.Direction == "Left" || general.Direction == "left":
		want.options.Truncation = engine.TruncateLeft
	}
	if diff := cmp.Diff(want, request, cmp.AllowUnexported(rerankRequest{})); diff != "" {
		t.Fatalf("%q: json.Unmarshal disagrees:\n%s", body, diff)
	}
}

func encodeRequest(t *testing.T, r *rerankRequest) []byte {
	t.Helper()
	fields := map[string]any{"query": r.query, "texts": r.texts, "raw_scores": r.options.RawScores, "return_text": r.returnText}
	switch r.options.Truncation {
	case engine.TruncateNever:
		fields["truncate"] = false
	case engine.TruncateLeft:
		fields["truncation_direction"] = "Left"
	case engine.TruncateRight:
		fields["truncation_direction"] = "Right"
	}
	body, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return body
}
