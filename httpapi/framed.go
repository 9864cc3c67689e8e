package httpapi

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
)

// framed is a connection on which no Read goes past the end of a request's headers. fasthttp's buffer then holds
// nothing of a body when a handler begins. The handler reads chunks itself, more strictly than fasthttp does.
type framed struct {
	net.Conn
	buffer   *[readBufferBytes]byte    // of buffered; nil while that is empty
	buffered []byte                    // read and not yet handed on
	tail     [len(headersEnd) - 1]byte // the last bytes that were handed on
	ended    bool                      // tail, with the byte before it, is the end of headers
	pending  string                    // goes before buffered: read by fasthttp in place of a chunked body
	// unwritten is the memory of an answer that is being written. fasthttp doesn't report the end of a write; its next Read
	// or Close shows it.
	unwritten atomic.Pointer[reservation]
}

const (
	headersEnd      = "\r\n\r\n"
	readBufferBytes = maxHeaderBytes
)

var readBuffers = sync.Pool{New: func() any { return new([readBufferBytes]byte) }}

// NetConn returns the connection below, as *tls.Conn does.
func (f *framed) NetConn() net.Conn { return f.Conn }

// releaseWritten gives back the memory of an answer that has been written.
func (f *framed) releaseWritten() {
	if s := f.unwritten.Swap(nil); s != nil {
		s.keep(0)
	}
}

// Close implements net.Conn.
func (f *framed) Close() error {
	defer f.releaseWritten()
	return f.Conn.Close()
}

// Read implements net.Conn.
func (f *framed) Read(p []byte) (int, error) {
	f.releaseWritten()
	if len(p) == 0 {
		return 0, nil
	}
	if f.pending != "" {
		n := copy(p, f.pending)
		f.pending = f.pending[n:]
		return n, nil
	}
	if len(f.buffered) > 0 {
		n := f.upToEnd(p[:copy(p, f.buffered)])
		f.discard(n)
		return n, nil
	}
	if len(p) > readBufferBytes { // so that buffered has room for the rest
		p = p[:readBufferBytes]
	}
	n, err := f.Conn.Read(p)
	if n == 0 {
		return 0, err
	}
	if end := f.upToEnd(p[:n]); end < n {
		f.takeBuffer()
		f.buffered = f.buffer[:copy(f.buffer[:], p[end:n])]
		n = end
	}
	return n, err
}

// takeBuffer gives f a buffer.
func (f *framed) takeBuffer() {
	buffer, ok := readBuffers.Get().(*[readBufferBytes]byte)
	if !ok {
		panic("BUG: the pool holds buffers alone")
	}
	f.buffer = buffer
}

// discard removes the first n bytes of buffered.
func (f *framed) discard(n int) {
	if f.buffered = f.buffered[n:]; len(f.buffered) == 0 && f.buffer != nil {
		readBuffers.Put(f.buffer)
		f.buffer, f.buffered = nil, nil
	}
}

// upToEnd returns the length of p up to the end of headers, or of all p if it has none. p is not empty. A body may have
// the same bytes, which does no harm.
func (f *framed) upToEnd(p []byte) int {
	const before = len(f.tail)
	var border [2 * before]byte // tail and the beginning of p
	copy(border[:], f.tail[:])
	joined := border[:before+copy(border[before:], p)]
	end := len(p)
	at := bytes.Index(joined, []byte(headersEnd))
	if f.ended = at >= 0; f.ended {
		end = at + len(headersEnd) - before
	} else if at = bytes.Index(p, []byte(headersEnd)); at >= 0 {
		end, f.ended = at+len(headersEnd), true
	}
	if end < before {
		copy(f.tail[:], joined[end:end+before])
	} else {
		copy(f.tail[:], p[end-before:end])
	}
	return end
}

// framedListener makes its connections framed.
type framedListener struct{ net.Listener }

// Accept implements net.Listener.
func (l framedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &framed{Conn: c}, nil
}
