package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"syscall"
	"time"
)

// server is a running metalrank.
type server struct {
	address string // http://127.0.0.1:PORT
	command *exec.Cmd
	logged  chan struct{} // closed once its log has ended
}

const (
	startTimeout = time.Minute
	stopTimeout  = 10 * time.Second
)

// logAddress finds the address in the line that says where it serves.
var logAddress = regexp.MustCompile(`msg=serving address=(\S+)`)

// startServer starts the program and returns once it has said where it listens. Its log goes to stderr.
func startServer(ctx context.Context, program string, stderr io.Writer) (*server, error) {
	command := exec.CommandContext(ctx, program, "serve", "--listen", "127.0.0.1:0")
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = stopTimeout
	log, err := command.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	s := &server{command: command, logged: make(chan struct{})}
	found := make(chan string, 1)
	go func() {
		defer close(s.logged)
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			fmt.Fprintln(stderr, lines.Text())
			if match := logAddress.FindStringSubmatch(lines.Text()); match != nil {
				found <- match[1]
			}
		}
	}()
	select {
	case address := <-found:
		s.address = "http://" + address
		return s, nil
	case <-s.logged:
		return nil, fmt.Errorf("%s serve: it ended before it listened: %w", program, command.Wait())
	case <-time.After(startTimeout):
		return nil, errors.Join(fmt.Errorf("%s serve: no address in its log after %v", program, startTimeout), s.stop())
	}
}

// stop ends the server as a user would, and wants it to end well.
func (s *server) stop() error {
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-s.logged
	return s.command.Wait()
}
