package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/metalrank/metalrank/tools/bench/peers/wire"
	"github.com/metalrank/metalrank/tools/process"
)

// worker is a process that runs one peer.
type worker struct {
	name    peerName
	details string // versions, as it says itself
	process *process.Process
	replies chan wire.Reply // closed with the process's output
}

// startWorker runs command and waits until its model is loaded.
func startWorker(name peerName, command *exec.Cmd, timeout time.Duration) (*worker, error) {
	p, err := process.Pipe(command)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	w := &worker{name: name, process: p, replies: make(chan wire.Reply)}
	go w.read()
	reply, err := w.wait(timeout)
	if err == nil && !reply.Ready {
		err = fmt.Errorf("%s: its first reply is not that it is ready: %+v", name, reply)
	}
	if err != nil {
		_ = p.End(os.Kill) // it may have ended
		w.close()
		return nil, err
	}
	w.details = reply.Details
	return w, nil
}

func (w *worker) read() {
	defer close(w.replies)
	decoder := json.NewDecoder(w.process.Output)
	for {
		var reply wire.Reply
		if err := decoder.Decode(&reply); err != nil {
			// A reply breaks off where the worker ended while it wrote: its last words say why.
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.ErrClosedPipe) {
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
			return reply, w.process.Explain(fmt.Errorf("%s: the worker ended", w.name))
		}
		if reply.Error != "" {
			return reply, fmt.Errorf("%s: %s", w.name, reply.Error)
		}
		return reply, nil
	case <-timer.C:
		_ = w.process.End(os.Kill) // its last words are in the error below
		return wire.Reply{}, w.process.Explain(fmt.Errorf("%s: no reply in %s", w.name, timeout))
	}
}

// do sends a command and returns the reply.
func (w *worker) do(command wire.Command, timeout time.Duration) (wire.Reply, error) {
	if err := json.NewEncoder(w.process.Input).Encode(command); err != nil {
		return wire.Reply{}, w.process.Explain(fmt.Errorf("%s: %w", w.name, err))
	}
	return w.wait(timeout)
}

// close ends the worker, as it does by itself when its input ends.
func (w *worker) close() {
	_ = w.process.Close() // its work is done
	for range w.replies { // until read has ended
	}
}
