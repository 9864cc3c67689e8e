package httpapi

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"
)

// modelsPaths list models, and show one if its name follows: in OpenAI's form, as vLLM, llama.cpp, Infinity and Xinference
// have it.
var modelsPaths = [...]string{"/v1/models", "/models", "/infinity/models", "/infinity/v1/models", "/vllm/models", "/vllm/v1/models"}

// anyName stands for the name of a model in a route.
const anyName = "/{name}"

// modelBody describes a model. Fields below owned_by are not OpenAI's: vLLM's, Infinity's, and the one from which
// Dify's provider for Xinference learns that a model reranks.
type modelBody struct {
	ID           string   `json:"id"`
	Object       string   `json:"object"`
	Created      int64    `json:"created"`
	OwnedBy      string   `json:"owned_by"`
	Root         string   `json:"root"`
	MaxModelLen  int      `json:"max_model_len"`
	Capabilities []string `json:"capabilities"`
	ModelType    string   `json:"model_type"`
}

type modelsBody struct {
	Object string      `json:"object"`
	Data   []modelBody `json:"data"`
}

// describe returns the description of a model.
func (s *Server) describe(model *served) modelBody {
	info := model.Info()
	body := modelBody{
		ID: model.name, Object: "model", Created: s.begun.Unix(), OwnedBy: "metalrank", Root: info.Model, MaxModelLen: info.MaxLength,
		Capabilities: []string{"rerank"}, ModelType: "rerank",
	}
	if len(info.Labels) != 1 {
		body.Capabilities, body.ModelType = []string{"classify"}, "classify"
	}
	return body
}

// showModels answers GET /v1/models and its like.
func (s *Server) showModels(ctx *fasthttp.RequestCtx) *failure {
	list := modelsBody{Object: "list"}
	for _, name := range s.names {
		list.Data = append(list.Data, s.describe(s.models[name]))
	}
	return answerJSON(ctx, &list)
}

// showModel answers GET /v1/models/NAME and its like.
func (s *Server) showModel(ctx *fasthttp.RequestCtx) *failure {
	names := namesIn(ctx)
	for _, name := range names {
		if model, ok := s.models[name]; ok {
			return answerJSON(ctx, s.describe(model))
		}
	}
	model, f := s.pick(names[0], false)
	if f != nil {
		return f
	}
	return answerJSON(ctx, s.describe(model))
}

// namesIn returns the possible names of a model at the end of a path: as sent and as fasthttp has simplified it, each
// with and without a slash at its end. A name may have slashes, escaped or not.
func namesIn(ctx *fasthttp.RequestCtx) []string {
	path := string(ctx.Path())
	paths := []string{path}
	if original, err := url.PathUnescape(string(ctx.URI().PathOriginal())); err == nil {
		paths = []string{original, path}
	}
	var names []string
	for _, path := range paths {
		for _, prefix := range modelsPaths {
			if name, ok := strings.CutPrefix(path, prefix+"/"); ok {
				names = append(names, name, strings.TrimSuffix(name, "/"))
			}
		}
	}
	return names
}

// pattern returns the route of a path, with anyName for a model's name and without a slash at its end.
func pattern(path []byte) []byte {
	path = trimSlash(path)
	for _, prefix := range modelsPaths {
		if len(path) > len(prefix) && path[len(prefix)] == '/' && bytes.HasPrefix(path, []byte(prefix)) {
			return []byte(prefix + anyName)
		}
	}
	return path
}

func answerJSON(ctx *fasthttp.RequestCtx, body any) *failure {
	data, err := json.Marshal(body)
	if err != nil {
		return internalFailure(fmt.Errorf("BUG: %T can't be encoded: %w", body, err))
	}
	ctx.SetContentType(contentTypeJSON)
	setBody(ctx, data)
	return nil
}
