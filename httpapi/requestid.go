package httpapi

import "github.com/valyala/fasthttp"

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
