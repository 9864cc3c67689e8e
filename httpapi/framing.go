package httpapi

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// checkFraming refuses requests with an end or headers that a proxy in front of this server could read differently, so
// that one request to the proxy could be two here (request smuggling; RFC 9112, 2.2, 5.2 and 6.3). fasthttp refuses
// most of those. This refuses the ones that it lets pass: a Content-Length beside a Transfer-Encoding, lines that are
// continued (obs-fold), lines that end without a carriage return, and versions that are not HTTP/1. The connection is
// closed, as the bytes that follow can't be trusted.
func checkFraming(header *fasthttp.RequestHeader) *failure {
	if version := header.Protocol(); !bytes.HasPrefix(version, []byte("HTTP/1.")) {
		return framingFailure("the version of HTTP is not 1.1 or 1.0")
	}
	lengths, encodings := false, false
	for rest := header.RawHeaders(); len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		if end < 1 || rest[end-1] != '\r' {
			return framingFailure("a header line does not end with a carriage return and a line feed")
		}
		switch rest[0] {
		case ' ', '\t':
			return framingFailure("a header line is continued on the next one, which is obsolete")
		case 'c', 'C':
			lengths = lengths || hasName(rest, "content-length:")
		case 't', 'T':
			encodings = encodings || hasName(rest, "transfer-encoding:")
		}
		rest = rest[end+1:]
	}
	if lengths && encodings {
		return framingFailure("there are both Content-Length and Transfer-Encoding")
	}
	return nil
}

func hasName(line []byte, name string) bool {
	return len(line) >= len(name) && bytes.EqualFold(line[:len(name)], []byte(name))
}

func framingFailure(message string) *failure {
	f := failf(kindMalformed, "the request is not valid HTTP/1.1: %s", message)
	f.header, f.value = fasthttp.HeaderConnection, "close"
	return f
}
