package httpapi

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// slashed has a name with slashes, and one that fasthttp would simplify.
type slashed struct{ models map[string]Model }

func (s slashed) Model(name string) (Model, bool) { m, ok := s.models[name]; return m, ok }
func (s slashed) Names() []string                 { return []string{"BAAI/bge", "a//b c"} }

// TestListModels asks for models on every path, as clients write their names.
func TestListModels(t *testing.T) {
	models := slashed{map[string]Model{"BAAI/bge": &fakeRanker{}, "a//b c": &fakeRanker{labels: []string{"x", "y"}}}}
	s, address := startAll(t, models, Config{})
	s.begun = time.Unix(1700000000, 0)
	get := func(path string) reply { return send(t, address, http.MethodGet, request(http.MethodGet, path, "")) }
	const one = `{"id":"BAAI/bge","object":"model","created":1700000000,"owned_by":"metalrank","root":"tiny-reranker","max_model_len":512,` +
		`"capabilities":["rerank"],"model_type":"rerank"}`
	two := strings.NewReplacer("BAAI/bge", "a//b c", `"rerank"`, `"classify"`).Replace(one)
	list := `{"object":"list","data":[` + one + "," + two + `]}`
	for _, path := range modelsPaths {
		for _, suffix := range []string{"", "/", "?x=1"} {
			if got := get(path + suffix); got.status != 200 || got.body != list {
				t.Errorf("%s: %d %s", path+suffix, got.status, got.body)
			}
		}
		for name, want := range map[string]string{
			"BAAI/bge": one, "BAAI%2Fbge": one, "BAAI%2fbge/": one, "BA%41I/bge?y": one, "a//b%20c": two, "a%2F%2fb%20c": two,
		} {
			if got := get(path + "/" + name); got.status != 200 || got.body != want {
				t.Errorf("%s/%s: %d %s", path, name, got.status, got.body)
			}
		}
		for _, name := range []string{"bge", "BAAI", "BAAI/bge/x", "baai/bge", "%00", "BAAI%252Fbge", "../models/x"} {
			checkRefusal(t, get(path+"/"+name), 404, "ModelNotFound")
		}
		checkRefusal(t, send(t, address, http.MethodPost, request(http.MethodPost, path+"/x", "{}", typeJSON)), 405, "MethodNotAllowed")
	}
	_, address = startAll(t, models, Config{AnyModel: true})
	if got := get("/v1/models/gpt"); got.status != 200 || !strings.Contains(got.body, `"BAAI/bge"`) {
		t.Errorf("AnyModel: %d %s", got.status, got.body)
	}
}

// TestModelsGuarded wants a key for the models, and no more paths in the metrics than there are.
func TestModelsGuarded(t *testing.T) {
	_, address := startWithKeys(t, &fakeRanker{}, nil)
	for _, path := range modelsPaths {
		for _, path := range []string{path, path + "/tiny-reranker", path + "/other"} {
			checkRefusal(t, send(t, address, http.MethodGet, request(http.MethodGet, path, "")), 401, "Unauthorized")
		}
	}
	_, address = start(t, &fakeRanker{}, Config{})
	for _, name := range []string{"a", "b", "c"} {
		send(t, address, http.MethodGet, request(http.MethodGet, "/v1/models/"+name, ""))
	}
	expect(t, scrape(t, address), `metalrank_http_requests_total{key="",path="/v1/models/{name}",status="404"} 3`)
}
