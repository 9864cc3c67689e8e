package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/metalrank/metalrank/tools/peers/python"
	"github.com/metalrank/metalrank/tools/peers/wire"
)

// worker is a process that runs one peer.
type worker struct {
	name    peerName
	details string // versions, as it says itself
	command *exec.Cmd
	stdin   io.WriteCloser
	replies chan wire.Reply // closed with the process's output
	log     *python.Tail
}

// startWorker runs command and waits until its model is loaded.
func startWorker(name peerName, command *exec.Cmd, timeout time.Duration) (*worker, error) {
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w := &worker{name: name, command: command, stdin: stdin, replies: make(chan wire.Reply), log: &python.Tail{}}
	command.Stderr = w.log
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go w.read(stdout)
	reply, err := w.wait(timeout)
	if err == nil && !reply.Ready {
		err = fmt.Errorf("%s: its first reply is not that it is ready: %+v", name, reply)
	}
	if err != nil {
		w.kill()
		w.close()
		return nil, err
	}
	w.details = reply.Details
	return w, nil
}

func (w *worker) read(stdout io.Reader) {
	defer close(w.replies)
	decoder := json.NewDecoder(bufio.NewReader(stdout))
	for {
		var reply wire.Reply
		if err := decoder.Decode(&reply); err != nil {
			if !errors.Is(err, io.EOF) {
				w.replies <- wire.Reply{Error: "unreadable reply: " + err.Error()}
			}
			return
		}
		w.replies <- reply
	}
}

func (w *worker) wait(timeout time.Duration) (wire.Reply, error) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case reply, open := <-w.replies:
		if !open {
			w.kill()
			w.command.Wait() //nolint:errcheck // for the rest of its standard error
			return reply, fmt.Errorf("%s: the worker ended; its last words:\n%s", w.name, w.log)
		}
		if reply.Error != "" {
			return reply, fmt.Errorf("%s: %s", w.name, reply.Error)
		}
		return reply, nil
	case <-timer.C:
		return wire.Reply{}, fmt.Errorf("%s: no reply in %s; its last words:\n%s", w.name, timeout, w.log)
	}
}

// do sends a command and returns the reply.
func (w *worker) do(command wire.Command, timeout time.Duration) (wire.Reply, error) {
	if err := json.NewEncoder(w.stdin).Encode(command); err != nil {
		return wire.Reply{}, fmt.Errorf("%s: %w; its last words:\n%s", w.name, err, w.log)
	}
	return w.wait(timeout)
}

// close ends the worker, as it does by itself when its input ends.
func (w *worker) close() {
	w.stdin.Close() //nolint:errcheck // nothing is buffered
	timer := time.AfterFunc(5*time.Second, w.kill)
	defer timer.Stop()
	for range w.replies { // until the output is closed: Wait must not come before
	}
	w.command.Wait() //nolint:errcheck // its work is done
}

func (w *worker) kill() { w.command.Process.Kill() } //nolint:errcheck // it may have ended
