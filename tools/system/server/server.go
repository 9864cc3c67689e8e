// Package server runs `metalrank serve` as a process of its own, for tools that test it from outside. It must not know
// their tests.
package server

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

const (
	// startTimeout and endTimeout are for a server that hangs, on a machine that may be slow and busy.
	startTimeout = 2 * time.Minute
	endTimeout   = 2 * time.Minute
)

// Server is a running metalrank.
type Server struct {
	Address string // HOST:PORT
	Admin   string // likewise, of its admin listener; "" where it has none

	command *exec.Cmd
	ended   chan struct{} // closed when the process has ended and its log was read to the end
	err     error         // how it ended; to be read once ended is closed
	log     bytes.Buffer  // likewise: its log without the lines of requests
}

var (
	logAdmin   = regexp.MustCompile(`msg="serving metrics and profiles" address=(\S+)`)
	logAddress = regexp.MustCompile(`msg=serving address=(\S+)`)
)

// Start starts the program with `serve` and the flags, and returns once it has said where it listens. line, which may be
// nil, is given each line of its log.
func Start(program string, line func(string), flags ...string) (*Server, error) {
	s := &Server{
		command: exec.Command(program, append([]string{"serve"}, flags...)...), //nolint:noctx // it is ended by signals
		ended:   make(chan struct{}),
	}
	log, err := s.command.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	listens := make(chan struct{})
	go func() {
		s.read(log, line, listens)
		s.err = s.command.Wait()
		close(s.ended)
	}()
	timer := time.NewTimer(startTimeout)
	defer timer.Stop()
	select {
	case <-listens:
		return s, nil
	case <-s.ended:
		return nil, fmt.Errorf("%s serve: it ended before it listened (%w): %s", program, s.err, s.log.String())
	case <-timer.C:
		_ = s.End(os.Kill) // which ends it in any case
		return nil, fmt.Errorf("%s serve: no address in its log after %v: %s", program, startTimeout, s.log.String())
	}
}

// read reads the log to its end, and closes listens when both addresses are known.
func (s *Server) read(log io.Reader, line func(string), listens chan<- struct{}) {
	for lines := bufio.NewReader(log); ; {
		text, err := lines.ReadString('\n')
		if text = strings.TrimSuffix(text, "\n"); text != "" {
			if match := logAdmin.FindStringSubmatch(text); match != nil && s.Address == "" {
				s.Admin = match[1] // which is logged before the other
			}
			if match := logAddress.FindStringSubmatch(text); match != nil && s.Address == "" {
				s.Address = match[1]
				close(listens)
			}
			if line != nil {
				line(text)
			}
			if !strings.Contains(text, "msg=request") {
				s.log.WriteString(text + "\n")
			}
		}
		if err != nil {
			return
		}
	}
}

// End sends a signal and waits until the process has ended and all of its log was read. A signal other than [os.Kill] must
// end it well.
func (s *Server) End(signal os.Signal) error {
	if err := s.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	timer := time.NewTimer(endTimeout)
	defer timer.Stop()
	select {
	case <-s.ended:
	case <-timer.C:
		_ = s.command.Process.Kill() // it may have ended meanwhile
		<-s.ended
		return fmt.Errorf("it goes on %v after %v: %s", endTimeout, signal, s.log.String())
	}
	if s.err != nil && signal != os.Kill { // which gives a status that is not 0
		return fmt.Errorf("after %v: %w: %s", signal, s.err, s.log.String())
	}
	return nil
}
