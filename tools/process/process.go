// Package process starts programs, waits for a line of their output, and ends them. An error has the program's last
// words. It must not know the programs.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

const (
	// closePatience is the time that a program may take to end once its input has ended, and that its own children may hold
	// its output once it has ended.
	closePatience = 30 * time.Second
	// endPatience is for a program that hangs after a signal, on a machine that may be slow and busy.
	endPatience = 2 * time.Minute
)

// Process is a running program.
type Process struct {
	// Input and Output are the standard input and output of a program that Pipe started. Output ends only after the program
	// has, and after all of its standard error was read.
	Input  io.WriteCloser
	Output *io.PipeReader

	command *exec.Cmd
	log     *Log
	ended   chan struct{} // closed when the program has ended and its output was read
	err     error         // how it ended; to be read once ended is closed
}

// Start starts the command. log, which may be nil, gets its standard output and error, unless the command sets them.
func Start(command *exec.Cmd, log *Log) (*Process, error) {
	if log == nil {
		log = new(Log)
	}
	if command.Stdout == nil {
		command.Stdout = log
	}
	if command.Stderr == nil {
		command.Stderr = log
	}
	command.WaitDelay = closePatience
	p := &Process{command: command, log: log, ended: make(chan struct{})}
	if err := command.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = command.Wait() // returns when both outputs were read
		log.end()
		close(p.ended)
	}()
	return p, nil
}

// Pipe starts a command that reads its standard input, and answers on its standard output unless the command sets that.
// The caller reads Output to its end or calls Close.
func Pipe(command *exec.Cmd) (*Process, error) {
	input, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, write := io.Pipe()
	if command.Stdout == nil {
		command.Stdout = write
	}
	p, err := Start(command, nil)
	if err != nil {
		return nil, err
	}
	p.Input, p.Output = input, output
	go func() {
		<-p.ended
		_ = write.Close() // never fails
	}()
	return p, nil
}

// Await waits for the line that log was made to find, and returns the match and its submatches. log is the program's own,
// or one that the command sets as its output. Where the line does not come in time, Await closes the process.
func (p *Process) Await(ctx context.Context, log *Log, timeout time.Duration) (match []string, err error) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case match := <-log.found:
		return match, nil
	case <-p.ended:
		select {
		case match := <-log.found: // the program was quicker than this goroutine
			return match, nil
		default:
			err = fmt.Errorf("it ended before it served (%v)", p.command.ProcessState)
		}
	case <-timer.C:
		err = fmt.Errorf("it does not serve after %v", timeout)
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, p.Explain(err)
}

// Ended returns a channel that is closed when the program has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Wait waits until the program ends by itself, and returns an error if it does not end well.
func (p *Process) Wait() error {
	<-p.ended
	return p.addLastWords(p.err)
}

// Signal sends a signal. The error is os.ErrProcessDone if the program has ended.
func (p *Process) Signal(signal os.Signal) error { return p.command.Process.Signal(signal) }

// End sends a signal and waits until the program has ended and all of its output was read. The program must not have ended
// before. os.Kill has to end it, and any other signal has to end it well.
func (p *Process) End(signal os.Signal) error {
	err := p.Signal(signal)
	timer := time.AfterFunc(endPatience, p.kill)
	p.closePipes()
	<-p.ended
	switch inTime := timer.Stop(); {
	case err != nil:
		err = fmt.Errorf("before %v: %w (%v)", signal, err, p.command.ProcessState)
	case !inTime:
		err = fmt.Errorf("it goes on %v after %v", endPatience, signal)
	case signal == os.Kill && p.err == nil:
		err = errors.New("it had ended well before it was killed")
	case signal != os.Kill && p.err != nil:
		err = fmt.Errorf("after %v: %w", signal, p.err)
	}
	return p.addLastWords(err)
}

// closePipes lets the program's own children go on, and end: one may be waiting for input, or for the reader of Output.
func (p *Process) closePipes() {
	if p.Input != nil {
		_ = p.Input.Close()  // nothing is buffered
		_ = p.Output.Close() // never fails
	}
}

func (p *Process) kill() { _ = p.Signal(os.Kill) } // it may have ended

// Close ends the program and returns when it has ended. A program that Pipe started gets the end of its input, and is
// killed if it goes on; any other is killed. The exit status is no error: a killed program has one, too. Close may be
// called again.
func (p *Process) Close() error {
	p.closePipes()
	patience := closePatience
	if p.Input == nil {
		patience = 0
	}
	timer := time.AfterFunc(patience, p.kill)
	defer timer.Stop()
	<-p.ended
	if p.err == nil || errors.As(p.err, new(*exec.ExitError)) || errors.Is(p.err, io.ErrClosedPipe) {
		return nil
	}
	return p.err
}

// Explain closes the process and adds its last words to err.
func (p *Process) Explain(err error) error {
	closed := p.Close()
	return errors.Join(p.addLastWords(err), closed)
}

// addLastWords is for a program that has ended: before, some of its words may not have been read. nil stays nil.
func (p *Process) addLastWords(err error) error {
	if text := p.log.String(); err != nil && text != "" {
		return fmt.Errorf("%w; its last words:\n%s", err, text)
	}
	return err
}
