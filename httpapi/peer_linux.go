package httpapi

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// closedByPeer tells whether the other side has closed its connection, or its sending side, which looks the same. It
// sees that even behind unread data.
func closedByPeer(c syscall.RawConn) bool {
	closed := false
	err := c.Control(func(fd uintptr) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(poll, 0)
		closed = err == nil && n == 1
	})
	return err == nil && closed
}
