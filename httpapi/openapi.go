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

// openAPIJSON is openAPISource as JSON, read once. Limits are still names.
var openAPIJSON = sync.OnceValues(func() (string, error) {
	var document any
	if err := yaml.Unmarshal([]byte(openAPISource), &document); err != nil {
		return "", fmt.Errorf("httpapi: BUG: openapi.yaml: %w", err)
	}
	data, err := json.Marshal(document, json.Deterministic(true))
	if err != nil {
		return "", fmt.Errorf("httpapi: BUG: openapi.yaml: %w", err)
	}
	return string(data), nil
})

// encodeOpenAPI is the answer to GET /openapi.json, with the limits of config.
func encodeOpenAPI(config *Config) ([]byte, error) {
	document, err := openAPIJSON()
	if err != nil {
		return nil, err
	}
	version, err := json.Marshal(config.Version)
	if err != nil {
		return nil, fmt.Errorf("httpapi: Version: %w", err)
	}
	return []byte(strings.NewReplacer(
		`"$VERSION"`, string(version),
		`"$MAX_TEXTS"`, strconv.Itoa(config.MaxTexts),
		`"$MAX_QUERY_CHARACTERS"`, strconv.Itoa(config.MaxQueryCharacters),
		`"$MAX_TEXT_CHARACTERS"`, strconv.Itoa(config.MaxTextCharacters),
	).Replace(document)), nil
}

// showOpenAPI answers GET /openapi.json.
func (s *Server) showOpenAPI(ctx *fasthttp.RequestCtx) *failure {
	ctx.SetContentType(contentTypeJSON)
	setBody(ctx, s.openAPI)
	return nil
}
