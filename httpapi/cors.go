package httpapi

import (
	"net/url"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"
)

// cors lets pages of other origins read the server's answers (the Fetch standard, 3.3). nil: none may. Credentials that
// a browser adds by itself are never asked for: the page sends the key.
type cors struct {
	any     bool
	origins []string
}

const (
	anyOrigin = "*"
	// corsRequestHeaders are the headers that a page may send.
	corsRequestHeaders = "Authorization, Content-Type, Content-Encoding, X-API-Key, X-Request-Id, X-Request-Timeout, Request-Timeout, traceparent, tracestate"
	// corsResponseHeaders are the headers that it may read, besides the few that it always may.
	corsResponseHeaders = "Retry-After, Traceparent, WWW-Authenticate, X-Request-Id, X-Compute-Type, X-Compute-Time, X-Total-Time, " +
		"X-Tokenization-Time, X-Queue-Time, X-Inference-Time, X-Compute-Characters, X-Compute-Tokens"
	// corsSeconds is how long a browser may remember a preflight. None remembers longer.
	corsSeconds = "7200"
)

// newCORS takes origins as browsers send them.
func newCORS(origins []string) (*cors, error) {
	if len(origins) == 0 {
		return nil, nil
	}
	c := &cors{}
	for _, origin := range origins {
		if origin == anyOrigin {
			c.any = true
			continue
		}
		if !isOrigin(origin) {
			return nil, wrong("CORSOrigins", origin, "SCHEME://HOST[:PORT] and nothing more, or * for all")
		}
		c.origins = append(c.origins, strings.ToLower(origin))
	}
	return c, nil
}

// isOrigin tells whether text is SCHEME://HOST[:PORT] and nothing more. null is none: pages without an origin send it,
// and any page can.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme != "" && u.Host != "" && u.Scheme+"://"+u.Host == text
}

// allow sets the headers that let a page read the answer, and tells whether this page may.
func (c *cors) allow(ctx *fasthttp.RequestCtx) (allowed bool) {
	if c == nil {
		return false
	}
	header := &ctx.Response.Header
	if c.any {
		header.Set(fasthttp.HeaderAccessControlAllowOrigin, anyOrigin)
	} else {
		header.Add(fasthttp.HeaderVary, fasthttp.HeaderOrigin) // even if the origin is not allowed
		origin := string(ctx.Request.Header.Peek(fasthttp.HeaderOrigin))
		if !slices.Contains(c.origins, strings.ToLower(origin)) {
			return false
		}
		header.Set(fasthttp.HeaderAccessControlAllowOrigin, origin)
	}
	header.Set(fasthttp.HeaderAccessControlExposeHeaders, corsResponseHeaders)
	return true
}

// preflight answers a browser that asks whether a page may send a request. It returns false if the request is no such
// question, or the page may not: then the request is handled like any other.
func (c *cors) preflight(ctx *fasthttp.RequestCtx, paths routes) bool {
	if c == nil || !ctx.IsOptions() || len(ctx.Request.Header.Peek(fasthttp.HeaderAccessControlRequestMethod)) == 0 {
		return false
	}
	methods, ok := paths[string(pattern(ctx.Path()))]
	if !ok || checkFraming(&ctx.Request.Header) != nil || !c.allow(ctx) {
		ctx.Response.Header.Reset()
		return false
	}
	header := &ctx.Response.Header
	header.Del(fasthttp.HeaderAccessControlExposeHeaders)
	header.Set(fasthttp.HeaderAccessControlAllowMethods, allowedMethods(methods))
	header.Set(fasthttp.HeaderAccessControlAllowHeaders, corsRequestHeaders)
	header.Set(fasthttp.HeaderAccessControlMaxAge, corsSeconds)
	ctx.SetStatusCode(fasthttp.StatusNoContent)
	return true
}
