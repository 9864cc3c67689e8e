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

// runner has a model do what a call asks for, and writes the answer.
type runner func(ctx context.Context, model *served, c *call, w *writer) (engine.Stats, error)

// endpoint is what a path does with a body.
type endpoint struct {
	form  form
	check func(*call) *failure // looks at what only the whole body shows
	run   runner
	plain bool // what run gives are no scores
	vllm  bool // what has documents, or pairs, is in vLLM's dialect; see setScale
}

// serve makes the handler of an endpoint.
func (s *Server) serve(e endpoint) handler {
	return func(ctx *fasthttp.RequestCtx) *failure {
		if f := checkHeader(&ctx.Request.Header); f != nil {
			return f
		}
		who := accessOf(ctx)
		share := &share{budget: s.budget}
		if who != nil {
			share.client = who.client
		}
		defer settleLater(ctx, share)
		packed, f := s.readBody(ctx, share)
		if f != nil {
			return f
		}
		defer packed.free()
		if f := who.enter(); f != nil {
			return f
		}
		defer who.leave()
		if !s.places.take(s.config.MaxConcurrentRequests) {
			return failf(kindOverloaded, "the server is overloaded: %d requests are under way, which is the limit",
				s.config.MaxConcurrentRequests)
		}
		defer s.places.give()
		if !e.plain {
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

// settleLater gives back the memory of a request: at once, or what its answer has once that is written, if it is long. A client
// that reads slowly, or not at all, must not have the server keep any number of them.
func settleLater(ctx *fasthttp.RequestCtx, share *share) {
	bytes, conn := len(ctx.Response.Body()), framedOf(ctx.Conn())
	if bytes <= firstBytes || conn == nil {
		share.keep(0)
		return
	}
	conn.settle() // of a request before, on the same connection
	share.keep(int64(bytes))
	conn.owed.Store(share)
}

// decodeBody unpacks and decodes a body, of which then nothing is left but what the call has.
func (s *Server) decodeBody(request *fasthttp.Request, packed *intake, e *endpoint) (*call, *failure) {
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
	// text-embeddings-inference ignores the field.
	model, f := s.pick(c.model, c.list.name == "texts")
	if f != nil {
		return f
	}
	setScale(c, e.vllm)
	if s.config.NoAutoTruncate && !c.truncation && c.list.ofTEI() {
		c.options.Truncation = engine.TruncateNever
	}
	if s.config.AlwaysTruncate && c.options.Truncation == engine.TruncateNever {
		c.options.Truncation = engine.TruncateRight
	}
	who := accessOf(ctx)
	if who != nil {
		c.options.Client, c.options.ClientWeight = who.name, who.share
	}
	waiting, f := s.newWait(ctx)
	if f != nil {
		return f
	}
	defer waiting.end()
	w := newWriter()
	sending := false // w is the answer, and freed when that is sent
	defer func() {
		if !sending {
			w.free()
		}
	}()
	trace := traceOf(ctx)
	trace.decode()
	stats, err := e.run(waiting.Context, model, c, w)
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
	if !e.plain {
		s.metrics.te.scored(c, stats, took)
		who.scored(c, stats)
	}
	setComputeHeaders(&ctx.Response.Header, model, c, stats, took)
	ctx.Response.Header.SetContentType(contentTypeJSON)
	if sending = w.held != nil && sendHeld(ctx, w); !sending {
		setBody(ctx, w.buffer)
	}
	return nil
}

// full refuses a request before its body is read, where the only model would not take it whatever it has.
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

// pick returns the model of a name. lenient takes any name, as AnyModel does.
func (s *Server) pick(name string, lenient bool) (*served, *failure) {
	if model, ok := s.models[name]; ok {
		return model, nil
	}
	if name == "" || name == infinityDefault || lenient || s.config.AnyModel {
		return s.models[s.names[0]], nil
	}
	return nil, failf(kindModel, "`model` is %s, which is not served; there are: %s", quote(name), quoteNames(s.names))
}

// checkHeader wants a body of JSON, by its type, and in an encoding that can be decompressed. Nor may the type be missing: a web page may send
// a body without one to any address, localhost included, but needs our consent (CORS) to send JSON by its name.
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

// isJSON takes application/json and application/*+json, with any parameters, as text-embeddings-inference does.
func isJSON(contentType string) bool {
	name, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	subtype, ok := strings.CutPrefix(name, "application/")
	return ok && (subtype == "json" || strings.HasSuffix(subtype, "+json"))
}

// setComputeHeaders has the headers of text-embeddings-inference that say something true here. Times are in whole
// milliseconds; those of the parts are for all texts together, where it gives the mean of a text.
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
	set("X-Compute-Characters", int64(c.characters+c.queryCharacters*(len(c.list.texts)-1)))
	set("X-Compute-Tokens", int64(stats.Tokens))
}
