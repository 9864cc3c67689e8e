//go:build !linux && !windows && !plan9 && !js && !wasip1

package httpapi

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// closedByPeer tells whether the other side has closed its connection, or its sending side, which looks the same. It
// doesn't see that behind unread data: a client that sends its next request early counts as there.
func closedByPeer(c syscall.RawConn) bool {
	closed := false
	err := c.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		closed = err == nil && n == 0 || err == unix.ECONNRESET
	})
	return err == nil && closed
}
