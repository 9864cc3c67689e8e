package httpapi

import "github.com/valyala/fasthttp"

const (
	headerRequestID   = "X-Request-Id"
	maxRequestIDBytes = 128
)

// setRequestID has the response say which request it is for, by the client's own id if it has a fit one, so that both
// sides' logs can be laid side by side.
func (s *Server) setRequestID(ctx *fasthttp.RequestCtx) {
	id := ctx.Request.Header.Peek(headerRequestID)
	if !fitID(id) {
		id = s.appendID(make([]byte, 0, len("01234567-89ab-cdef-0123-456789abcdef")))
	}
	ctx.Response.Header.SetCanonical([]byte(headerRequestID), id)
}

// fitID takes what can stand in a header and a log as it is.
func fitID(id []byte) bool {
	for _, b := range id {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return len(id) > 0 && len(id) <= maxRequestIDBytes
}
