package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// bodyBuffer is the buffer of a body. It grows with the bytes received, not with the length announced.
type bodyBuffer struct {
	*reservation
	body      []byte
	limit     int
	announced int // announced bytes, which the reservation has already; 0: unknown
	pooled    *[]byte
	received  atomic.Int64 // len(body), for other goroutines
}

// firstBytes is the initial size of the buffer.
const firstBytes = 16 << 10

var firstBuffers = sync.Pool{New: func() any { return new(make([]byte, 0, firstBytes)) }}

// copies is how often the bytes of a body are in memory while its texts are decoded.
const copies = 2

// newBodyBuffer returns a buffer for a body of whole bytes; 0: unknown.
func newBodyBuffer(s *reservation, limit, whole int) (*bodyBuffer, *failure) {
	b := &bodyBuffer{reservation: s, limit: limit, announced: whole}
	if f := s.take(copies * int64(max(whole, firstBytes))); f != nil {
		return nil, f
	}
	var ok bool
	if b.pooled, ok = firstBuffers.Get().(*[]byte); !ok {
		panic("BUG: the pool holds buffers alone")
	}
	b.body = (*b.pooled)[:0]
	return b, nil
}

// free returns the buffer to the pool.
func (b *bodyBuffer) free() {
	if b.pooled != nil {
		firstBuffers.Put(b.pooled)
		b.pooled, b.body = nil, nil
	}
}

// reservationError is a failure of reservation.take as an error.
type reservationError struct{ *failure }

func (e reservationError) Error() string { return e.message }

// room returns space for up to so many more bytes, and for at least one.
func (b *bodyBuffer) room(bytes int) ([]byte, error) {
	free := b.body[len(b.body):cap(b.body)]
	if len(free) == 0 {
		size := min(2*cap(b.body), max(b.limit, 1))
		if b.announced > 0 {
			size = min(size, b.announced)
		} else if f := b.take(copies * int64(size-cap(b.body))); f != nil {
			return nil, reservationError{f}
		}
		larger := append(make([]byte, 0, size), b.body...)
		b.free()
		b.body = larger
		free = larger[len(larger):size]
	}
	return free[:min(len(free), bytes)], nil
}

// len returns the number of bytes received; other goroutines may call it.
func (b *bodyBuffer) len() int { return int(b.received.Load()) }

// advance counts bytes that were written into room.
func (b *bodyBuffer) advance(bytes int) {
	b.body = b.body[:len(b.body)+bytes]
	b.received.Add(int64(bytes))
}

// Write implements io.Writer.
func (b *bodyBuffer) Write(p []byte) (int, error) {
	if len(p) > b.limit-len(b.body) {
		return 0, errBodyTooLarge
	}
	for rest := p; len(rest) > 0; {
		room, err := b.room(len(rest))
		if err != nil {
			return 0, err
		}
		n := copy(room, rest)
		b.advance(n)
		rest = rest[n:]
	}
	return len(p), nil
}

// readBody reads the body of a request. Its headers have been accepted, and nothing of the body has been read yet.
func (s *Server) readBody(ctx *fasthttp.RequestCtx, memory *reservation) (*bodyBuffer, *failure) {
	request := &ctx.Request
	length := request.Header.ContentLength()
	stream := request.BodyStream()
	if stream == nil { // there is none, or a test has set it
		return &bodyBuffer{reservation: memory, body: request.Body()}, nil
	}
	b, f := newBodyBuffer(memory, s.config.MaxBodyBytes, max(0, length))
	if f != nil {
		f.unread = true
		return nil, f
	}
	whole := length
	if length < 0 {
		whole = s.config.MaxBodyBytes
	}
	if large := copies*whole > smallReservation; large {
		memory.receiving(&upload{time.Now(), whole, b, ctx.Conn()})
		defer memory.receiving(nil)
	}
	if err := b.readFrom(ctx, stream, length); err != nil {
		b.free()
		return nil, s.unreadBody(err, memory.wasEvicted(), length)
	}
	ctx.SetUserValue(readValue, time.Now())
	return b, nil
}

func (b *bodyBuffer) readFrom(ctx *fasthttp.RequestCtx, stream io.Reader, length int) error {
	if length < 0 {
		conn := framedOf(ctx.Conn())
		if conn == nil {
			return errors.New("BUG: a connection is not framed")
		}
		if err := conn.readChunked(b); err != nil {
			return err
		}
		if _, err := stream.Read(make([]byte, 1)); !errors.Is(err, io.EOF) { // shows fasthttp that the body has been read
			return fmt.Errorf("BUG: after a chunked body: %w", err)
		}
		return nil
	}
	for len(b.body) < length {
		room, err := b.room(length - len(b.body))
		if err != nil {
			return err
		}
		n, err := stream.Read(room)
		if b.advance(n); err != nil && len(b.body) < length {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// unreadBody returns the refusal of a request after its body was not read to the end.
func (s *Server) unreadBody(err error, evicted bool, length int) *failure {
	var (
		f       *failure
		timeout net.Error
		memory  reservationError
		chunks  chunkError
	)
	switch {
	case errors.As(err, &memory):
		f = memory.failure
	case errors.Is(err, errBodyTooLarge):
		f = s.bodyTooLarge(length)
	case errors.As(err, &chunks):
		f = framingFailure(chunks.Error())
	case evicted:
		f = failf(kindOverloaded, "the server is overloaded: others wait for the memory of this body, which comes too slowly")
	case errors.As(err, &timeout) && timeout.Timeout():
		f = s.tooSlow()
	default:
		f = framingFailure("the body ends too early")
	}
	f.unread = true
	return f
}

func (s *Server) tooSlow() *failure {
	return failf(kindTimeout, "the request was not complete after %v, which is the limit", s.config.ReadTimeout)
}

// readValue is the context key of the time when the body had been read.
const readValue = "read"

// readAt returns when the last byte of a request had been read.
func readAt(ctx *fasthttp.RequestCtx) time.Time {
	if at, ok := ctx.UserValue(readValue).(time.Time); ok {
		return at
	}
	return ctx.Time()
}

// framedOf returns c as a *framed, or nil if a test has made the connection.
func framedOf(c net.Conn) *framed {
	f, _ := c.(*framed)
	return f
}
