package httpapi

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/goccy/go-yaml"
	"github.com/valyala/fasthttp"
)

// openAPISource describes every path: see the comment at its head.
//
//go:embed openapi.yaml
var openAPISource string

// openAPIJSON is openAPISource as JSON, made once. Limits are still placeholders.
var openAPIJSON = sync.OnceValues(func() (string, error) {
	var document node
	if err := yaml.Unmarshal([]byte(openAPISource), &document); err != nil {
		return "", fmt.Errorf("httpapi: BUG: openapi.yaml: %w", err)
	}
	document.expand()
	data, err := json.Marshal(document, json.Deterministic(true))
	if err != nil {
		return "", fmt.Errorf("httpapi: BUG: openapi.yaml: %w", err)
	}
	return string(data), nil
})

// node is an object of the document. Its methods panic if the document is not as they expect: it is ours.
type node map[string]any

func (n node) at(path ...string) node {
	for _, key := range path {
		next, ok := n[key].(map[string]any)
		if !ok {
			panic("BUG: openapi.yaml: no object " + strings.Join(path, "."))
		}
		n = next
	}
	return n
}

// like removes x-like from n and returns the object that it names in others, or nil.
func (n node) like(others node) node {
	name, ok := n["x-like"].(string)
	if !ok {
		return nil
	}
	delete(n, "x-like")
	return others.at(name)
}

// fill copies the members of other that n lacks.
func (n node) fill(other node) {
	for key, value := range other {
		if _, ok := n[key]; !ok {
			n[key] = value
		}
	}
}

func reference(to string) map[string]any { return map[string]any{"$ref": "#/components/" + to} }

// expand adds the parts that openapi.yaml leaves out; the comment at its head names them.
func (n node) expand() {
	paths, schemas, headers := n.at("paths"), n.at("components", "schemas"), map[string]any{}
	for name := range n.at("components", "headers") {
		headers[name] = reference("headers/" + name)
	}
	refusals := node{}
	for i := range kinds {
		row := &kinds[i]
		switch {
		case row.status == fasthttp.StatusMethodNotAllowed: // for methods that the path does not have
		case row.status == fasthttp.StatusUnauthorized:
			refusals[strconv.Itoa(row.status)] = reference("responses/Unauthorized")
		case row.retryAfter != "":
			refusals[strconv.Itoa(row.status)] = reference("responses/Later")
		default:
			refusals[strconv.Itoa(row.status)] = reference("responses/Refused")
		}
	}
	for path, methods := range paths {
		methods, ok := methods.(map[string]any)
		if !ok || methods["post"] == nil {
			continue
		}
		post := paths.at(path, "post")
		if other := post.like(paths); other != nil {
			post.fill(other.at("post"))
		}
		post["parameters"] = []any{reference("parameters/XRequestTimeout"), reference("parameters/RequestTimeout")}
		responses := post.at("responses")
		responses.fill(refusals)
		post["security"] = "$SECURITY"
		responses.at("200")["headers"] = headers
	}
	for name := range schemas {
		if schema := schemas.at(name); schema["x-like"] != nil {
			schema.at("properties").fill(schema.like(schemas).at("properties"))
		}
	}
}

// encodeOpenAPI returns the answer to GET /openapi.json, with the limits of config.
func encodeOpenAPI(config *Config) ([]byte, error) {
	document, err := openAPIJSON()
	if err != nil {
		return nil, err
	}
	if config.PrivateMetrics {
		if document, err = withoutPath(document, "/metrics"); err != nil {
			return nil, err
		}
	}
	version, err := json.Marshal(config.Version)
	if err != nil {
		return nil, fmt.Errorf("httpapi: Version: %w", err)
	}
	security := "[]"
	if config.Keys != nil {
		security = `[{"Bearer":[]},{"XAPIKey":[]}]`
	}
	return []byte(strings.NewReplacer(
		`"$SECURITY"`, security,
		`"$VERSION"`, string(version),
		`"$MAX_TEXTS"`, strconv.Itoa(config.MaxTexts),
		`"$MAX_QUERY_CHARACTERS"`, strconv.Itoa(config.MaxQueryCharacters),
		`"$MAX_TEXT_CHARACTERS"`, strconv.Itoa(config.MaxTextCharacters),
	).Replace(document)), nil
}

// withoutPath removes a path from a document.
func withoutPath(document, path string) (string, error) {
	var parsed node
	if err := json.Unmarshal([]byte(document), &parsed); err != nil {
		return "", fmt.Errorf("httpapi: BUG: openapi.yaml: %w", err)
	}
	delete(parsed.at("paths"), path)
	data, err := json.Marshal(parsed, json.Deterministic(true))
	if err != nil {
		return "", fmt.Errorf("httpapi: BUG: openapi.yaml: %w", err)
	}
	return string(data), nil
}

// showOpenAPI answers GET /openapi.json.
func (s *Server) showOpenAPI(ctx *fasthttp.RequestCtx) *failure {
	ctx.SetContentType(contentTypeJSON)
	setBody(ctx, s.openAPI)
	return nil
}
