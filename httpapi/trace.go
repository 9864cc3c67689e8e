package httpapi

import (
	"math/rand/v2"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/httpapi/otlp"
)

const (
	headerTraceparent = "Traceparent"
	headerTracestate  = "Tracestate"
)

// requestTrace is a request's part in a trace, its own or its client's.
type requestTrace struct {
	otlp.Context
	parent   otlp.SpanID
	recorded bool // spans are sent
	decoded  time.Time
	scored   bool // the fields below are set
	model    string
	texts    int
	stats    engine.Stats
}

// traceValue is the context key of the *requestTrace.
const traceValue = "trace"

// traceOf returns nil if a request is in no trace. The methods of a nil *requestTrace do nothing.
func traceOf(ctx *fasthttp.RequestCtx) *requestTrace {
	t, _ := ctx.UserValue(traceValue).(*requestTrace)
	return t
}

// startTrace reads traceparent, or begins a trace if spans are sent. A client's traceparent decides whether those of
// its request are sent; without one, TraceShare does.
func (s *Server) startTrace(ctx *fasthttp.RequestCtx) *requestTrace {
	header := ctx.Request.Header.Peek(headerTraceparent)
	if len(header) == 0 && s.config.Tracer == nil {
		return nil
	}
	t := &requestTrace{}
	parent, ok := otlp.ParseParent(header)
	switch {
	case ok && s.config.Tracer == nil: // passed on as it is
		t.Context = parent
	case ok:
		t.Context, t.parent = parent, parent.Span
		t.Span = otlp.NewSpanID()
		t.recorded = parent.Flags&otlp.Sampled != 0
		t.State = otlp.ParseState(ctx.Request.Header.PeekAll(headerTracestate))
	case s.config.Tracer == nil:
		return nil
	default:
		t.Trace, t.Span = otlp.NewTraceID(), otlp.NewSpanID()
		if t.recorded = rand.Float64() < s.config.TraceShare; t.recorded {
			t.Flags = otlp.Sampled
		}
	}
	ctx.SetUserValue(traceValue, t)
	return t
}

// decode notes the time when the request is decoded.
func (t *requestTrace) decode() {
	if t != nil && t.recorded {
		t.decoded = time.Now()
	}
}

// score notes the model's work.
func (t *requestTrace) score(model *served, c *call, stats engine.Stats) {
	if t != nil && t.recorded {
		t.scored, t.model, t.texts, t.stats = true, model.name, c.scored(), stats
	}
}

// finish sets the answer's traceparent, and sends the spans if they are recorded.
func (t *requestTrace) finish(s *Server, ctx *fasthttp.RequestCtx, f *failure) {
	if t == nil {
		return
	}
	ctx.Response.Header.SetCanonical([]byte(headerTraceparent), t.AppendParent(nil))
	if t.recorded {
		s.config.Tracer.Send(t.spans(s, ctx, f))
	}
}

// spans returns the span of the request, and one for each step that it reached.
func (t *requestTrace) spans(s *Server, ctx *fasthttp.RequestCtx, f *failure) []otlp.Span {
	begin, end := readAt(ctx), time.Now()
	spans := append(make([]otlp.Span, 0, 6), t.whole(s, ctx, f, begin, end))
	step := func(name string, from, to time.Time, attributes ...otlp.Attribute) {
		spans = append(spans, otlp.Span{
			Context: otlp.Context{Trace: t.Trace, Span: otlp.NewSpanID(), Flags: t.Flags, State: t.State}, Parent: t.Span,
			Name: name, Start: from, End: to, Attributes: attributes,
		})
	}
	if !t.decoded.IsZero() {
		step("decode", begin, t.decoded)
	}
	if !t.scored {
		return spans
	}
	tokenised := t.decoded.Add(t.stats.Tokenize)
	begun := tokenised.Add(t.stats.Wait)
	computed := begun.Add(t.stats.Compute)
	step("tokenise", t.decoded, tokenised, otlp.Attribute{Key: "metalrank.tokens", Value: int64(t.stats.Tokens)})
	step("queue", tokenised, begun)
	step("batch", begun, computed, otlp.Attribute{Key: "metalrank.batches", Value: int64(t.stats.Batches)},
		otlp.Attribute{Key: "metalrank.first_batch", Value: int64(t.stats.FirstBatch)},
		otlp.Attribute{Key: "metalrank.saved_tokens", Value: int64(t.stats.SavedTokens)})
	step("respond", computed, end)
	return spans
}

// spanMethod returns the method of a request, or _OTHER for an unknown one, as OpenTelemetry's conventions have it:
// clients could invent any number of them.
func spanMethod(ctx *fasthttp.RequestCtx) string {
	switch method := string(ctx.Method()); method {
	case fasthttp.MethodGet, fasthttp.MethodHead, fasthttp.MethodPost, fasthttp.MethodPut, fasthttp.MethodPatch,
		fasthttp.MethodDelete, fasthttp.MethodConnect, fasthttp.MethodOptions, fasthttp.MethodTrace:
		return method
	}
	return "_OTHER"
}

// whole returns the span of the request, with the attributes that OpenTelemetry's conventions have for HTTP servers.
func (t *requestTrace) whole(s *Server, ctx *fasthttp.RequestCtx, f *failure, begin, end time.Time) otlp.Span {
	method, status := spanMethod(ctx), ctx.Response.StatusCode()
	span := otlp.Span{Context: t.Context, Parent: t.parent, Name: method, Server: true, Start: begin, End: end}
	say := func(key string, value any) {
		span.Attributes = append(span.Attributes, otlp.Attribute{Key: key, Value: value})
	}
	say("http.request.method", method)
	say("http.response.status_code", int64(status))
	say("metalrank.request_id", string(ctx.Response.Header.Peek(headerRequestID)))
	if p := s.metrics.path(ctx); p != s.metrics.other {
		span.Name += " " + p.label
		say("http.route", p.label)
	}
	if key := clientOf(ctx); key != "" {
		say("metalrank.key", key)
	}
	if t.scored {
		say("metalrank.model", t.model)
		say("metalrank.texts", int64(t.texts))
	}
	if f != nil {
		say("error.type", kinds[f.kind].errorType)
		if status >= fasthttp.StatusInternalServerError { // a client's error is no error of the server
			span.Error = kinds[f.kind].errorType
		}
	}
	return span
}

const (
	headerRequestID   = "X-Request-Id"
	maxRequestIDBytes = 128
)

// setRequestID sets the response's request id: the client's own if it is fit, else a new one. The logs of both sides
// can then be compared.
func (s *Server) setRequestID(ctx *fasthttp.RequestCtx) {
	id := ctx.Request.Header.Peek(headerRequestID)
	if !fitID(id) {
		id = s.appendID(make([]byte, 0, len("01234567-89ab-cdef-0123-456789abcdef")))
	}
	ctx.Response.Header.SetCanonical([]byte(headerRequestID), id)
}

// fitID tells whether id can stand in a header and a log as it is.
func fitID(id []byte) bool {
	for _, b := range id {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return len(id) > 0 && len(id) <= maxRequestIDBytes
}
