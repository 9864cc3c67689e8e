package httpapi

import (
	"context"
	"mime"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"github.com/metalrank/metalrank/engine"
)

// rank is one entry of the answer.
type rank struct {
	Index int     `json:"index"`
	Text  *string `json:"text,omitzero"` // nil unless return_text
	Score float64 `json:"score"`
}

// rerank answers POST /rerank.
func (s *Server) rerank(ctx *fasthttp.RequestCtx) *failure {
	if f := checkHeader(&ctx.Request.Header); f != nil {
		return f
	}
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		return failf(kindOverloaded, "the server is overloaded: %d requests are under way, which is the limit",
			s.config.MaxConcurrentRequests)
	}
	request, f := decodeRerank(ctx.PostBody(), s.config.MaxTexts)
	if f != nil {
		return f
	}
	// Not fasthttp's context, which ends as soon as Shutdown begins: what was accepted is answered.
	ranking, err := s.ranker.Rerank(context.Background(), request.query, request.texts, request.options)
	if err != nil {
		return engineFailure(err)
	}
	body, err := request.encode(ranking)
	if err != nil {
		return internalFailure(err)
	}
	s.setComputeHeaders(ctx, request, ranking.Stats)
	ctx.SetContentType(contentTypeJSON)
	ctx.SetBody(body)
	return nil
}

// checkHeader wants a body of plain JSON, and says so in its type. Nor may the type be missing: a web page may send
// a body without one to any address, localhost included, but needs our consent (CORS) to send JSON by its name.
func checkHeader(header *fasthttp.RequestHeader) *failure {
	if value := string(header.ContentType()); !isJSON(value) {
		if value == "" {
			return failf(kindMediaType, "Content-Type is missing, want %s", contentTypeJSON)
		}
		return failf(kindMediaType, "Content-Type is %s, want %s", quote(value), contentTypeJSON)
	}
	if value := string(header.ContentEncoding()); value != "" && !strings.EqualFold(value, "identity") {
		f := failf(kindMediaType, "Content-Encoding is %s, only an uncompressed body is supported", quote(value))
		f.header, f.value = fasthttp.HeaderAcceptEncoding, "identity" // RFC 9110, 12.5.3
		return f
	}
	return nil
}

// isJSON takes application/json and application/*+json, with any parameters, as text-embeddings-inference does.
func isJSON(contentType string) bool {
	name, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	subtype, ok := strings.CutPrefix(name, "application/")
	return ok && (subtype == "json" || strings.HasSuffix(subtype, "+json"))
}

// encode keeps the order of the ranking: sorted by logit, from which the scores here may not be told apart.
func (r *rerankRequest) encode(ranking *engine.Ranking) ([]byte, error) {
	ranks := make([]rank, len(ranking.Results))
	for i, result := range ranking.Results {
		ranks[i] = rank{Index: result.Index, Score: result.Score}
		if r.returnText {
			ranks[i].Text = &r.texts[result.Index]
		}
	}
	return json.Marshal(ranks)
}

// setComputeHeaders has the headers of text-embeddings-inference that say something true here. Times are in whole
// milliseconds; those of the parts are for all texts together, where it gives the mean of a text.
func (s *Server) setComputeHeaders(ctx *fasthttp.RequestCtx, request *rerankRequest, stats engine.Stats) {
	characters := utf8.RuneCountInString(request.query) * len(request.texts)
	for _, text := range request.texts {
		characters += utf8.RuneCountInString(text)
	}
	set := func(name string, value int64) { ctx.Response.Header.Set(name, strconv.FormatInt(value, 10)) }
	total := time.Since(ctx.Time()).Milliseconds()
	ctx.Response.Header.Set("X-Compute-Type", s.computeType)
	set("X-Compute-Time", total)
	set("X-Total-Time", total)
	set("X-Tokenization-Time", stats.Tokenize.Milliseconds())
	set("X-Inference-Time", stats.Compute.Milliseconds())
	set("X-Compute-Characters", int64(characters))
	set("X-Compute-Tokens", int64(stats.Tokens))
}
