package httpapi

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"
)

//go:embed pages/docs.html
var docsSource string

// openAPI is the part of an OpenAPI document that the page shows.
type openAPI struct {
	Info struct {
		Title       string `json:"title"`
		Version     string `json:"version"`
		Description string `json:"description"`
	} `json:"info"`
	Tags []struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	} `json:"tags"`
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas map[string]schema `json:"schemas"`
	} `json:"components"`
}

type operation struct {
	Tags        []string `json:"tags"`
	Summary     string   `json:"summary"`
	RequestBody struct {
		Content map[string]struct {
			Schema struct {
				Ref string `json:"$ref"`
			} `json:"schema"`
		} `json:"content"`
	} `json:"requestBody"`

	Method, Path string `json:"-"`
}

// Form is the name of the schema of the body, or "".
func (o *operation) Form() string {
	return strings.TrimPrefix(o.RequestBody.Content[contentTypeJSON].Schema.Ref, "#/components/schemas/")
}

type schema struct {
	Description string               `json:"description"`
	Required    []string             `json:"required"`
	Properties  map[string]*property `json:"properties"`
}

type property struct {
	Description string         `json:"description"`
	Type        jsontext.Value `json:"type"`
	Ref         string         `json:"$ref"`
	Items       jsontext.Value `json:"items"`
	Default     jsontext.Value `json:"default"`
	Enum        []any          `json:"enum"`
}

// numberRefs are the schemas of whole numbers.
var numberRefs = map[string]bool{"Amount": true, "TopN": true, "PairTokens": true, "Priority": true}

// Kind describes the values of a field in words.
func (p *property) Kind() string {
	var one string
	var several []string
	if len(p.Enum) > 0 {
		var words []string
		for _, value := range p.Enum {
			if value != nil {
				words = append(words, fmt.Sprintf("%q", value))
			}
		}
		return strings.Join(words, ", ")
	}
	switch {
	case json.Unmarshal(p.Type, &one) == nil:
		several = []string{one}
	case json.Unmarshal(p.Type, &several) == nil:
	case strings.HasSuffix(p.Ref, "/Texts"):
		several = []string{"array of strings"}
	case strings.HasSuffix(p.Ref, "/Truth"):
		several = []string{"boolean"}
	case numberRefs[strings.TrimPrefix(p.Ref, "#/components/schemas/")]:
		several = []string{"integer"}
	default:
		several = []string{"string or array"}
	}
	return strings.Join(slices.DeleteFunc(several, func(t string) bool { return t == "null" }), " or ")
}

// Operations returns the operations of a tag, sorted by path.
func (o *openAPI) Operations(tag string) []operation {
	var all []operation
	for path, methods := range o.Paths {
		for method, op := range methods {
			if slices.Contains(op.Tags, tag) {
				op.Method, op.Path = strings.ToUpper(method), path
				all = append(all, op)
			}
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.Path+a.Method, b.Path+b.Method) })
	return all
}

// Forms returns the schemas of bodies, by name.
func (o *openAPI) Forms() map[string]schema {
	forms := map[string]schema{}
	for name, s := range o.Components.Schemas {
		if strings.HasSuffix(name, "Request") {
			forms[name] = s
		}
	}
	return forms
}

// newDocs makes the answer to GET /docs from that to GET /openapi.json.
func newDocs(document []byte) (htmlPage, error) {
	data := struct {
		pageParts
		*openAPI
	}{commonParts, &openAPI{}}
	if err := json.Unmarshal(document, data.openAPI); err != nil {
		return htmlPage{}, fmt.Errorf("httpapi: BUG: openapi.yaml: %w", err)
	}
	return newPage("docs", docsSource, "", &data)
}

// showDocs answers GET /docs. The page has no script and loads nothing.
func (s *Server) showDocs(ctx *fasthttp.RequestCtx) *failure {
	s.docs.show(ctx)
	return nil
}
