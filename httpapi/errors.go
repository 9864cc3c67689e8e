package httpapi

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"

	"github.com/metalrank/metalrank/engine"
)

// kind is a way to refuse a request: a row of the table below.
type kind uint8

const (
	kindMalformed kind = iota
	kindEmpty
	kindUnauthorized
	kindNotFound
	kindModel
	kindMethod
	kindTimeout
	kindBodySize
	kindMediaType
	kindValidation
	kindTooLarge
	kindTooMany
	kindTokenizer
	kindBackend
	kindNotReranker
	kindOverloaded
	kindHeaderSize
	kindGone
	kindInternal
	kindUnhealthy
	kindDeadline
)

// kinds is the one table of errors. An error with an error_type in text-embeddings-inference has the same one here. The
// others name errors that it answers with plain text or nothing.
var kinds = [...]struct {
	status     int
	errorType  string
	retryAfter string // seconds; a guess, where nothing better is known
}{
	kindMalformed:    {status: fasthttp.StatusBadRequest, errorType: "Malformed"},
	kindEmpty:        {status: fasthttp.StatusBadRequest, errorType: "Empty"},
	kindUnauthorized: {status: fasthttp.StatusUnauthorized, errorType: "Unauthorized"},
	kindNotFound:     {status: fasthttp.StatusNotFound, errorType: "NotFound"},
	kindModel:        {status: fasthttp.StatusNotFound, errorType: "ModelNotFound"},
	kindMethod:       {status: fasthttp.StatusMethodNotAllowed, errorType: "MethodNotAllowed"},
	kindTimeout:      {status: fasthttp.StatusRequestTimeout, errorType: "Timeout"},
	kindBodySize:     {status: fasthttp.StatusRequestEntityTooLarge, errorType: "PayloadTooLarge"},
	kindMediaType:    {status: fasthttp.StatusUnsupportedMediaType, errorType: "UnsupportedMediaType"},
	kindValidation:   {status: fasthttp.StatusUnprocessableEntity, errorType: "Validation"},
	kindTooLarge:     {status: fasthttp.StatusUnprocessableEntity, errorType: "Validation"},
	kindTooMany:      {status: fasthttp.StatusUnprocessableEntity, errorType: "Validation"},
	kindTokenizer:    {status: fasthttp.StatusUnprocessableEntity, errorType: "Tokenizer"},
	kindBackend:      {status: fasthttp.StatusFailedDependency, errorType: "Backend"},
	kindNotReranker:  {status: fasthttp.StatusFailedDependency, errorType: "Backend"},
	kindOverloaded:   {status: fasthttp.StatusTooManyRequests, errorType: "Overloaded", retryAfter: "1"},
	kindHeaderSize:   {status: fasthttp.StatusRequestHeaderFieldsTooLarge, errorType: "HeadersTooLarge"},
	kindGone:         {status: statusClientClosedRequest, errorType: "Cancelled"},
	kindInternal:     {status: fasthttp.StatusInternalServerError, errorType: "Internal"},
	kindUnhealthy:    {status: fasthttp.StatusServiceUnavailable, errorType: "Unhealthy", retryAfter: "1"},
	kindDeadline:     {status: fasthttp.StatusGatewayTimeout, errorType: "DeadlineExceeded", retryAfter: "1"},
}

// statusClientClosedRequest is nginx's, for a client that left. A client that closed only its sending side sees it.
const statusClientClosedRequest = 499

// failure is a refused request.
type failure struct {
	kind    kind
	message string // for the client
	unread  bool   // more of the request may be on its way
	cause   error  // for the log, where the fault is the server's; nil otherwise
	// header and value are one more response header, where the status asks for one.
	header, value string
}

func failf(k kind, format string, args ...any) *failure {
	return &failure{kind: k, message: fmt.Sprintf(format, args...)}
}

// errorBody has the message under each name that a client looks for: text-embeddings-inference's clients read error
// and error_type, Cohere's message, Jina's and Infinity's detail.
type errorBody struct {
	Error     string `json:"error"`
	ErrorType string `json:"error_type"`
	Message   string `json:"message"`
	Detail    string `json:"detail"`
}

// maxMessageBytes bounds a message, which an answer has three times: much of it may be the client's own text.
const maxMessageBytes = 512

// write replaces response by the refusal f.
func (f *failure) write(response *fasthttp.Response) {
	row := &kinds[f.kind]
	// Can't fail: invalid UTF-8 is the one thing in a string that can't be marshalled.
	message := cut(f.message, maxMessageBytes)
	body, _ := json.Marshal(errorBody{message, row.errorType, message, message}, jsontext.AllowInvalidUTF8(true))
	response.Reset()
	response.SetStatusCode(row.status)
	response.Header.SetContentType(contentTypeJSON)
	if row.retryAfter != "" {
		response.Header.Set(fasthttp.HeaderRetryAfter, row.retryAfter)
	}
	if f.header != "" {
		response.Header.Set(f.header, f.value)
	}
	response.SetBody(body)
}

// engineFailure returns the refusal for an error of a model.
func engineFailure(err error, c *call) *failure {
	var (
		length   *engine.LengthError
		stretch  *engine.StretchError
		overload *engine.OverloadError
		value    *engine.ValueError
		bad      *engine.NonFiniteError
	)
	switch {
	case errors.Is(err, engine.ErrNoInstruction):
		return failf(kindValidation, "`instruction`: the model takes none: the text that it was trained with has no place for one")
	case errors.As(err, &length) && length.Query:
		return failf(kindTooLarge, "`%s[%d]` has no room: the query with the model's prompt has %s tokens, with one for the document, the limit "+
			"is %d, and only documents are cut", c.documents.name, length.Index, length.Count(), length.Limit)
	case errors.As(err, &length):
		query := "`query`"
		if c.queries.name != "" {
			query = "its pair"
		}
		return failf(kindTooLarge, "`%s[%d]` has %s tokens with %s, the limit is %d and it may not be cut: `truncate` is not true",
			c.documents.name, length.Index, length.Count(), query, length.Limit)
	case errors.As(err, &stretch):
		return failf(kindTooLarge, "a text has a stretch of %d bytes that this model's tokenizer can't take in parts, the limit is %d: "+
			"it wants words with a space between them", stretch.Bytes, stretch.Limit)
	case errors.As(err, &overload):
		f := failf(kindOverloaded, "the server is overloaded: %s would be %d, the limit is %d", overload.Limit, overload.Value, overload.Max)
		f.header, f.value = fasthttp.HeaderRetryAfter, seconds(overload.RetryAfter)
		return f
	case errors.As(err, &value): // the engine has limits of its own
		if value.Field == "MaxPairTokens" {
			value = &engine.ValueError{Field: "`" + truncatePromptTokens + "`", Value: value.Value, Min: value.Min, Max: value.Max}
		}
		return failf(kindValidation, "%s is %g, want %g to %g", value.Field, value.Value, value.Min, value.Max)
	case errors.Is(err, engine.ErrReload):
		return unloadedFailure(err)
	case errors.Is(err, engine.ErrNoModel):
		return failf(kindModel, "the model has been unloaded")
	case errors.Is(err, context.DeadlineExceeded):
		return failf(kindDeadline, "the request was not answered within the time that it allows")
	case errors.Is(err, context.Canceled):
		return failf(kindGone, "the client closed its connection")
	case errors.Is(err, engine.ErrNotReranker):
		return failf(kindNotReranker, "the model is a classifier with several labels, not a reranker")
	case errors.Is(err, engine.ErrClosed):
		return failf(kindUnhealthy, "the server is stopping")
	case errors.Is(err, engine.ErrTokenizer):
		return &failure{kind: kindTokenizer, message: err.Error(), cause: err}
	case errors.As(err, &bad):
		return &failure{kind: kindBackend, message: fmt.Sprintf("`%s[%d]` has no finite score: %s", c.documents.name, bad.Index, bad.Reason()), cause: err}
	case errors.Is(err, engine.ErrUnavailable):
		return unavailableFailure(err)
	case errors.Is(err, engine.ErrBackend):
		return &failure{kind: kindBackend, message: err.Error(), cause: err}
	}
	return internalFailure(err)
}

// seconds formats d for a header: whole seconds, rounded up, at least one.
func seconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}

// internalFailure tells the client nothing of the cause, which may be any error at all.
func internalFailure(cause error) *failure {
	return &failure{kind: kindInternal, message: "internal error; the server's log has the cause", cause: cause}
}

// quote makes a client's text fit for a message or the log: short, printable, valid UTF-8.
func quote(s string) string { return strconv.Quote(clip(s)) }

func clip(s string) string { return cut(s, 64) }

func cut(s string, limitBytes int) string {
	if len(s) <= limitBytes {
		return s
	}
	cut := limitBytes
	for cut > limitBytes-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
