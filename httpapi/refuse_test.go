package httpapi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/metalrank/metalrank/engine"
)

// TestRefusedBodies has bodies of POST /rerank that are refused, the server going on after each.
func TestRefusedBodies(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{MaxTexts: 3})
	for _, c := range []struct {
		body      string
		status    int
		errorType string
		message   string // a part of it
	}{
		{``, 400, "Malformed", "the body is empty"},
		{" \n", 400, "Malformed", "the body is empty"},
		{`{`, 400, "Malformed", "unexpected EOF"},
		{`{"query":"a","texts":["a"]`, 400, "Malformed", "unexpected EOF"},
		{`{"query":"a","texts":["a"]}}`, 400, "Malformed", "malformed JSON: "},
		{`{"query":"a","texts":["a"]} {}`, 400, "Malformed", "goes on after"},
		{`{"query":"a","texts":["a"],}`, 400, "Malformed", "malformed JSON"},
		{`{"query":"a" "texts":["a"]}`, 400, "Malformed", "malformed JSON"},
		{`{query:"a","texts":["a"]}`, 400, "Malformed", "malformed JSON"},
		{`{'query':'a','texts':['a']}`, 400, "Malformed", "malformed JSON"},
		{"\xef\xbb\xbf{}", 400, "Malformed", "malformed JSON"},
		{"{\"query\":\"\xff\",\"texts\":[\"a\"]}", 400, "Malformed", "invalid UTF-8"},
		{"{\"query\":\"a\",\"texts\":[\"a\"],\"\xff\":1}", 400, "Malformed", "invalid UTF-8"},
		{`{"query":"\ud800","texts":["a"]}`, 400, "Malformed", "invalid surrogate pair"},
		{`{"query":"\udc00\ud800","texts":["a"]}`, 400, "Malformed", "surrogate"},
		{"{\"query\":\"a\x01\",\"texts\":[\"a\"]}", 400, "Malformed", "invalid character '\\x01'"},
		{`{"query":"a","texts":["a"],"x":NaN}`, 400, "Malformed", "malformed JSON"},
		{`{"query":"a","texts":["a"],"x":` + strings.Repeat("[", 20000), 400, "Malformed", "depth"},
		{`query=a&texts=b`, 400, "Malformed", "malformed JSON"},

		{`[]`, 422, "Validation", "the body is an array, want an object"},
		{`"a"`, 422, "Validation", `the body is "a", want an object`},
		{`null`, 422, "Validation", "the body is null, want an object"},
		{`1`, 422, "Validation", "the body is the number 1, want an object"},
		{`{}`, 422, "Validation", "`query` is missing"},
		{`{"Query":"a","texts":["a"]}`, 422, "Validation", "`query` is missing"},
		{`{"query":"a"}`, 422, "Validation", "`texts` is missing"},
		{`{"query":null,"texts":["a"]}`, 422, "Validation", "`query` is null, want a string"},
		{`{"query":["a"],"texts":["a"]}`, 422, "Validation", "`query` is an array, want a string"},
		{`{"query":7,"texts":["a"]}`, 422, "Validation", "`query` is the number 7, want a string"},
		{`{"query":"a","texts":null}`, 422, "Validation", "`texts` is null, want an array of strings"},
		{`{"query":"a","texts":"a"}`, 422, "Validation", "`texts` is \"a\", want an array of strings"},
		{`{"query":"a","texts":{"0":"a"}}`, 422, "Validation", "`texts` is an object, want an array of strings"},
		{`{"query":"a","texts":["a",null]}`, 422, "Validation", "`texts[1]` is null, want a string"},
		{`{"query":"a","texts":["a","b",{"text":"a"}]}`, 422, "Validation", "`texts[2]` is an object, want a string"},
		{`{"query":"a","texts":["a"],"truncate":1}`, 422, "Validation", "`truncate` is the number 1, want true or false"},
		{`{"query":"a","texts":["a"],"raw_scores":"true"}`, 422, "Validation", "`raw_scores` is \"true\", want true or false"},
		{`{"query":"a","texts":["a"],"return_text":[]}`, 422, "Validation", "`return_text` is an array, want true or false"},
		{`{"query":"a","texts":["a"],"truncation_direction":"LEFT"}`, 422, "Validation",
			"`truncation_direction` is \"LEFT\", want \"Left\" or \"Right\""},
		{`{"query":"a","texts":["a"],"truncation_direction":true}`, 422, "Validation", "`truncation_direction` is true, want"},
		{`{"query":"a","texts":["a"],"query":"b"}`, 422, "Validation", `"query" more than once`},
		{`{"query":"a","texts":["a"],"x":{"y":[],"y":1}}`, 422, "Validation", `"y" more than once`},
		{`{"query":"a","texts":["a","b","c","d"]}`, 422, "Validation", "`texts` has 4 entries, the limit is 3"},
		{`{"query":"a","texts":["` + strings.Repeat(`","`, 9999) + `"]}`, 422, "Validation", "`texts` has 10000 entries, the limit is 3"},
		{`{"query":"a","texts":"` + strings.Repeat("é", 100) + `"}`, 422, "Validation", "é…\""},

		{`{"query":"a","texts":[]}`, 400, "Empty", "`texts` cannot be empty"},
		{`{"query":"","texts":["a",""]}`, 400, "Empty", "`query` and `texts[1]` are both empty"},
	} {
		t.Run(clip(c.body), func(t *testing.T) {
			message := checkRefusal(t, rerank(t, address, c.body), c.status, c.errorType)
			if !strings.Contains(message, c.message) || len(message) > 300 {
				t.Errorf("message %q, want one with %q", message, c.message)
			}
			checkAlive(t, address)
		})
	}
}

// TestRefusedHeaders has refusals for which the body doesn't matter.
func TestRefusedHeaders(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{})
	const (
		body   = `{"query":"a","texts":["a"]}`
		closes = "Connection: close" // as a header to look for; Go's client keeps it apart from the others
	)
	for _, c := range []struct {
		name, method, raw string
		status            int
		errorType         string
		message           string // a part of it
		header, value     string // one that the response must have
	}{
		{"form", "POST", request("POST", "/rerank", body, "Content-Type: application/x-www-form-urlencoded"), 415,
			"UnsupportedMediaType", `Content-Type is "application/x-www-form-urlencoded", want application/json`, "", ""},
		{"text", "POST", request("POST", "/rerank", body, "Content-Type: text/json"), 415, "UnsupportedMediaType", `"text/json"`, "", ""},
		{"bad type", "POST", request("POST", "/rerank", body, "Content-Type: application/json/x"), 415, "UnsupportedMediaType", "", "", ""},
		{"no type", "POST", request("POST", "/rerank", body), 415, "UnsupportedMediaType", "Content-Type is missing", "", ""},
		{"brotli", "POST", request("POST", "/rerank", body, typeJSON, "Content-Encoding: br"), 415, "UnsupportedMediaType",
			`Content-Encoding is "br", want one of gzip, deflate, zstd, identity`, "Accept-Encoding", "gzip, deflate, zstd, identity"},
		{"not gzip", "POST", request("POST", "/rerank", body, typeJSON, "Content-Encoding: gzip"), 400, "Malformed",
			`can't be decompressed as Content-Encoding says, "gzip": gzip: invalid header`, "", ""},
		{"not deflate", "POST", request("POST", "/rerank", body, typeJSON, "Content-Encoding: deflate"), 400, "Malformed", "zlib", "", ""},
		{"not zstd", "POST", request("POST", "/rerank", body, typeJSON, "Content-Encoding: zstd"), 400, "Malformed", "magic", "", ""},
		{"GET", "GET", request("GET", "/rerank", ""), 405, "MethodNotAllowed", `/rerank does not take "GET", only POST`, "Allow", "POST"},
		{"OPTIONS", "OPTIONS", request("OPTIONS", "/rerank", ""), 405, "MethodNotAllowed", "", "Allow", "POST"},
		{"PUT /health", "PUT", request("PUT", "/health", ""), 405, "MethodNotAllowed", "", "Allow", "GET, HEAD"},
		{"own method", "BREW", request("BREW", "/info", ""), 405, "MethodNotAllowed", `"BREW"`, "Allow", "GET, HEAD"},
		{"path", "POST", request("POST", "/v3/rerank", body, typeJSON), 404, "NotFound",
			`no such path: "/v3/rerank"; GET /openapi.json lists`, "", ""},
		{"DELETE /", "DELETE", request("DELETE", "/", ""), 405, "MethodNotAllowed", "", "Allow", "GET, HEAD, POST"},
		{"odd path", "GET", request("GET", "/%ff%00\"<script>", ""), 404, "NotFound", `"/\xff\x00\"<script>"`, "", ""},
		{"long path", "GET", request("GET", "/"+strings.Repeat("a", 9000), ""), 404, "NotFound", "aaa…", "", ""},
		{"long header", "GET", request("GET", "/health", "", "X: "+strings.Repeat("a", maxHeaderBytes)), 431,
			"HeadersTooLarge", "16384 bytes", closes, ""},
		{"not HTTP", "GET", "hello\r\n\r\n", 400, "Malformed", "not valid HTTP/1.1", closes, ""},
		{"two lengths", "POST", request("POST", "/rerank", body, typeJSON, "Content-Length: 5"), 400, "Malformed", "", closes, ""},
		{"no Host", "GET", "GET /health HTTP/1.1\r\n\r\n", 400, "Malformed", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := send(t, address, c.method, c.raw)
			message := checkRefusal(t, got, c.status, c.errorType)
			if !strings.Contains(message, c.message) || len(message) > 300 {
				t.Errorf("message %q, want one with %q", message, c.message)
			}
			if c.header == closes {
				if !got.last {
					t.Error("the connection stays open")
				}
			} else if c.header != "" && got.header.Get(c.header) != c.value {
				t.Errorf("%s is %q, want %q", c.header, got.header.Get(c.header), c.value)
			}
			checkAlive(t, address)
		})
	}
}

// TestTakenHeaders has requests that look odd and are answered.
func TestTakenHeaders(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{})
	const body = `{"query":"a","texts":["a"]}`
	for _, raw := range []string{
		request("POST", "/rerank", body, "content-type:application/json"),
		request("POST", "/rerank", body, "Content-Type: Application/JSON; charset=utf-8"),
		request("POST", "/rerank", body, "Content-Type: application/vnd.api+json"),
		request("POST", "/rerank", body, typeJSON, "Content-Encoding: identity"),
		request("POST", "/rerank", body, typeJSON, "Accept: text/html", "Authorization: Bearer x", "Accept-Encoding: gzip"),
		request("POST", "/rerank/", body, typeJSON),
		request("POST", "/rerank?x=y", body, typeJSON),
		request("POST", "//rerank", body, typeJSON),
		request("POST", "/rerank", body, typeJSON, "Expect: 100-continue"),
		"POST /rerank HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n" + body,
	} {
		got := send(t, address, http.MethodPost, raw)
		if got.status == http.StatusContinue { // ReadResponse doesn't skip it, so the answer is still to come
			continue
		}
		if got.status != 200 || got.body != `[{"index":0,"score":0.7310585786300049}]` {
			t.Errorf("%q: %d %s", raw, got.status, got.body)
		}
	}
}

// TestRankerErrors has the errors that the engine can return.
func TestRankerErrors(t *testing.T) {
	var result error
	_, address := start(t, &fakeRanker{rerank: func(
		_ context.Context, query string, documents []string, options engine.Options,
	) (*engine.Ranking, error) {
		if query == "fail" {
			return &engine.Ranking{Results: []engine.Result{{Score: math.NaN()}}}, result
		}
		return rankByWords(query, documents, options), nil
	}}, Config{})
	for _, c := range []struct {
		err        error
		status     int
		errorType  string
		message    string
		retryAfter string
	}{
		{fmt.Errorf("x: %w", &engine.LengthError{Index: 3, Tokens: 700, Limit: 512}), 422, "Validation",
			"`texts[3]` has 700 tokens with `query`, the limit is 512 and it may not be cut: `truncate` is not true", ""},
		{&engine.LengthError{Index: 3, Tokens: 700, Limit: 512, AtLeast: true, Query: true}, 422, "Validation",
			"`texts[3]` has no room: the query with the model's prompt has at least 700 tokens, with one for the document, the limit is 512, " +
				"and only documents are cut", ""},
		{engine.ErrNoInstruction, 422, "Validation", "`instruction`: the model takes none: the text that it was trained with has no place for one", ""},
		{engine.ErrNotReranker, 424, "Backend", "the model is a classifier with several labels, not a reranker", ""},
		{fmt.Errorf("%w on a text of 9 bytes", engine.ErrTokenizer), 422, "Tokenizer", "engine: tokenizer failed on a text of 9 bytes", ""},
		{fmt.Errorf("%w: the logit of pair 3 is NaN", engine.ErrBackend), 424, "Backend",
			"engine: backend failed: the logit of pair 3 is NaN", ""},
		{fmt.Errorf("x: %w", &engine.NonFiniteError{Index: 2, DType: "float16"}), 424, "Backend",
			"`texts[2]` has no finite score: numbers become too large for float16: use --precision fp32", ""},
		{engine.ErrClosed, 503, "Unhealthy", "the server is stopping", "1"},
		{fmt.Errorf("x: %w", &engine.OverloadError{Limit: "QueueTokens", Value: 9, Max: 8, RetryAfter: 1001 * time.Millisecond}), 429,
			"Overloaded", "the server is overloaded: QueueTokens would be 9, the limit is 8", "2"},
		{&engine.OverloadError{Limit: "x"}, 429, "Overloaded", "the server is overloaded: x would be 0, the limit is 0", "1"},
		{&engine.ValueError{Field: "MaxPairTokens", Value: 3, Min: 8, Max: 99}, 422, "Validation", "`truncate_prompt_tokens` is 3, want 8 to 99", ""},
		{&engine.ValueError{Field: "pairs", Value: 9, Max: 8}, 422, "Validation", "pairs is 9, want 0 to 8", ""},
		{fmt.Errorf("%w: %q", engine.ErrNoModel, "x"), 404, "ModelNotFound", "the model has been unloaded", ""},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), 504, "DeadlineExceeded",
			"the request was not answered within the time that it allows", "1"},
		{context.Canceled, 499, "Cancelled", "the client closed its connection", ""},
		{errors.New("a secret"), 500, "Internal", "internal error; the server's log has the cause", ""},
		{nil, 500, "Internal", "internal error; the server's log has the cause", ""}, // the score is NaN
	} {
		result = c.err
		got := rerank(t, address, `{"query":"fail","texts":["a"]}`)
		if message := checkRefusal(t, got, c.status, c.errorType); message != c.message {
			t.Errorf("%v: message %q, want %q", c.err, message, c.message)
		}
		if got := got.header.Get("Retry-After"); got != c.retryAfter {
			t.Errorf("%v: Retry-After %q, want %q", c.err, got, c.retryAfter)
		}
		checkAlive(t, address)
	}
}
