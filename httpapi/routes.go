package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

const contentTypeJSON = "application/json"

// handler answers one request, or returns the refusal.
type handler func(*fasthttp.RequestCtx) *failure

// route is a path with a method.
type route struct {
	answer handler
	keys   *Keys // the request needs one of them; nil: it needs none
	reads  bool  // a body
}

// routes has every route, by path and method. GET stands for HEAD too.
type routes map[string]map[string]*route

// get makes the methods of a path that answers GET alone, and needs no key.
func get(h handler) map[string]*route { return map[string]*route{fasthttp.MethodGet: {answer: h}} }

// newRoutes returns every path there is.
func (s *Server) newRoutes() routes {
	r := routes{
		"/health": get(s.health), "/ping": get(s.health), "/healthz": get(s.health), "/livez": get(s.health), "/readyz": get(s.ready),
		"/": get(s.showHome), "/docs": get(s.showDocs), "/metrics": get(s.showPublicMetrics), "/openapi.json": get(s.showOpenAPI),
		"/api-doc/openapi.json": get(s.showOpenAPI), // text-embeddings-inference's
	}
	add := func(method string, one route, paths ...string) {
		one.keys = s.config.Keys
		for _, path := range paths {
			if r[path] == nil {
				r[path] = map[string]*route{}
			}
			r[path][method] = &one
		}
	}
	post := func(e endpoint, paths ...string) {
		add(fasthttp.MethodPost, route{answer: s.serve(e), reads: true}, paths...)
	}
	rerank := func(shape *shape) endpoint {
		return endpoint{form: rerankForm, check: shape.check, run: s.rerank(shape), vllm: shape == &shapeVLLM}
	}
	// llama.cpp's /reranking needs nothing of its own: it takes Jina's bodies and those of text-embeddings-inference.
	post(rerank(&shapeBare), "/rerank", "/reranking", "/api/rerank")
	post(rerank(&shapeV1), "/v1/rerank", "/v1/reranking")
	post(rerank(&shapeV2), "/v2/rerank")
	post(rerank(&shapeInfinity), "/infinity/rerank")
	post(rerank(&shapeVLLM), "/vllm/rerank", "/vllm/v1/rerank", "/vllm/v2/rerank")
	post(endpoint{form: rootForm, check: checkRerank, run: s.rerank(&shapeBare)}, "/", "/invocations")
	post(endpoint{form: predictForm, check: checkPredict, run: s.predict}, "/predict")
	post(endpoint{form: scoreForm, check: checkScore, run: s.score, vllm: true}, "/score", "/v1/score", "/vllm/score", "/vllm/v1/score")
	post(endpoint{form: tokenizeForm, check: checkTokenize, run: s.tokenize, noScores: true}, "/tokenize")
	add(fasthttp.MethodGet, route{answer: s.showInfo}, "/info")
	for _, path := range modelsPaths {
		add(fasthttp.MethodGet, route{answer: s.showModels}, path)
		add(fasthttp.MethodGet, route{answer: s.showModel}, path+anyName)
	}
	if s.config.PrivateMetrics {
		delete(r, "/metrics")
	}
	return r
}

// find returns the route of a request. A trailing slash makes no difference: clients that join a base URL with a
// path by hand send one, and a redirect would turn their POST into a GET.
func (r routes) find(method, path []byte) (*route, *failure) {
	methods, ok := r[string(pattern(path))]
	if !ok {
		return nil, failf(kindNotFound, "no such path: %s; GET /openapi.json lists those that there are", quote(string(path)))
	}
	if h, ok := methods[string(method)]; ok {
		return h, nil
	}
	if h, ok := methods[fasthttp.MethodGet]; ok && string(method) == fasthttp.MethodHead {
		return h, nil
	}
	allow := allowedMethods(methods)
	f := failf(kindMethod, "%s does not take %s, only %s", pattern(path), quote(string(method)), allow)
	f.header, f.value = fasthttp.HeaderAllow, allow
	return nil, f
}

// allowedMethods names the methods that a path takes.
func allowedMethods(methods map[string]*route) string {
	var allowed []string
	for m := range methods {
		if allowed = append(allowed, m); m == fasthttp.MethodGet {
			allowed = append(allowed, fasthttp.MethodHead)
		}
	}
	slices.Sort(allowed)
	return strings.Join(allowed, ", ")
}

func trimSlash(path []byte) []byte {
	if len(path) > 1 {
		return bytes.TrimSuffix(path, []byte("/"))
	}
	return path
}

// handle answers every request that could be read.
func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	trace := s.startTrace(ctx)
	var f *failure
	if !s.cors.preflight(ctx, s.routes) {
		if f = s.dispatch(ctx, s.routes); f != nil {
			s.refuse(ctx, f)
		}
		s.cors.allow(ctx)
	}
	if hasUnread(ctx) {
		s.closeUnread(ctx, f)
	}
	if s.leaving.Load() {
		ctx.SetConnectionClose()
	}
	s.setRequestID(ctx)
	trace.finish(s, ctx, f)
	if f != nil && f.unread {
		s.metrics.unread(ctx)
	} else {
		s.metrics.ended(ctx, f)
	}
	s.log(ctx, f, readAt(ctx))
}

// hasUnread tells whether a request has an unread body that is chunked, which fasthttp would read less strictly than we
// do, or has more bytes than fasthttp should skip.
func hasUnread(ctx *fasthttp.RequestCtx) bool {
	const few = 64 << 10
	length := ctx.Request.Header.ContentLength()
	return ctx.UserValue(readValue) == nil && ctx.Request.BodyStream() != nil && (length < 0 || length > few)
}

// closeUnread closes the connection after the answer, and lingers so that the client still gets it.
func (s *Server) closeUnread(ctx *fasthttp.RequestCtx, f *failure) {
	ctx.SetConnectionClose()
	if c := ourConn(ctx.Conn()); c != nil && (f == nil || f.kind != kindTimeout) {
		c.linger.Store(true)
	}
}

func (s *Server) refuse(ctx *fasthttp.RequestCtx, f *failure) {
	f.write(&ctx.Response)
	if (f.kind == kindTooLarge || f.kind == kindTooMany) && s.config.TooLargeStatus {
		ctx.SetStatusCode(fasthttp.StatusRequestEntityTooLarge)
	}
	if f.kind == kindOverloaded && s.config.OverloadedStatus {
		ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
	}
}

// dispatch turns a panic into a failure: fasthttp has no recovery of its own, so a panic would end the process.
func (s *Server) dispatch(ctx *fasthttp.RequestCtx, routes routes) (f *failure) {
	defer func() {
		if p := recover(); p != nil {
			f = internalFailure(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	r, f := s.admit(ctx, routes)
	if f != nil {
		return f
	}
	return r.answer(ctx)
}

// admit returns the route of a request, if its headers are acceptable. Nothing of its body has been read, and no memory
// is taken for it yet.
func (s *Server) admit(ctx *fasthttp.RequestCtx, routes routes) (*route, *failure) {
	header := &ctx.Request.Header
	if f := checkFraming(header); f != nil {
		return nil, f
	}
	if conn := framedOf(ctx.Conn()); conn != nil && isChunked(header) && !conn.ended {
		return nil, framingFailure("the headers do not end with an empty line")
	}
	r, f := routes.find(ctx.Method(), ctx.Path())
	if f != nil {
		return nil, f
	}
	if r.keys != nil {
		a, f := r.keys.authorise(header)
		if f != nil {
			return nil, f
		}
		ctx.SetUserValue(grantValue, a)
	}
	if length := header.ContentLength(); r.reads && length > s.config.MaxBodyBytes {
		f := s.bodyTooLarge(length)
		f.unread = true
		return nil, f
	}
	return r, nil
}

// unreadable answers a request that fasthttp could not read, and after which it closes the connection.
func (s *Server) unreadable(ctx *fasthttp.RequestCtx, err error) {
	var (
		f         *failure
		timeout   net.Error
		oversized *fasthttp.ErrSmallBuffer
	)
	switch {
	case errors.As(err, &oversized):
		f = failf(kindHeaderSize, "the request line and headers are longer than %d bytes, which is the limit", maxHeaderBytes)
	case errors.As(err, &timeout) && timeout.Timeout():
		f = s.tooSlow()
	default: // the error's text would quote the request
		f = failf(kindMalformed, "the request is not valid HTTP/1.1")
	}
	s.refuseUnread(ctx, f)
}

// expect answers a client that asks, by Expect: 100-continue, whether to send its body. Without it fasthttp would
// ask for a body that is then refused.
//
// fasthttp wants the response left alone here, but that is for a request that goes on: a final status is sent with
// the body of the response. A test would notice a change.
func (s *Server) expect(ctx *fasthttp.RequestCtx) int {
	_, f := s.admit(ctx, s.routes)
	if f == nil {
		return fasthttp.StatusContinue
	}
	s.refuseUnread(ctx, f)
	return kinds[f.kind].status
}

func (s *Server) bodyTooLarge(length int) *failure {
	if length <= 0 { // chunked
		return failf(kindBodySize, "the body is longer than %d bytes, which is the limit", s.config.MaxBodyBytes)
	}
	return failf(kindBodySize, "the body has %d bytes, the limit is %d", length, s.config.MaxBodyBytes)
}

// refuseUnread refuses a request that may not have been read to its end.
func (s *Server) refuseUnread(ctx *fasthttp.RequestCtx, f *failure) {
	if c := ourConn(ctx.Conn()); c != nil && f.kind != kindTimeout {
		c.linger.Store(true)
	}
	f.write(&ctx.Response)
	s.cors.allow(ctx)
	s.setRequestID(ctx)
	s.metrics.unread(ctx)
	s.log(ctx, f, time.Now())
}
