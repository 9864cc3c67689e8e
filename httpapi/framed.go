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
	buffer *[heldBytes]byte          // of held; nil while that is empty
	held   []byte                    // read and not yet handed on
	tail   [len(headersEnd) - 1]byte // the last bytes that were handed on
	ended  bool                      // tail, with the byte before it, is the end of headers
	coming string                    // goes before held: read by fasthttp in place of a chunked body
	// owed is the memory of an answer that is being written. fasthttp doesn't report the end of a write; its next Read
	// or Close shows it.
	owed atomic.Pointer[share]
}

const (
	headersEnd = "\r\n\r\n"
	heldBytes  = maxHeaderBytes
)

var heldBuffers = sync.Pool{New: func() any { return new([heldBytes]byte) }}

// NetConn returns the connection below, as *tls.Conn does.
func (f *framed) NetConn() net.Conn { return f.Conn }

// settle gives back the memory of an answer that has been written.
func (f *framed) settle() {
	if s := f.owed.Swap(nil); s != nil {
		s.keep(0)
	}
}

// Close implements net.Conn.
func (f *framed) Close() error {
	defer f.settle()
	return f.Conn.Close()
}

// Read implements net.Conn.
func (f *framed) Read(p []byte) (int, error) {
	f.settle()
	if len(p) == 0 {
		return 0, nil
	}
	if f.coming != "" {
		n := copy(p, f.coming)
		f.coming = f.coming[n:]
		return n, nil
	}
	if len(f.held) > 0 {
		n := f.upToEnd(p[:copy(p, f.held)])
		f.drop(n)
		return n, nil
	}
	if len(p) > heldBytes { // so that held has room for the rest
		p = p[:heldBytes]
	}
	n, err := f.Conn.Read(p)
	if n == 0 {
		return 0, err
	}
	if end := f.upToEnd(p[:n]); end < n {
		f.hold()
		f.held = f.buffer[:copy(f.buffer[:], p[end:n])]
		n = end
	}
	return n, err
}

// hold gives f a buffer.
func (f *framed) hold() {
	buffer, ok := heldBuffers.Get().(*[heldBytes]byte)
	if !ok {
		panic("BUG: the pool holds buffers alone")
	}
	f.buffer = buffer
}

// drop removes the first n bytes of held.
func (f *framed) drop(n int) {
	if f.held = f.held[n:]; len(f.held) == 0 && f.buffer != nil {
		heldBuffers.Put(f.buffer)
		f.buffer, f.held = nil, nil
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
