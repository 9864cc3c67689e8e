package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// unixPrefix marks an address that is the path of a socket.
const unixPrefix = "unix:"

// socketMode lets a socket's owner and group connect, and nobody else.
const socketMode fs.FileMode = 0o660

// checkSocketPath wants a path short enough for a socket, with a zero after it.
func checkSocketPath(flag, path string) error {
	if most := len(syscall.RawSockaddrUnix{}.Path) - 1; len(path) > most {
		return fmt.Errorf("%s: the path of a socket has %d bytes, want at most %d: %s", flag, len(path), most, path)
	}
	return nil
}

var errNoSocket = errors.New("there is a file that is no socket")

// checkAddress refuses malformed addresses, without looking at this machine.
func checkAddress(flag, address string) error {
	wrong := fmt.Errorf("%s is %q, want HOST:PORT, %sPATH or %sN, of which N is a descriptor from 3", flag, address, unixPrefix, fdPrefix)
	if number, is := strings.CutPrefix(address, fdPrefix); is {
		if descriptor, err := strconv.Atoi(number); err != nil || descriptor < 3 {
			return wrong
		}
		return nil
	}
	if path, is := strings.CutPrefix(address, unixPrefix); is {
		if path == "" {
			return wrong
		}
		return checkSocketPath(flag, path)
	}
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.DefaultResolver.LookupPort(context.Background(), "tcp", port) // without the network
	}
	if err != nil {
		return wrong
	}
	return nil
}

// listen listens on HOST:PORT or unix:PATH. It removes a socket's file that a dead server has left behind, and fails if a
// server listens there.
func listen(ctx context.Context, address string) (net.Listener, error) {
	path, unix := strings.CutPrefix(address, unixPrefix)
	if !unix {
		return (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	ours, err := newUnixListener(ln, path)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	return ours, nil
}

// unixListener removes its socket's file when it is closed, as net's own does, also if the socket came from another
// process. It leaves the file alone if another one has replaced it.
type unixListener struct {
	*net.UnixListener
	path string
	file fs.FileInfo
	keep atomic.Bool // another process listens on the socket
}

func newUnixListener(ln net.Listener, path string) (*unixListener, error) {
	unix, ok := ln.(*net.UnixListener)
	if !ok {
		return nil, fmt.Errorf("%s%s: the socket is no unix socket", unixPrefix, path)
	}
	file, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	unix.SetUnlinkOnClose(false)
	return &unixListener{UnixListener: unix, path: path, file: file}, nil
}

// Close implements net.Listener.
func (l *unixListener) Close() error {
	if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.file) && !l.keep.Load() {
		_ = os.Remove(l.path) // a file that stays does no harm
	}
	return l.UnixListener.Close()
}

// removeStale removes the file of a dead server's socket at path. Another file, or a live server, is an error.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errNoSocket
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err == nil {
		_ = c.Close()
		return errors.New("a server listens there already")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
