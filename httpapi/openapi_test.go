package httpapi

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/metalrank/metalrank/engine"
)

// document is the OpenAPI document of a running server, as it stands and parsed for a compiler of schemas.
type document struct {
	openAPI
	compiler *jsonschema.Compiler
}

func readDocument(t *testing.T, address string) *document {
	t.Helper()
	got := send(t, address, http.MethodGet, request(http.MethodGet, "/openapi.json", ""))
	if got.status != 200 || got.header.Get("Content-Type") != contentTypeJSON {
		t.Fatalf("%d %v", got.status, got.header)
	}
	d := &document{compiler: jsonschema.NewCompiler()}
	if err := json.Unmarshal([]byte(got.body), &d.openAPI); err != nil {
		t.Fatal(err)
	}
	whole, err := jsonschema.UnmarshalJSON(strings.NewReader(got.body))
	if err != nil {
		t.Fatal(err)
	}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	if err := d.compiler.AddResource("openapi.json", whole); err != nil {
		t.Fatal(err)
	}
	return d
}

// check validates an answer by the schema that the document has for its path, method and status.
func (d *document) check(t *testing.T, method, path string, got reply) {
	t.Helper()
	pointer := "/paths/" + strings.ReplaceAll(path, "/", "~1") + "/" + strings.ToLower(method) + "/responses/" + strconv.Itoa(got.status)
	if got.status >= 400 {
		pointer = "/components/responses/Refused"
	}
	d.checkAgainst(t, pointer+"/content/application~1json/schema", got.body)
}

func (d *document) checkAgainst(t *testing.T, pointer, body string) {
	t.Helper()
	schema, err := d.compiler.Compile("openapi.json#" + pointer)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s: %v\n%s", pointer, err, body)
	}
}

// TestOpenAPIPaths wants every path and method to be in the document, and no others.
func TestOpenAPIPaths(t *testing.T) {
	s, address := start(t, &fakeRanker{}, Config{})
	d := readDocument(t, address)
	var documented, served []string
	for path, methods := range d.Paths {
		for method := range methods {
			documented = append(documented, path+" "+strings.ToUpper(method))
		}
	}
	for path, methods := range s.routes {
		for method := range methods {
			served = append(served, path+" "+method)
		}
	}
	slices.Sort(documented)
	slices.Sort(served)
	if diff := cmp.Diff(served, documented); diff != "" {
		t.Errorf("(-served +documented)\n%s", diff)
	}
}

// TestOpenAPIFields wants every field of a form to be in the document, and no others.
func TestOpenAPIFields(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{})
	d := readDocument(t, address)
	for name, form := range map[string]form{
		"RerankRequest": rerankForm, "RootRequest": rootForm, "PredictRequest": predictForm, "ScoreRequest": scoreForm,
		"TokenizeRequest": tokenizeForm, "InfinityRequest": rerankForm,
	} {
		if len(form) > 64 {
			t.Errorf("%s has %d fields, which is more than a decoder tells apart", name, len(form))
		}
		var read []string
		for _, field := range form {
			read = append(read, field.name)
		}
		slices.Sort(read)
		if diff := cmp.Diff(read, slices.Sorted(maps.Keys(d.Components.Schemas[name].Properties))); diff != "" {
			t.Errorf("%s: (-read +documented)\n%s", name, diff)
		}
	}
}

// TestOpenAPIErrorTypes wants every kind of refusal to be in the document, and no others.
func TestOpenAPIErrorTypes(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{})
	d := readDocument(t, address)
	have := map[string]bool{}
	for _, kind := range kinds {
		have[kind.errorType] = true
	}
	var documented []string
	for _, value := range d.Components.Schemas["Error"].Properties["error_type"].Enum {
		documented = append(documented, value.(string))
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(have)), slices.Sorted(slices.Values(documented))); diff != "" {
		t.Errorf("(-there are +documented)\n%s", diff)
	}
}

// TestOpenAPIAnswers validates real answers, and the requests that they are for.
func TestOpenAPIAnswers(t *testing.T) {
	_, address := start(t, &fakeRanker{rerank: func(_ context.Context, q string, d []string, o engine.Options) (*engine.Ranking, error) {
		if q == "fail" {
			return nil, errors.New("on purpose")
		}
		return rankByWords(q, d, o), nil
	}}, Config{MaxTexts: 9})
	d := readDocument(t, address)
	for path, methods := range d.Paths {
		if op, ok := methods["get"]; ok && op.Path != "/docs" && (strings.Contains(path, "info") || strings.Contains(path, "models")) {
			d.check(t, "GET", path, send(t, address, http.MethodGet, request(http.MethodGet, strings.ReplaceAll(path, "{name}", "tiny-reranker"), "")))
		}
		op, ok := methods["post"]
		if !ok {
			continue
		}
		for _, c := range []struct {
			form, body string
			status     int
		}{
			{"RerankRequest", `{"query":"a","texts":["b","a"],"return_text":true,"raw_scores":null}`, 200},
			{"RerankRequest", `{"query":"a","documents":["b",{"text":7}],"return_documents":true,"top_n":1,"model":null}`, 200},
			{"RerankRequest", `{"query":"a","documents":["b"],"return_documents":"YES","top_n":" 2.0 ","raw_scores":1,"priority":true,"truncate_prompt_tokens":"9"}`, 200},
			{"InfinityRequest", `{"query":"a","documents":["b"],"top_n":"2"}`, 200},
			{"RerankRequest", `{"query":"fail","documents":["b"]}`, 500},
			{"RootRequest", `{"query":"a","texts":["b","a"]}`, 200},
			{"RootRequest", `{"inputs":["b","a"]}`, 200},
			{"PredictRequest", `{"inputs":"b"}`, 200},
			{"PredictRequest", `{"inputs":[["b","a"],["c"]]}`, 200},
			{"PredictRequest", `{"inputs":[["b","a"],["c","d"]],"truncation_direction":"left"}`, 200},
			{"ScoreRequest", `{"text_1":"a","text_2":["b","c"],"items":null}`, 200},
			{"ScoreRequest", `{"queries":["a","b"],"documents":["b","c"]}`, 200},
			{"TokenizeRequest", `{"inputs":["b","c"]}`, 200},
		} {
			if c.form != op.Form() {
				continue
			}
			d.checkAgainst(t, "/components/schemas/"+c.form, c.body)
			got := post(t, address, path, c.body)
			if got.status != c.status {
				t.Errorf("%s %s: %d %s", path, c.body, got.status, got.body)
			}
			d.check(t, "POST", path, got)
			d.check(t, "POST", path, post(t, address, path, `{}`))
		}
	}
}

// TestOpenAPILimits wants this server's limits in the document.
func TestOpenAPILimits(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{MaxTexts: 17, MaxQueryCharacters: 19, MaxTextCharacters: 23, Version: `1"2`})
	got := send(t, address, http.MethodGet, request(http.MethodGet, "/api-doc/openapi.json", ""))
	for _, want := range []string{`"maxItems":17`, `"maxLength":19`, `"maxLength":23`, `"version":"1\"2"`} {
		if !strings.Contains(got.body, want) {
			t.Errorf("no %s in the document", want)
		}
	}
	if strings.Contains(got.body, "$MAX") {
		t.Error("a limit was not filled in")
	}
}

// TestDocs wants a page that is whole and loads nothing.
func TestDocs(t *testing.T) {
	_, address := start(t, &fakeRanker{}, Config{Version: "<b>"})
	got := send(t, address, http.MethodGet, request(http.MethodGet, "/docs", ""))
	if got.status != 200 || got.header.Get("Content-Type") != "text/html; charset=utf-8" ||
		!strings.HasPrefix(got.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Fatalf("%d %v", got.status, got.header)
	}
	for _, want := range []string{"POST /v2/rerank", "rank_fields", "&lt;b&gt;", "</html>"} {
		if !bytes.Contains([]byte(got.body), []byte(want)) {
			t.Errorf("no %s in the page", want)
		}
	}
	for _, not := range []string{"http://", "https://", "<script", "<b>"} {
		if strings.Contains(strings.ReplaceAll(got.body, svgNamespace, ""), not) {
			t.Errorf("%s is in the page", not)
		}
	}
}
