// Package server runs `metalrank serve` as a process of its own, for tools that test it from outside. It must not know
// their tests.
package server

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/metalrank/metalrank/tools/process"
)

// startTimeout is for a server that hangs, on a machine that may be slow and busy.
const startTimeout = 2 * time.Minute

// Server is a running metalrank. Its log is kept without the lines of requests.
type Server struct {
	*process.Process

	Address string // HOST:PORT
	Admin   string // likewise, of its admin listener; "" where it has none
}

var (
	logAdmin   = regexp.MustCompile(`msg="serving metrics and profiles" address=(\S+)`)
	logAddress = regexp.MustCompile(`msg=serving address=(\S+)`)
)

// Start starts a command that runs `metalrank serve`, and returns once its log says where it listens. line, which may be
// nil, is given each line of the log.
func Start(ctx context.Context, command *exec.Cmd, line func(string)) (*Server, error) {
	s := &Server{}
	log := process.NewLog(logAddress, func(text string) bool {
		if match := logAdmin.FindStringSubmatch(text); match != nil {
			s.Admin = match[1] // which is logged once, before the other
		}
		if line != nil {
			line(text)
		}
		return !strings.Contains(text, "msg=request")
	})
	var err error
	if s.Process, err = process.Start(command, log); err != nil {
		return nil, err
	}
	match, err := s.Await(ctx, log, startTimeout)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	s.Address = match[1]
	return s, nil
}
