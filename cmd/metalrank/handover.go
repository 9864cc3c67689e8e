package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// sockets are the listening sockets of a server. It may take them over from an older server, which listens on them until
// the new one says that it serves: so a newer process replaces an older one, and no connection is refused or reset. The
// sockets themselves are passed, by SCM_RIGHTS. With new ones beside them, by SO_REUSEPORT, Linux would reset the
// connections that wait for the older process.
type sockets struct {
	path         string        // where a successor asks for them; "": nowhere
	predecessor  *net.UnixConn // nil: there was none
	spare        []socket      // the predecessor's that are not used yet
	used         []socket      // those that this server listens on
	handover     net.Listener  // on path
	handoverFile fs.FileInfo   // the file at path, if it is ours
	inherited    bool          // from a service manager, which keeps them
	successor    chan struct{} // closed when another process serves
}

// socket is a listening socket, and the address in the flag for it.
type socket struct {
	address string
	net.Listener
}

// keepFile sets whether Close keeps the socket's file, if it has one, since another process listens on the socket.
func (s socket) keepFile(keep bool) {
	if unix, ok := s.Listener.(*unixListener); ok {
		unix.keep.Store(keep)
	}
}

const (
	// fdPrefix marks an address that is an open descriptor, such as that of a service manager which keeps the socket.
	fdPrefix = "fd:"
	// partingTime is how long connections have to end by themselves where another process accepts the new ones: each ends
	// with its next answer. After that the idle ones are closed.
	partingTime = 10 * time.Second
	// handoverPatience bounds how long the two processes wait for each other.
	handoverPatience = 30 * time.Second
	// handoverLimitBytes bounds the addresses that are passed.
	handoverLimitBytes = 4 << 10
	maxPassedSockets   = 8
	// newSuffix ends the name of a socket until it replaces another.
	newSuffix = ".new"
	// servingWord is the message of a successor that serves.
	servingWord = "serving\n"
)

// openSockets asks the server at path, if there is one, for its sockets.
func openSockets(ctx context.Context, path string) (*sockets, error) {
	s := &sockets{path: path, successor: make(chan struct{})}
	if path == "" {
		return s, nil
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("--handover %s: %w", path, errNoSocket) // it would be replaced
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("--handover: %w", err)
	}
	unix, ok := c.(*net.UnixConn)
	if !ok {
		panic("BUG: a unix connection is another")
	}
	interrupt := context.AfterFunc(ctx, func() { _ = unix.SetReadDeadline(time.Now()) })
	s.spare, err = receiveSockets(unix)
	interrupt()
	if errors.Is(err, io.EOF) { // the predecessor has just stopped
		return s, unix.Close()
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("--handover %s: %w", path, err), c.Close())
	}
	s.predecessor = unix
	return s, nil
}

// receiveSockets reads the addresses, each on a line, and an empty line; with them come their sockets.
func receiveSockets(c *net.UnixConn) (received []socket, err error) {
	text, control := make([]byte, handoverLimitBytes), make([]byte, syscall.CmsgSpace(4*maxPassedSockets))
	if err := c.SetReadDeadline(time.Now().Add(handoverPatience)); err != nil {
		return nil, err
	}
	n, controls, _, _, err := c.ReadMsgUnix(text, control)
	if err != nil {
		return nil, err
	}
	messages, err := syscall.ParseSocketControlMessage(control[:controls])
	if err != nil {
		return nil, err
	}
	var descriptors []int
	for i := range messages {
		passed, err := syscall.ParseUnixRights(&messages[i])
		if err != nil {
			return nil, err
		}
		descriptors = append(descriptors, passed...)
	}
	addresses := strings.Split(strings.TrimSuffix(string(text[:n]), "\n\n"), "\n")
	for i, descriptor := range descriptors {
		syscall.CloseOnExec(descriptor)
		ln, failed := listenerOf(descriptor)
		if failed != nil || i >= len(addresses) {
			err = errors.Join(err, failed)
			continue
		}
		one := socket{addresses[i], ln}
		if path, is := strings.CutPrefix(one.address, unixPrefix); is {
			if unix, failed := newUnixListener(ln, path); failed == nil { // else its file is gone
				one.Listener = unix
				one.keepFile(true) // the predecessor may go on listening
			}
		}
		received = append(received, one)
	}
	if err != nil || len(received) != len(addresses) {
		for _, one := range received {
			_ = one.Close()
		}
		return nil, errors.Join(fmt.Errorf("%d sockets for %d addresses", len(descriptors), len(addresses)), err)
	}
	return received, nil
}

// listenerOf returns a listener for a descriptor, and closes the descriptor.
func listenerOf(descriptor int) (net.Listener, error) {
	file := os.NewFile(uintptr(descriptor), fdPrefix+strconv.Itoa(descriptor))
	if file == nil {
		return nil, errors.New("no such descriptor")
	}
	defer file.Close()
	ln, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("not a listening socket: %w", withoutAddress(err))
	}
	return ln, nil
}

// withoutAddress returns an error of package net without the address, for texts that name it already.
func withoutAddress(err error) error {
	if wrong, ok := errors.AsType[*net.OpError](err); ok {
		return wrong.Err
	}
	return err
}

// listen returns the predecessor's socket for the address of a flag, or opens one.
func (s *sockets) listen(ctx context.Context, flag, address string) (net.Listener, error) {
	if err := checkAddress(flag, address); err != nil {
		return nil, err
	}
	ln, err := s.find(address)
	if ln == nil && err == nil {
		ln, err = listen(ctx, address)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, address, withoutAddress(err))
	}
	s.used = append(s.used, socket{address, ln})
	return ln, nil
}

// find returns the open socket for an address, or nil where it is still to be opened.
func (s *sockets) find(address string) (net.Listener, error) {
	if number, is := strings.CutPrefix(address, fdPrefix); is {
		descriptor, err := strconv.Atoi(number)
		if err != nil {
			return nil, err
		}
		s.inherited = true
		return listenerOf(descriptor)
	}
	for i, one := range s.spare {
		if one.address == address {
			s.spare = append(s.spare[:i], s.spare[i+1:]...)
			return one.Listener, nil
		}
	}
	return nil, nil
}

// serving tells the predecessor to stop, and begins to wait for a successor at path.
func (s *sockets) serving(logger *slog.Logger) error {
	if s.path == "" {
		return nil
	}
	if err := s.openHandover(); err != nil {
		return fmt.Errorf("--handover: %w", err)
	}
	if s.predecessor != nil {
		_, err := io.WriteString(s.predecessor, servingWord)
		if err := errors.Join(err, s.predecessor.Close()); err != nil {
			logger.Error("the server before this one could not be told to stop", "error", err)
		}
	}
	for _, one := range s.spare { // for addresses that this server doesn't use
		one.keepFile(false)
		_ = one.Close()
	}
	s.spare = nil
	for _, one := range s.used {
		one.keepFile(false)
	}
	go s.awaitSuccessor(s.handover, logger)
	return nil
}

// openHandover listens at path. Its socket replaces the predecessor's by a rename, at once.
func (s *sockets) openHandover() (err error) {
	fresh := s.path + newSuffix
	if err := removeStale(context.Background(), fresh); err != nil {
		return fmt.Errorf("%s: %w", fresh, err)
	}
	door, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: fresh})
	if err != nil {
		return err
	}
	door.SetUnlinkOnClose(false) // it is renamed below
	s.handover = door
	const ownerAlone = 0o600 // a process that may connect gets the sockets
	if err := errors.Join(os.Chmod(fresh, ownerAlone), os.Rename(fresh, s.path)); err != nil {
		return err
	}
	s.handoverFile, err = os.Lstat(s.path)
	return err
}

// awaitSuccessor gives the sockets to each process that asks, until one of them says that it serves.
func (s *sockets) awaitSuccessor(door net.Listener, logger *slog.Logger) {
	for {
		c, err := door.Accept()
		if err != nil {
			return // closeHandover closed it
		}
		err = s.passTo(c)
		_ = c.Close()
		if err == nil {
			close(s.successor)
			return
		}
		logger.Warn("another process asked for the sockets and does not serve", "error", err)
	}
}

func (s *sockets) passTo(c net.Conn) (err error) {
	unix, ok := c.(*net.UnixConn)
	if !ok {
		panic("BUG: a unix connection is another")
	}
	for _, one := range s.used { // the other process may soon be the only one to listen on it
		one.keepFile(true)
	}
	defer func() {
		for _, one := range s.used {
			one.keepFile(err == nil)
		}
	}()
	var descriptors []int
	var addresses strings.Builder
	for _, one := range s.used {
		raw, ok := one.Listener.(syscall.Conn)
		if !ok {
			panic("BUG: a listener without a descriptor")
		}
		control, err := raw.SyscallConn()
		if err != nil {
			return err
		}
		if err := control.Control(func(descriptor uintptr) { descriptors = append(descriptors, int(descriptor)) }); err != nil {
			return err
		}
		addresses.WriteString(one.address + "\n")
	}
	addresses.WriteString("\n")
	if _, _, err := unix.WriteMsgUnix([]byte(addresses.String()), syscall.UnixRights(descriptors...), nil); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(handoverPatience)); err != nil {
		return err
	}
	word := make([]byte, len(servingWord))
	if _, err := io.ReadFull(c, word); err != nil {
		return err
	}
	if string(word) != servingWord {
		return fmt.Errorf("it said %q, want %q", word, servingWord)
	}
	return nil
}

// shared says whether another process has the sockets, too, so that no connection is lost when this server stops accepting.
func (s *sockets) shared() bool {
	select {
	case <-s.successor:
		return true
	default:
		return s.inherited
	}
}

// close closes the socket at path, and the sockets that this server doesn't use.
func (s *sockets) close() {
	for _, one := range s.spare {
		_ = one.Close()
	}
	if s.predecessor != nil {
		_ = s.predecessor.Close()
	}
	s.closeHandover()
}

// closeHandover ends the wait for a successor: a process that comes later opens sockets of its own.
func (s *sockets) closeHandover() {
	if s.handover == nil {
		return
	}
	_ = s.handover.Close()
	s.handover = nil
	if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.handoverFile) {
		_ = os.Remove(s.path)
	}
}
