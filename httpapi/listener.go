package httpapi

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// listener adds to what fasthttp does with a net.Listener: it outlasts a shortage of descriptors, at which fasthttp
// would stop serving for good, and its connections can linger.
type listener struct {
	net.Listener
	logger *slog.Logger
	open   *atomic.Int64 // of connections
	lines  *lineLimit
}

// acceptPause is how long a shortage is given to pass.
const acceptPause = 50 * time.Millisecond

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for short := false; ; {
		c, err := l.Listener.Accept()
		if err == nil {
			return newConn(c, l.open), nil
		}
		if !shortage(err) {
			return nil, err
		}
		if !short {
			if _, ok := l.lines.pass(time.Now()); ok {
				l.logger.Error("can't accept connections, trying on", "error", err)
			}
			short = true
		}
		time.Sleep(acceptPause)
	}
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

// conn is a connection that can linger: one closed while data is still arriving sends a reset, which may reach the
// client before it has read the refusal.
type conn struct {
	net.Conn
	open   *atomic.Int64   // counts it until it is closed
	closed atomic.Bool     // Close was called
	linger atomic.Bool     // set before Close where a request was refused before all of it was read
	raw    syscall.RawConn // for looking whether the client is still there; nil where that can't be done
}

func newConn(c net.Conn, open *atomic.Int64) *conn {
	open.Add(1)
	wrapped := &conn{Conn: c, open: open}
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
		defer c.open.Add(-1)
	}
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if ok && c.linger.Load() && half.CloseWrite() == nil && c.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.Copy(io.Discard, c.Conn) // until the client closes or the time is over: nothing depends on which
	}
	return c.Conn.Close()
}
