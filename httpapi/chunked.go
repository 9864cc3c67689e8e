package httpapi

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/valyala/fasthttp"
)

// Chunked bodies (RFC 9112, 7.1) are read as strictly as headers: bytes that a proxy in front of this server could read
// differently end the connection. Extensions and trailers have no meaning here; they are checked and dropped.

const (
	maxChunkDigits  = 15      // of a chunk's size
	maxChunkLine    = 1 << 10 // of a size with its extensions
	maxChunkExtras  = 8 << 10 // of all extensions and trailers of a body
	maxTrailerLines = 64
)

// chunkError is the reason for refusing a chunked body.
type chunkError string

func (e chunkError) Error() string { return string(e) }

var errBodyTooLarge = errors.New("the body is too large")

// chunkReader reads one chunked body.
type chunkReader struct {
	*framed
	extras int // bytes of extensions and trailers so far
	line   [maxChunkLine]byte
}

// readChunked reads a body into b. On success all of it has been read, and fasthttp is given an empty one to read.
func (f *framed) readChunked(b *bodyBuffer) error {
	r := &chunkReader{framed: f}
	for {
		size, err := r.readSize()
		if err != nil {
			return err
		}
		if size == 0 {
			break
		}
		if size > uint64(b.limit-len(b.body)) {
			return errBodyTooLarge
		}
		if err := r.readData(b, int(size)); err != nil {
			return err
		}
	}
	if err := r.readTrailers(); err != nil {
		return err
	}
	f.pending = "0\r\n\r\n"
	return nil
}

// fill makes sure that at least one byte is buffered.
func (r *chunkReader) fill() error {
	for len(r.buffered) == 0 {
		r.discard(0)
		r.takeBuffer()
		n, err := r.Conn.Read(r.buffer[:])
		r.buffered = r.buffer[:n]
		if n == 0 && err != nil {
			r.discard(0)
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// readLine reads a line and returns it without its carriage return and line feed.
func (r *chunkReader) readLine() ([]byte, error) {
	line := r.line[:0]
	for {
		if err := r.fill(); err != nil {
			return nil, err
		}
		part := r.buffered
		end := bytes.IndexByte(part, '\n')
		if end >= 0 {
			part = part[:end+1]
		}
		if len(line)+len(part) > len(r.line) {
			return nil, chunkError("a line of a chunked body is too long")
		}
		line = append(line, part...)
		r.discard(len(part))
		if end < 0 {
			continue
		}
		line, ok := bytes.CutSuffix(line, []byte("\r\n"))
		if !ok || bytes.IndexByte(line, '\r') >= 0 {
			return nil, chunkError("a line of a chunked body does not end with a carriage return and a line feed")
		}
		return line, nil
	}
}

// readSize reads the line before a chunk and returns the chunk's size in bytes.
func (r *chunkReader) readSize() (size uint64, err error) {
	line, err := r.readLine()
	if err != nil {
		return 0, err
	}
	digits := 0
	for ; digits < len(line); digits++ {
		d := strings.IndexByte("0123456789abcdef", line[digits]|0x20)
		if d < 0 || line[digits] < '0' {
			break
		}
		if digits == maxChunkDigits {
			return 0, chunkError("the size of a chunk has too many digits")
		}
		size = size<<4 | uint64(d)
	}
	extensions := line[digits:]
	r.extras += len(extensions)
	switch {
	case digits == 0:
		return 0, chunkError("a chunk has no size")
	case r.extras > maxChunkExtras:
		return 0, chunkError("a chunked body has too many extensions")
	case !fitExtensions(extensions):
		return 0, chunkError("the size of a chunk is not a hexadecimal number")
	}
	return size, nil
}

// fitExtensions accepts ;NAME, ;NAME=VALUE and ;NAME="VALUE", any number of them and without white space.
func fitExtensions(rest []byte) bool {
	for len(rest) > 0 {
		if rest[0] != ';' {
			return false
		}
		n := token(rest[1:])
		if rest = rest[1+n:]; n == 0 {
			return false
		}
		if len(rest) == 0 || rest[0] != '=' {
			continue
		}
		rest = rest[1:]
		if n = quoted(rest); n == 0 {
			n = token(rest)
		}
		if rest = rest[n:]; n == 0 {
			return false
		}
	}
	return true
}

// token returns the length of the token (RFC 9110, 5.6.2) at the beginning of b.
func token(b []byte) int {
	for i, c := range b {
		if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return i
		}
	}
	return len(b)
}

// quoted returns the length of the quoted string (RFC 9110, 5.6.4) at the beginning of b, with its quotes, or 0.
func quoted(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return 0
	}
	for i := 1; i < len(b); i++ {
		switch {
		case b[i] == '"':
			return i + 1
		case b[i] == '\\':
			i++
			if i == len(b) || !fitValueByte(b[i]) {
				return 0
			}
		case !fitValueByte(b[i]):
			return 0
		}
	}
	return 0
}

// fitValueByte tells whether c may be in a field's value.
func fitValueByte(c byte) bool { return c >= ' ' && c != 0x7f || c == '\t' }

// readData reads a chunk, and the carriage return and line feed behind it.
func (r *chunkReader) readData(b *bodyBuffer, size int) error {
	for size > 0 {
		room, err := b.room(size)
		if err != nil {
			return err
		}
		n := copy(room, r.buffered)
		r.discard(n)
		if n == 0 {
			if n, err = r.Conn.Read(room); n == 0 && err != nil {
				if errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				return err
			}
		}
		b.advance(n)
		size -= n
	}
	for _, want := range []byte("\r\n") {
		if err := r.fill(); err != nil {
			return err
		}
		if r.buffered[0] != want {
			return chunkError("a chunk does not end with a carriage return and a line feed")
		}
		r.discard(1)
	}
	return nil
}

// readTrailers reads the fields behind the last chunk. None has a meaning here. Fields that have one among the headers are
// refused, lest a proxy merges them with the headers.
func (r *chunkReader) readTrailers() error {
	for range maxTrailerLines {
		line, err := r.readLine()
		if err != nil || len(line) == 0 {
			return err
		}
		r.extras += len(line)
		name, value, ok := bytes.Cut(line, []byte(":"))
		switch {
		case r.extras > maxChunkExtras:
			return chunkError("a chunked body has trailers that are too long")
		case !ok || len(name) == 0 || token(name) != len(name) || bytes.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }):
			return chunkError("a trailer is no field")
		case !fitTrailer(strings.ToLower(string(name))):
			return chunkError("a trailer is a field that has to be among the headers")
		}
	}
	return chunkError("a chunked body has too many trailers")
}

// headerFields may not be trailers (RFC 9110, 6.5.1): they mark the end of a message, identify its sender, or tell how
// to read it.
var headerFields = map[string]bool{
	"transfer-encoding": true, "content-length": true, "content-encoding": true, "content-type": true, "content-range": true,
	"trailer": true, "te": true, "host": true, "connection": true, "keep-alive": true, "upgrade": true, "expect": true,
	"authorization": true, "x-api-key": true, "cookie": true, "set-cookie": true, "origin": true, "forwarded": true, "via": true,
	"cache-control": true, "max-forwards": true, "pragma": true, "range": true, "traceparent": true, "tracestate": true,
	"x-request-timeout": true, "request-timeout": true, "x-request-id": true, "accept": true, "accept-encoding": true,
}

func fitTrailer(name string) bool {
	return !headerFields[name] && !strings.HasPrefix(name, "proxy-") && !strings.HasPrefix(name, "x-forwarded-") &&
		!strings.HasPrefix(name, "access-control-") && !strings.HasPrefix(name, "if-")
}

// isChunked tells whether a request has a chunked body.
func isChunked(header *fasthttp.RequestHeader) bool { return header.ContentLength() == -1 }
