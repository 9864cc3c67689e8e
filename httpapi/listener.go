package httpapi

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// listener survives a shortage of descriptors, at which fasthttp would stop serving for good; and its connections
// can linger.
type listener struct {
	net.Listener
	server   *Server
	most     int64        // connections; 0: they are not clients', and not counted
	refusing atomic.Int64 // connections that are being answered with a refusal
}

// acceptPause is the pause before the next Accept after a shortage.
const acceptPause = 50 * time.Millisecond

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for short := false; ; {
		c, err := l.Listener.Accept()
		switch {
		case err == nil && l.most == 0:
			return c, nil
		case err == nil && l.server.open.Load() < l.most:
			return newConn(c, l.server), nil
		case err == nil:
			l.refuse(c)
			continue
		}
		if !shortage(err) {
			return nil, err
		}
		if !short {
			if _, ok := l.server.logLimit.allow(time.Now()); ok {
				l.server.logger.Error("can't accept connections, trying on", "error", err)
			}
			short = true
		}
		time.Sleep(acceptPause)
	}
}

// maxRefusing is how many refused connections at once get an answer; others are closed without one.
const maxRefusing = 100

// refuse answers a connection over the limit with 503 and closes it. Over TLS it closes it without an answer, which
// would take a handshake.
func (l *listener) refuse(c net.Conn) {
	if suppressed, ok := l.server.logLimit.allow(time.Now()); ok {
		l.server.logger.Warn("too many connections", "limit", l.most, "leftOut", suppressed)
	}
	if l.server.config.TLS != nil || l.refusing.Add(1) > maxRefusing {
		if l.server.config.TLS == nil {
			l.refusing.Add(-1)
		}
		_ = c.Close()
		return
	}
	go func() {
		defer l.refusing.Add(-1)
		var response fasthttp.Response
		failf(kindUnhealthy, "the server has %d connections, which is the limit", l.most).write(&response)
		response.SetConnectionClose()
		refused := &conn{Conn: c}
		refused.closed.Store(true) // it isn't counted
		refused.linger.Store(true)
		if err := c.SetWriteDeadline(time.Now().Add(lingerTime)); err == nil {
			_, _ = response.WriteTo(c) // a client that has left needs no answer
		}
		_ = refused.Close()
	}()
}

// shortage tells whether a later Accept may succeed.
func shortage(err error) bool {
	for _, transient := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED,
	} {
		if errors.Is(err, transient) {
			return true
		}
	}
	return false
}

// conn is a connection that can linger. Closing one while data still arrives sends a reset, which may reach the
// client before it has read the refusal.
type conn struct {
	net.Conn
	server *Server         // counts it until it is closed
	closed atomic.Bool     // Close was called
	linger atomic.Bool     // set before Close where a request was refused before all of it was read
	raw    syscall.RawConn // to check whether the client is still there; nil if that is impossible
}

// connBytes is the memory of an idle connection.
const connBytes = 15 << 10

func newConn(c net.Conn, server *Server) *conn {
	server.open.Add(1)
	server.trimmer.add(connBytes)
	wrapped := &conn{Conn: c, server: server}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			wrapped.raw = raw
		}
	}
	return wrapped
}

// lingerTime is how long a client may take to notice a refusal.
const lingerTime = 2 * time.Second

// Close implements net.Conn.
func (c *conn) Close() error {
	if !c.closed.Swap(true) {
		defer func() {
			c.server.open.Add(-1)
			c.server.trimmer.add(-connBytes)
		}()
	}
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if ok && c.linger.Load() && half.CloseWrite() == nil && c.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.Copy(io.Discard, c.Conn) // until the client closes or the time is over: nothing depends on which
	}
	return c.Conn.Close()
}
