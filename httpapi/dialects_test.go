package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metalrank/metalrank/engine"
)

// envelope is the answer to a body with documents. The fake's tokens are the words of the documents.
func envelope(prefix, version, results string, tokens string) string {
	return `{"id":"` + prefix + `ID","model":"tiny-reranker","object":"rerank","created":1700000000,"results":[` + results +
		`],"usage":{"prompt_tokens":` + tokens + `,"total_tokens":` + tokens + `},"meta":{"api_version":{"version":"` + version +
		`"},"billed_units":{"search_units":1}}}`
}

// TestDialects sends the request of each client, with all its fields, and compares the bytes of the answer.
func TestDialects(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{})
	const (
		half = "0.5"
		one  = "0.7310585786300049" // the sigmoid of 1
	)
	best := `{"index":1,"relevance_score":` + one
	second := `{"index":0,"relevance_score":` + half
	plain := best + "}," + second + "}"
	for _, c := range []struct{ name, path, body, want string }{
		{ // cohere-py's ClientV2
			"Cohere v2", "/v2/rerank",
			`{"model":"tiny-reranker","query":"a","documents":["b","a"],"top_n":2,"max_tokens_per_doc":4096,"priority":0}`,
			envelope("", "2", plain, "2"),
		},
		{ // langchain-cohere
			"Cohere v2, nulls", "/v2/rerank",
			`{"model":"tiny-reranker","query":"a","documents":["b","a"],"top_n":1,"max_tokens_per_doc":null,"priority":null}`,
			envelope("", "2", best+"}", "2"),
		},
		{ // cohere-py's Client
			"Cohere v1", "/v1/rerank", `{"query":"a","documents":["b",{"text":"a","url":"x"}],"model":null,"top_n":null,` +
				`"rank_fields":null,"return_documents":true,"max_chunks_per_doc":null}`,
			envelope("", "1", best+`,"document":{"text":"a","url":"x"}},`+second+`,"document":{"text":"b"}}`, "2"),
		},
		{
			"Cohere v1, rank_fields", "/v1/rerank", `{"query":"a 7","documents":[{"title":"b","n":7,"x":[{"a":1}]},` +
				`{"text":"c","n":null,"title":"\u0061"}],"rank_fields":["n","title","no"],"return_documents":true}`,
			envelope("", "1", `{"index":0,"relevance_score":`+one+`,"document":{"title":"b","n":7,"x":[{"a":1}]}},`+
				`{"index":1,"relevance_score":`+one+`,"document":{"text":"c","n":null,"title":"\u0061"}}`, "3"),
		},
		{ // langchain's JinaRerank
			"Jina", "/v1/rerank", `{"query":"a","documents":["b","a"],"model":"tiny-reranker","top_n":3}`, envelope("", "1", plain, "2"),
		},
		{
			"Jina's schema", "/v1/rerank", `{"model":"tiny-reranker","query":"a","documents":["b",{"text":"a"}],"top_n":null,` +
				`"return_documents":true,"truncation":true,"max_doc_length":2048}`,
			envelope("", "1", best+`,"document":{"text":"a"}},`+second+`,"document":{"text":"b"}}`, "2"),
		},
		{ // infinity_client
			"Infinity, bare", "/rerank", `{"query":"a","documents":["b","a"],"return_documents":true,"raw_scores":false,` +
				`"model":"default/not-specified","top_n":null}`, envelope("", "1", plain, "2"),
		},
		{
			"Infinity", "/infinity/rerank", `{"query":"a","documents":["b","a"],"return_documents":true,"raw_scores":true}`,
			envelope("infinity-", "1", `{"index":1,"relevance_score":1,"document":"a"},{"index":0,"relevance_score":0,"document":"b"}`, "2"),
		},
		{"Infinity, none asked for", "/infinity/rerank", `{"query":"a","documents":["b","a"]}`, envelope("infinity-", "1", plain, "2")},
		{ // LiteLLM's hosted_vllm
			"vLLM", "/vllm/v2/rerank", `{"model":"tiny-reranker","query":"a","documents":["b","a"],"top_n":0,"use_activation":false,` +
				`"truncation_side":"left","max_tokens_per_query":0,"priority":-3,"user":"u","request_id":"r"}`,
			envelope("rerank-", "1", `{"index":1,"relevance_score":1,"document":{"text":"a","multi_modal":null}},`+
				`{"index":0,"relevance_score":0,"document":{"text":"b","multi_modal":null}}`, "2"),
		},
		{"llama.cpp", "/reranking", `{"query":"a","documents":["b","a"],"model":"tiny-reranker","top_n":1}`, envelope("", "1", best+"}", "2")},
		{"llama.cpp, v1", "/v1/reranking", `{"query":"a","documents":["b","a"],"top_n":9}`, envelope("", "1", plain, "2")},
		{
			"llama.cpp, texts", "/v1/rerank", `{"query":"a","texts":["b","a"],"return_text":true}`,
			`[{"index":1,"text":"a","score":` + one + `},{"index":0,"text":"b","score":0.5}]`,
		},
		{"Dify", "/api/rerank", `{"query":"a","documents":["b","a"],"model":"tiny-reranker","top_n":1}`, envelope("", "1", best+"}", "2")},
		{ // LiteLLM's huggingface: every text, despite top_n and model
			"TEI", "/rerank", `{"query":"a","texts":["b","a"],"model":"other","truncate":false,"top_n":1,"return_text":false}`,
			`[{"index":1,"score":` + one + `},{"index":0,"score":0.5}]`,
		},
		{"TEI, root", "/", `{"query":"a","texts":["a"],"raw_scores":true}`, `[{"index":0,"score":1}]`},
		{"TEI, SageMaker", "/invocations", `{"query":"a","texts":["a"],"raw_scores":true}`, `[{"index":0,"score":1}]`},
		{"TEI, predict", "/predict", `{"inputs":["a","a"],"raw_scores":true}`, `[{"score":1,"label":"LABEL_0"}]`},
		{
			"TEI, predict many", "/", `{"inputs":[["a","a"],["a","b"]],"truncate":true,"raw_scores":false}`,
			`[[{"score":` + one + `,"label":"LABEL_0"}],[{"score":0.5,"label":"LABEL_0"}]]`,
		},
		{"TEI, predict a text", "/predict", `{"inputs":"a b","raw_scores":true}`, `[{"score":-2,"label":"LABEL_0"}]`},
		{"TEI, predict a text in an array", "/predict", `{"inputs":["a b"],"raw_scores":true}`, `[{"score":-2,"label":"LABEL_0"}]`},
		{
			"TEI, predict texts and pairs", "/predict", `{"inputs":[["a","a"],["a b c"],["a","a"]],"raw_scores":true}`,
			`[[{"score":1,"label":"LABEL_0"}],[{"score":-3,"label":"LABEL_0"}],[{"score":1,"label":"LABEL_0"}]]`,
		},
		{
			"TEI, tokenize", "/tokenize", `{"inputs":"ab c","prompt_name":null}`,
			`[[{"id":101,"text":"[CLS]","special":true,"start":null,"stop":null},` +
				`{"id":1,"text":"ab","special":false,"start":0,"stop":2},{"id":2,"text":"c","special":false,"start":3,"stop":4}]]`,
		},
		{
			"TEI, tokenize many", "/tokenize", `{"inputs":["a","b"],"add_special_tokens":false}`,
			`[[{"id":0,"text":"a","special":false,"start":0,"stop":1}],[{"id":0,"text":"b","special":false,"start":0,"stop":1}]]`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := post(t, address, c.path, c.body)
			if got.status != 200 || got.body != c.want || got.header.Get("Content-Type") != contentTypeJSON {
				t.Errorf("got %d %s\nwant    %s", got.status, got.body, c.want)
			}
			if slash := post(t, address, c.path+"/", c.body); c.path != "/" && slash.body != got.body {
				t.Errorf("with a slash behind the path: %d %s", slash.status, slash.body)
			}
		})
	}
}

// TestScore has the four ways to write pairs.
func TestScore(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{})
	for body, scores := range map[string][]string{
		`{"text_1":"a","text_2":"a","model":"tiny-reranker"}`:                           {"0.7310585786300049"},
		`{"text_1":"a","text_2":["b","a"],"use_activation":false}`:                      {"0", "1"},
		`{"text_1":["a","b"],"text_2":["b","b"],"use_activation":false,"text_3":1}`:     {"0", "1"},
		`{"queries":"a","documents":["b","a"],"use_activation":false,"items":null}`:     {"0", "1"},
		`{"items":["b","a"],"queries":["a"],"use_activation":false,"text_1":null}`:      {"0", "1"},
		`{"data_1":["a"],"data_2":"a","use_activation":true,"max_tokens_per_doc":null}`: {"0.7310585786300049"},
	} {
		for _, path := range []string{"/score", "/v1/score", "/vllm/score", "/vllm/v1/score"} {
			want := `{"id":"score-ID","object":"list","created":1700000000,"model":"tiny-reranker","data":[{"index":0,"object":"score","score":` +
				strings.Join(scores, `},{"index":1,"object":"score","score":`) + `}],"usage":{"prompt_tokens":7,"total_tokens":7}}`
			if len(scores) == 2 {
				want = strings.ReplaceAll(want, ":7", ":14")
			}
			if got := post(t, address, path, body); got.status != 200 || got.body != want {
				t.Errorf("%s %s: %d %s\nwant %s", path, body, got.status, got.body, want)
			}
		}
	}
}

// TestClassifier has a model with several labels: it predicts, and doesn't rerank.
func TestClassifier(t *testing.T) {
	_, address := start(t, &fakeRanker{labels: []string{"no", "yes", "maybe"}}, Config{})
	got := post(t, address, "/predict", `{"inputs":[["a","a"]],"raw_scores":true}`)
	want := `[[{"score":1,"label":"no"},{"score":0,"label":"yes"},{"score":-1,"label":"maybe"}]]`
	if got.status != 200 || got.body != want {
		t.Errorf("%d %s, want %s", got.status, got.body, want)
	}
	checkRefusal(t, post(t, address, "/score", `{"text_1":"a","text_2":"a"}`), 424, "Backend")
}

// TestRefusedDialects has bodies that only some paths can have.
func TestRefusedDialects(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{MaxTexts: 3, MaxQueryCharacters: 5, MaxTextCharacters: 7})
	for _, c := range []struct {
		path, body string
		status     int
		errorType  string
		message    string
	}{
		{"/rerank", `{"query":"a"}`, 422, "Validation", "`texts` is missing, want an array of strings, or `documents`, an array of strings or objects"},
		{"/v2/rerank", `{"query":"a","documents":[]}`, 400, "Empty", "`documents` cannot be empty"},
		{"/v2/rerank", `{"query":"a","documents":"b"}`, 422, "Validation", "`documents` is \"b\", want an array of strings or objects"},
		{"/v2/rerank", `{"query":"a","documents":["b",1]}`, 422, "Validation", "`documents[1]` is the number 1, want a string or an object"},
		{"/v2/rerank", `{"query":"a","documents":["b"],"texts":["b"]}`, 422, "Validation", "`documents` and `texts` are both there"},
		{"/v1/rerank", `{"query":"a","documents":[{"title":"b"}]}`, 422, "Validation", "`documents[0]` has none of `text`"},
		{"/v1/rerank", `{"query":"a","documents":[{"a":1}],"rank_fields":["b","c"]}`, 422, "Validation", "`documents[0]` has none of `b`, `c`"},
		{"/v1/rerank", `{"query":"a","documents":[{"text":["b"]}]}`, 422, "Validation", "`documents[0].text` is an object or an array"},
		{"/v1/rerank", `{"query":"a","documents":[{"text":"b","text":"c"}]}`, 422, "Validation", `"text" more than once`},
		{"/v1/rerank", `{"query":"a","documents":["b"],"rank_fields":"b"}`, 422, "Validation", "`rank_fields` is \"b\", want an array of strings"},
		{"/v1/rerank", `{"query":"a","documents":["b"],"rank_fields":[1]}`, 422, "Validation", "`rank_fields[0]` is the number 1, want a string"},
		{"/infinity/rerank", `{"query":"a","documents":["b"],"top_n":-1}`, 422, "Validation", "`top_n` is 0 or less, want 1 or more, or null"},
		{"/infinity/rerank", `{"query":"a","documents":["b"],"top_n":"0"}`, 422, "Validation", "`top_n` is 0 or less, want 1 or more, or null"},
		{"/v1/rerank", `{"query":"a","documents":["b"],"rank_fields":["t","x","t"]}`, 422, "Validation", "`rank_fields[2]` is \"t\", which is there already"},
		{"/v1/rerank", `{"query":"a","documents":["b"],"rank_fields":["0"` + numbered(1, 65) + `]}`, 422, "Validation", "`rank_fields` has more than 64 entries"},
		{"/rerank", `{"query":"a","raw_scores":"true","texts":["b"]}`, 422, "Validation", "`raw_scores` is \"true\", want true or false"},
		{"/predict", `{"raw_scores":1,"inputs":"b"}`, 422, "Validation", "`raw_scores` is the number 1, want true or false"},
		{"/rerank", `{"query":"a","return_text":"true","texts":["b"]}`, 422, "Validation", "`return_text` is \"true\", want true or false"},
		{"/rerank", `{"query":"a","truncate":"true","documents":["b"]}`, 422, "Validation", "`truncate` is \"true\", want true or false"},
		{"/v1/rerank", `{"query":"a","documents":["b"],"top_n":1.5}`, 422, "Validation", "`top_n` is the number 1.5, want"},
		{"/v1/rerank", `{"query":"a","documents":["b"],"top_n":1e22}`, 422, "Validation", "`top_n` is the number 1e22, want"},
		{"/v1/rerank", `{"query":"a","documents":["b"],"top_n":99999999999999999999}`, 422, "Validation", "99999999999999999999, want"},
		{"/v1/rerank", `{"query":"a","documents":["b"],"top_n":"1."}`, 422, "Validation", "`top_n` is \"1.\", want"},
		{"/v1/rerank", `{"query":"a","documents":["b"],"top_n":01}`, 400, "Malformed", "malformed JSON"},
		{"/v1/rerank", `{"query":"a","documents":["b"],"top_n":-}`, 400, "Malformed", "malformed JSON"},
		{"/v1/rerank", `{"query":"a","documents":["b"],"priority":2147483648}`, 422, "Validation", "`priority` is the number 2147483648"},
		{"/v1/rerank", `{"query":"a","documents":["b"],"model":1}`, 422, "Validation", "`model` is the number 1, want a string"},
		{"/v1/rerank", `{"query":"a","documents":["b"],"model":"gpt"}`, 404, "ModelNotFound",
			"`model` is \"gpt\", which is not served; there are: `tiny-reranker`"},
		{"/v1/rerank", `{"query":"a","documents":["b"],"truncation_side":"middle"}`, 422, "Validation", "`truncation_side` is \"middle\", want"},
		{"/v1/rerank", `{"query":"a","documents":["b","b","b","b"]}`, 422, "Validation", "`documents` has 4 entries, the limit is 3"},
		{"/v1/rerank", `{"query":"aäaäaä","documents":["b"]}`, 422, "Validation", "`query` has 6 characters, the limit is 5"},
		{"/v1/rerank", `{"query":"a","documents":["b","12345678"]}`, 422, "Validation", "`documents[1]` has 8 characters, the limit is 7"},
		{"/v1/rerank", `{"query":"a","documents":[{"text":"123456\u00e4\u00e4"}]}`, 422, "Validation", "`documents[0]` has 8 characters"},
		{"/v1/rerank", `{"query":"","documents":["b",""]}`, 400, "Empty", "`query` and `documents[1]` are both empty"},
		{"/rerank", `{"inputs":["a","b"]}`, 422, "Validation", "`query` is missing"},

		{"/predict", `{}`, 422, "Validation", "`inputs` is missing, want a string, a pair of strings, or an array of arrays of one or two strings"},
		{"/predict", `{"inputs":[]}`, 400, "Empty", "`inputs` cannot be empty"},
		{"/predict", `{"inputs":7}`, 422, "Validation", "`inputs` is the number 7, want a string, a pair of strings"},
		{"/predict", `{"inputs":""}`, 400, "Empty", "`inputs` cannot be empty"},
		{"/predict", `{"inputs":[["a","b"],["",""]]}`, 400, "Empty", "`inputs` cannot be empty, in entry 1"},
		{"/predict", `{"inputs":[[]]}`, 422, "Validation", "`inputs[0]` has 0 strings, want 1 or 2"},
		{"/rerank", `{"query":"a","documents":["b"],"instruction":7}`, 422, "Validation", "`instruction` is the number 7, want a string"},
		{"/rerank", `{"query":"a","documents":["b"],"instruction":"` + strings.Repeat("é", 1025) + `"}`, 422, "Validation", "`instruction` has 1025 characters, the limit is 1024"},
		{"/rerank", `{"query":"a","documents":["b"],"truncate_prompt_tokens":-2}`, 422, "Validation", "`truncate_prompt_tokens` is the number -2, want a whole number from -1"},
		{"/predict", `{"inputs":["a","b","c"]}`, 422, "Validation", "`inputs` has 3 strings, want 1 or 2"},
		{"/predict", `{"inputs":["a",["b"]]}`, 422, "Validation", "`inputs[1]` is an array, want a string"},
		{"/predict", `{"inputs":[["a","b"],["c","d","e"]]}`, 422, "Validation", "`inputs[1]` has 3 strings, want 1 or 2"},
		{"/predict", `{"inputs":[["a","b"],"c"]}`, 422, "Validation", "`inputs[1]` is \"c\", want an array of one or two strings"},
		{"/predict", `{"inputs":[["a","b"],["a","b"],["a","b"],["a","b"]]}`, 422, "Validation", "`inputs` has 4 entries, the limit is 3"},
		{"/", `{"inputs":["a","b"],"texts":["c"],"query":"d"}`, 422, "Validation", "`inputs` and `texts` are both there"},

		{"/score", `{}`, 422, "Validation", "`text_1` and `text_2` are missing"},
		{"/score", `{"text_1":"a"}`, 422, "Validation", "`text_2` is missing, want a string or an array of strings"},
		{"/score", `{"text_2":"a"}`, 422, "Validation", "`text_1` is missing"},
		{"/score", `{"text_1":"a","documents":["b"]}`, 422, "Validation", "`text_1` does not go with `documents`"},
		{"/score", `{"text_1":"a","queries":"b"}`, 422, "Validation", "`text_1` and `queries` are both there"},
		{"/score", `{"text_1":["a","b"],"text_2":["a","b","c"]}`, 422, "Validation", "`text_1` has 2 entries and `text_2` 3, want 1 or as many"},
		{"/score", `{"text_1":["a","b"],"text_2":"a"}`, 422, "Validation", "`text_1` has 2 entries and `text_2` 1"},
		{"/score", `{"text_1":[],"text_2":"a"}`, 400, "Empty", "`text_1` cannot be empty"},
		{"/score", `{"text_1":"a","text_2":{"content":[]}}`, 422, "Validation", "`text_2` is an object, want a string or an array of strings"},
		{"/score", `{"text_1":["a","a","a","a"],"text_2":["a","a","a","a"]}`, 422, "Validation", "`text_2` has 4 entries, the limit is 3"},

		{"/tokenize", `{}`, 422, "Validation", "`inputs` is missing"},
		{"/tokenize", `{"inputs":[["a"]]}`, 422, "Validation", "`inputs[0]` is an array, want a string"},
		{"/tokenize", `{"inputs":"a","add_special_tokens":"no"}`, 422, "Validation", "`add_special_tokens` is \"no\", want true or false"},
	} {
		t.Run(c.path+" "+clip(c.body), func(t *testing.T) {
			message := checkRefusal(t, post(t, address, c.path, c.body), c.status, c.errorType)
			if !strings.Contains(message, c.message) || len(message) > 300 {
				t.Errorf("message %q, want one with %q", message, c.message)
			}
		})
	}
	if got := post(t, address, "/v1/rerank", `{"query":"äääää","documents":["äääääää"]}`); got.status != 200 {
		t.Errorf("at the limits: %d %s", got.status, got.body)
	}
}

// numbered are the strings of numbers, each with a comma before it.
func numbered(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, `,"%d"`, i)
	}
	return b.String()
}

// TestOptions checks which options reach the model.
func TestOptions(t *testing.T) {
	var got engine.Options
	ranker := &fakeRanker{rerank: func(_ context.Context, q string, d []string, o engine.Options) (*engine.Ranking, error) {
		got = o
		return rankByWords(q, d, o), nil
	}}
	_, address := start(t, ranker, Config{})
	left := engine.Options{Truncation: engine.TruncateLeft}
	for fields, want := range map[string]engine.Options{
		``:                               {},
		`,"max_tokens_per_doc":9`:        {MaxDocumentTokens: 9},
		`,"max_tokens_per_doc":0`:        {},
		`,"max_doc_length":9`:            {MaxDocumentTokens: 9},
		`,"max_tokens_per_query":9`:      {MaxQueryTokens: 9},
		`,"truncate_prompt_tokens":9`:    {MaxPairTokens: 9},
		`,"truncate_prompt_tokens":-1`:   {},
		`,"truncate_prompt_tokens":null`: {},
		`,"instruction":"find it"`:       {Instruction: "find it"},
		`,"instruction":null`:            {},
		`,"priority":0`:                  {Weight: 1},
		`,"priority":2`:                  {Weight: 0.25},
		`,"priority":-3`:                 {Weight: 8},
		`,"priority":99`:                 {Weight: 1. / 16},
		`,"priority":-2147483648`:        {Weight: 16},
		`,"truncation":false`:            {Truncation: engine.TruncateNever},
		`,"truncation_side":"left"`:      left,
		`,"truncation_side":"right"`:     {},
		`,"use_activation":false`:        {RawScores: true},
		`,"use_activation":true`:         {},
	} {
		if !strings.Contains(fields, "activation\":true") {
			want.Scale = engine.ScaleProbability
		}
		if reply := post(t, address, "/v1/rerank", `{"query":"q","documents":["d"]`+fields+`}`); reply.status != 200 ||
			!cmp.Equal(got, want) {
			t.Errorf("%s: %d, the model got %+v, want %+v", fields, reply.status, got, want)
		}
	}
	_, address = start(t, ranker, Config{AlwaysTruncate: true})
	post(t, address, "/rerank", `{"query":"q","texts":["d"],"truncate":false}`)
	if got.Truncation != engine.TruncateRight {
		t.Errorf("AlwaysTruncate: %v", got.Truncation)
	}
}

// named are models by name.
type named map[string]Model

func (n named) Model(name string) (Model, bool) { m, ok := n[name]; return m, ok }
func (n named) Names() []string                 { return []string{"first", "second"} }

// TestModels serves two models.
func TestModels(t *testing.T) {
	second := &fakeRanker{rerank: func(_ context.Context, _ string, _ []string, _ engine.Options) (*engine.Ranking, error) {
		return &engine.Ranking{Results: []engine.Result{{Score: 0.25}}}, nil
	}}
	models := named{"first": &fakeRanker{}, "second": second}
	_, address := startAll(t, models, Config{})
	for model, want := range map[string]string{
		``: `"model":"first"`, `"model":null,`: `"model":"first"`, `"model":"",`: `"model":"first"`,
		`"model":"first",`: `"relevance_score":0.5`, `"model":"second",`: `"relevance_score":0.25`,
		`"model":"default/not-specified",`: `"model":"first"`,
		`"model":"Second",`:                "there are: `first`, `second`",
	} {
		got := post(t, address, "/v2/rerank", `{`+model+`"query":"a","documents":["b"]}`)
		if !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s, want %s", model, got.status, got.body, want)
		}
	}
	if got := post(t, address, "/rerank", `{"model":"second","query":"a","texts":["b"]}`); got.body != `[{"index":0,"score":0.25}]` {
		t.Errorf("texts: %s", got.body)
	}
	info := func(path string) reply { return send(t, address, http.MethodGet, request(http.MethodGet, path, "")) }
	if got := info("/info?model=second"); !strings.Contains(got.body, `"served_model_name":"second"`) {
		t.Errorf("/info?model=second: %d %s", got.status, got.body)
	}
	if got := info("/info"); !strings.Contains(got.body, `"served_model_name":"first"`) {
		t.Errorf("/info: %d %s", got.status, got.body)
	}
	checkRefusal(t, info("/info?model=third"), 404, "ModelNotFound")

	_, address = startAll(t, models, Config{AnyModel: true})
	if got := post(t, address, "/v2/rerank", `{"model":"rerank-v3.5","query":"a","documents":["b"]}`); got.status != 200 ||
		!strings.Contains(got.body, `"model":"first"`) {
		t.Errorf("AnyModel: %d %s", got.status, got.body)
	}
	if _, err := New(named{"first": &fakeRanker{}}, Config{}); err == nil || !strings.Contains(err.Error(), `no model "second"`) {
		t.Errorf("a name without a model: %v", err)
	}
}

// TestTooLargeStatus asks for the status that old clients know.
func TestTooLargeStatus(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{MaxTexts: 1, TooLargeStatus: true})
	checkRefusal(t, rerank(t, address, `{"query":"a","texts":["a","b"]}`), 413, "Validation")
	checkRefusal(t, rerank(t, address, `{"query":"a","texts":1}`), 422, "Validation")
}

// post sends a body of JSON.
func post(t *testing.T, address, path, body string) reply {
	t.Helper()
	return send(t, address, http.MethodPost, request(http.MethodPost, path, body, typeJSON))
}
