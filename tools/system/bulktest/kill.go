package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/metalrank/metalrank/tools/process"
)

const (
	// serverAway is how long the server stays away after it was killed.
	serverAway = 2 * time.Second
	tick       = 100 * time.Millisecond
	// mostQueued is how many chunks the server takes before a submission has to wait for workers.
	mostQueued = 64
)

// task is a command that has to succeed in the end, and is killed once on the way.
type task struct {
	name  string
	args  []string
	now   *process.Process
	kills *int
}

// scoreInBulk submits, works and collects, and kills every kind of process that takes part.
func (f *fleet) scoreInBulk(inputs string) error {
	if err := f.startServer(); err != nil {
		return err
	}
	submit := &task{name: "submit", kills: &f.kills.submissions, args: []string{
		"submit", "--job", job, "--pairs", inputs, "--chunk-tokens", "4096", "--ack-wait", f.o.AckWait.String(), "--max-queued", strconv.Itoa(mostQueued),
	}}
	if err := f.submitUntilKilled(submit); err != nil {
		return err
	}
	for range f.o.Workers {
		w, err := f.startWorker()
		if err != nil {
			return err
		}
		f.workers = append(f.workers, w)
	}
	collect := &task{name: "collect", kills: &f.kills.collections, args: []string{"collect", "--job", job, "-o", f.output}}
	return f.churn(submit, collect)
}

// submitUntilKilled starts the submission, kills it after a second, when the server has some chunks, and starts it
// again: with no worker yet, and little room on the server, it can't have ended unless there are too few pairs.
func (f *fleet) submitUntilKilled(submit *task) (err error) {
	for {
		if submit.now, err = f.start(submit.name, submit.args...); err != nil {
			return err
		}
		select {
		case <-submit.now.Ended():
			if submit.now.Wait() == nil {
				return fmt.Errorf("the submission has ended before it could be killed: want more --pairs, for more than %d chunks", mostQueued)
			} // else the server is not up yet
		case <-time.After(time.Second):
			_ = submit.now.Close() // which kills it, if it has not ended
			*submit.kills++
			submit.now, err = f.start(submit.name, submit.args...)
			return err
		case <-f.ctx.Done():
			return f.ctx.Err()
		}
	}
}

// churn kills workers until all is collected; after a third of the results the server, after two thirds the collection.
func (f *fleet) churn(submit, collect *task) (err error) {
	if collect.now, err = f.start(collect.name, collect.args...); err != nil {
		return err
	}
	next := time.Now().Add(f.pause())
	for looked := time.Now(); ; {
		select {
		case <-time.After(tick):
		case <-f.ctx.Done():
			return fmt.Errorf("not done in time: %w", f.ctx.Err())
		}
		if done, err := f.tend(submit, collect); done || err != nil {
			return err
		}
		if time.Now().After(next) {
			if err := f.killWorker(); err != nil {
				return err
			}
			next = time.Now().Add(f.pause())
		}
		if time.Since(looked) > time.Second {
			looked = time.Now()
			if err := f.killOthers(collect); err != nil {
				return err
			}
		}
	}
}

func (f *fleet) pause() time.Duration {
	return f.o.KillEvery/2 + time.Duration(f.random.Int64N(int64(f.o.KillEvery)))
}

// tend says whether both commands have succeeded, or one has failed by itself, or a worker has.
func (f *fleet) tend(tasks ...*task) (done bool, err error) {
	done = true
	for _, t := range tasks {
		if !ended(t.now) {
			done = false
		} else if err := t.now.Wait(); err != nil {
			return false, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	for _, w := range f.workers {
		if ended(w) {
			return false, fmt.Errorf("a worker ended by itself: %w", w.Wait())
		}
	}
	return done, nil
}

func ended(p *process.Process) bool {
	select {
	case <-p.Ended():
		return true
	default:
		return false
	}
}

func (f *fleet) killWorker() (err error) {
	i := f.random.IntN(len(f.workers))
	if err := f.workers[i].End(os.Kill); err != nil {
		return fmt.Errorf("a worker: %w", err)
	}
	f.kills.workers++
	f.workers[i], err = f.startWorker()
	return err
}

// killOthers kills the server and the collection when it is time for them, and starts them again.
func (f *fleet) killOthers(collect *task) error {
	if f.kills.servers > 0 && f.kills.collections > 0 || ended(f.server) {
		return nil
	}
	s, err := f.status()
	if err != nil {
		return err
	}
	done := s.PairsDone() * 3
	if f.kills.servers == 0 && done > f.o.Pairs {
		if err := f.server.End(os.Kill); err != nil {
			return fmt.Errorf("the server: %w", err)
		}
		f.kills.servers++
		time.Sleep(serverAway)
		return f.startServer()
	}
	if f.kills.collections == 0 && done > 2*f.o.Pairs {
		if err := collect.now.End(os.Kill); err != nil {
			return fmt.Errorf("the collection, for which there should be more pairs: %w", err)
		}
		*collect.kills++
		collect.now, err = f.start(collect.name, collect.args...)
	}
	return err
}
