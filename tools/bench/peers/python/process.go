package python

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

const (
	// closePatience is the time that a program may take to end once its input has ended.
	closePatience = 5 * time.Second
	// pipePatience bounds the wait for output of a program's own children after it has ended.
	pipePatience = 5 * time.Second
)

// Process is a running program that reads its standard input and answers on its standard output.
type Process struct {
	Input io.WriteCloser
	// Output ends only after the program has, and after all of its standard error was read.
	Output io.Reader

	command *exec.Cmd
	output  *io.PipeReader
	log     Tail
	ended   chan struct{} // closed when the program has ended
	err     error         // how it ended; to be read once ended is closed
}

// Start starts the command. The caller reads Output to its end or calls Close.
func Start(command *exec.Cmd) (*Process, error) {
	input, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, write := io.Pipe()
	p := &Process{Input: input, Output: output, command: command, output: output, ended: make(chan struct{})}
	command.Stdout, command.Stderr, command.WaitDelay = write, &p.log, pipePatience
	if err := command.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = command.Wait() // returns when both outputs were read
		close(p.ended)
		_ = write.Close() // never fails
	}()
	return p, nil
}

// Kill ends the program at once.
func (p *Process) Kill() { _ = p.command.Process.Kill() } // it may have ended

// Close ends the program by the end of its input, kills it if it goes on, and returns when it has ended. The exit status is
// no error: a killed program has one, too. It may be called again.
func (p *Process) Close() error {
	_ = p.Input.Close()  // nothing is buffered
	_ = p.output.Close() // never fails; the program may be waiting for its reader
	timer := time.AfterFunc(closePatience, p.Kill)
	defer timer.Stop()
	<-p.ended
	if p.err == nil || errors.As(p.err, new(*exec.ExitError)) || errors.Is(p.err, io.ErrClosedPipe) {
		return nil
	}
	return p.err
}

// Explain closes the process and adds the end of its standard error to err. Before the program has ended, some of that may
// not have been read yet.
func (p *Process) Explain(err error) error {
	closed := p.Close()
	return errors.Join(fmt.Errorf("%w; its last words:\n%s", err, &p.log), closed)
}
