package httpapi

import (
	"context"
	"errors"
	"mime"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/metalrank/metalrank/engine"
)

// runner runs a call on a model and writes the answer.
type runner func(ctx context.Context, model *served, c *call, w *writer) (engine.Stats, error)

// endpoint describes how a path handles a body.
type endpoint struct {
	form     form
	check    func(*call) *failure // validates the body as a whole
	run      runner
	noScores bool // the answer has no scores
	vllm     bool // bodies with documents or pairs are in vLLM's dialect; see setScale
}

// serve returns the handler of an endpoint.
func (s *Server) serve(e endpoint) handler {
	return func(ctx *fasthttp.RequestCtx) *failure {
		if f := checkHeader(&ctx.Request.Header); f != nil {
			return f
		}
		grant := grantOf(ctx)
		memory := &reservation{budget: s.budget}
		if grant != nil {
			memory.client = grant.client
		}
		defer releaseWhenWritten(ctx, memory)
		packed, f := s.readBody(ctx, memory)
		if f != nil {
			return f
		}
		defer packed.free()
		if f := grant.enter(); f != nil {
			return f
		}
		defer grant.leave()
		if !s.slots.acquire(s.config.MaxConcurrentRequests) {
			return failf(kindOverloaded, "the server is overloaded: %d requests are under way, which is the limit",
				s.config.MaxConcurrentRequests)
		}
		defer s.slots.release()
		if !e.noScores {
			if f := s.full(clientOf(ctx)); f != nil {
				return f
			}
		}
		c, f := s.decodeBody(&ctx.Request, packed, &e)
		if f != nil {
			return f
		}
		return s.answer(ctx, &e, c)
	}
}

// releaseWhenWritten gives back a request's memory. The bytes of a long answer stay counted until it has been written:
// clients that read slowly, or not at all, must not make the server hold any number of answers.
func releaseWhenWritten(ctx *fasthttp.RequestCtx, memory *reservation) {
	bytes, conn := len(ctx.Response.Body()), framedOf(ctx.Conn())
	if bytes <= firstBytes || conn == nil {
		memory.keep(0)
		return
	}
	conn.releaseWritten() // of the previous request on the connection
	memory.keep(int64(bytes))
	conn.unwritten.Store(memory)
}

// decodeBody unpacks and decodes a body. It frees the body's buffers; only the texts in the call stay.
func (s *Server) decodeBody(request *fasthttp.Request, packed *bodyBuffer, e *endpoint) (*call, *failure) {
	body, f := s.unpack(request, packed)
	if f != nil {
		return nil, f
	}
	defer body.free()
	c, f := decode(body.body, e.form, s.limits)
	if f == nil {
		f = e.check(c)
	}
	if f != nil {
		return nil, f
	}
	left := int64(len(body.body))
	packed.free()
	body.free()
	body.keep(left)
	return c, nil
}

func (s *Server) answer(ctx *fasthttp.RequestCtx, e *endpoint, c *call) *failure {
	// text-embeddings-inference ignores `model`.
	model, f := s.pick(c.model, c.documents.name == "texts")
	if f != nil {
		return f
	}
	setScale(c, e.vllm)
	if s.config.NoAutoTruncate && !c.truncation && c.documents.ofTEI() {
		c.options.Truncation = engine.TruncateNever
	}
	if s.config.AlwaysTruncate && c.options.Truncation == engine.TruncateNever {
		c.options.Truncation = engine.TruncateRight
	}
	grant := grantOf(ctx)
	if grant != nil {
		c.options.Client, c.options.ClientWeight = grant.name, grant.share
	}
	rc, f := s.newRequestContext(ctx)
	if f != nil {
		return f
	}
	defer rc.end()
	w := newWriter()
	sending := false // the response reads from w and frees it once sent
	defer func() {
		if !sending {
			w.free()
		}
	}()
	trace := traceOf(ctx)
	trace.decode()
	stats, err := e.run(rc.Context, model, c, w)
	if err != nil {
		if errors.Is(err, context.Canceled) && s.life.Err() != nil {
			return failf(kindUnhealthy, "the server is stopping")
		}
		return engineFailure(err, c)
	}
	if w.err != nil {
		return internalFailure(w.err)
	}
	trace.score(model, c, stats)
	took := time.Since(readAt(ctx))
	if !e.noScores {
		s.metrics.te.scored(c, stats, took)
		grant.scored(c, stats)
	}
	setComputeHeaders(&ctx.Response.Header, model, c, stats, took)
	ctx.Response.Header.SetContentType(contentTypeJSON)
	if sending = w.release != nil && streamBody(ctx, w); !sending {
		setBody(ctx, w.buffer)
	}
	return nil
}

// full refuses a request before its body is decoded, if the only model would refuse any request of the client now.
func (s *Server) full(client string) *failure {
	if len(s.names) > 1 {
		return nil
	}
	if m, ok := s.models[s.names[0]].Model.(interface{ Full(client string) error }); ok {
		if err := m.Full(client); err != nil {
			return engineFailure(err, nil)
		}
	}
	return nil
}

// pick returns the model of that name. With lenient, as with AnyModel, an unknown name means the first model.
func (s *Server) pick(name string, lenient bool) (*served, *failure) {
	if model, ok := s.models[name]; ok {
		return model, nil
	}
	if name == "" || name == infinityDefault || lenient || s.config.AnyModel {
		return s.models[s.names[0]], nil
	}
	return nil, failf(kindModel, "`model` is %s, which is not served; there are: %s", quote(name), quoteNames(s.names))
}

// checkHeader wants Content-Type to declare JSON, and Content-Encoding to be one that can be decompressed. A missing
// type is refused, too: a web page may send a body without a type to any address, localhost included, but needs our
// consent (CORS) to declare JSON.
func checkHeader(header *fasthttp.RequestHeader) *failure {
	if value := header.ContentType(); string(value) != contentTypeJSON && !isJSON(string(value)) {
		if len(value) == 0 {
			return failf(kindMediaType, "Content-Type is missing, want %s", contentTypeJSON)
		}
		return failf(kindMediaType, "Content-Type is %s, want %s", quote(string(value)), contentTypeJSON)
	}
	_, f := encodingOf(header)
	return f
}

// isJSON accepts application/json and application/*+json, with any parameters, as text-embeddings-inference does.
func isJSON(contentType string) bool {
	name, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	subtype, ok := strings.CutPrefix(name, "application/")
	return ok && (subtype == "json" || strings.HasSuffix(subtype, "+json"))
}

// setComputeHeaders sets those headers of text-embeddings-inference that are meaningful here. Times are in whole
// milliseconds. The times of the parts are for all texts together; text-embeddings-inference gives the mean of a text.
func setComputeHeaders(header *fasthttp.ResponseHeader, model *served, c *call, stats engine.Stats, took time.Duration) {
	var digits [20]byte
	set := func(name string, value int64) {
		header.SetCanonical([]byte(name), strconv.AppendInt(digits[:0], value, 10))
	}
	header.SetCanonical([]byte("X-Compute-Type"), model.computeType)
	set("X-Compute-Time", took.Milliseconds())
	set("X-Total-Time", took.Milliseconds())
	set("X-Tokenization-Time", stats.Tokenize.Milliseconds())
	set("X-Queue-Time", stats.Wait.Milliseconds())
	set("X-Inference-Time", stats.Compute.Milliseconds())
	set("X-Compute-Characters", int64(c.characters+c.queryCharacters*(len(c.documents.texts)-1)))
	set("X-Compute-Tokens", int64(stats.Tokens))
}
