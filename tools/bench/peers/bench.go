package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/metalrank/metalrank/tools/bench/peers/python"
	"github.com/metalrank/metalrank/tools/bench/peers/wire"
	"github.com/metalrank/metalrank/tools/bench/peers/workload"
)

// bench is one comparison.
type bench struct {
	options  options
	kit      python.Kit
	progress io.Writer
	requests map[string][]wire.Request // by workload
	workers  map[peerName]*worker
	systems  []system
	report   report
}

const (
	// replyTimeout bounds a command: a compiler may take minutes for the first shapes of one.
	replyTimeout = 10 * time.Minute
	// settle lets the threads of the previous system fall asleep: runtimes spin for a few milliseconds after work.
	settle = 100 * time.Millisecond
)

func (b *bench) say(format string, arguments ...any) {
	fmt.Fprintf(b.progress, "peers: "+format+"\n", arguments...)
}

// measure runs it all: scores, then the tuning of micro-batches, then the rounds.
func (b *bench) measure() error {
	if err := b.compareScores(); err != nil {
		return err
	}
	for i, name := range b.options.workloads {
		until := b.options.until
		if !until.IsZero() { // an equal part of the time for each workload
			until = time.Now().Add(time.Until(until) / time.Duration(len(b.options.workloads)-i))
		}
		var all []*series
		for _, s := range b.systems {
			if !b.report.leftOut(s, name) {
				all = append(all, &series{System: s, Workload: name})
			}
		}
		if err := b.tune(name, all); err != nil {
			return err
		}
		for round := range b.options.Rounds {
			b.say("%s, round %d of %d", name, round+1, b.options.Rounds)
			begin := time.Now()
			if err := b.round(name, round, all); err != nil {
				return err
			}
			if !until.IsZero() && time.Now().Add(time.Since(begin)).After(until) {
				break // the next would not end in time
			}
		}
		b.report.Series = append(b.report.Series, all...)
		b.report.End = time.Now().UTC()
		if err := b.report.save(b.options.Out); err != nil { // so that a run that is cut short leaves its results
			return err
		}
	}
	return nil
}

// run has one system score the workload's requests once.
func (b *bench) run(s system, name string, microTokens int, limit time.Duration) (wire.Reply, error) {
	time.Sleep(settle)
	requests := b.requests[name]
	reply, err := b.workers[s.peerName].do(wire.Command{
		Op: wire.Run, Workload: name, Requests: len(requests), MicroTokens: microTokens, LimitS: limit.Seconds(),
	}, replyTimeout)
	if err == nil {
		err = reply.Check(requests)
	}
	if err != nil {
		return reply, fmt.Errorf("%s, %s: %w", s, name, err)
	}
	return reply, nil
}

// scored are the workloads that scores are compared on. Random weights rank nothing, and large models take long.
func (b *bench) scored() []string {
	if len(b.options.shapes) > 0 {
		return b.options.workloads
	}
	return append(slices.Clone(b.options.workloads), workload.Evaluation)
}

// compareScores has every system score everything once, which also warms it up for all shapes, and compares. A peer that
// fails or scores wrongly is left out of that workload.
func (b *bench) compareScores() error {
	for _, name := range b.scored() {
		want, err := b.run(system{reference, false}, name, 0, replyTimeout)
		if err != nil {
			return err
		}
		for _, s := range b.systems {
			b.say("scores of %s on %s", s, name)
			micro := 0
			if s.Tuned {
				micro = b.options.Micro[0]
			}
			got, err := b.run(s, name, micro, b.options.warmUp)
			var a agreement
			if err == nil {
				a = compare(s, name, got.Logits, want.Logits)
				err = a.err(len(b.options.shapes) > 0)
			}
			switch {
			case err == nil:
				b.report.Scores = append(b.report.Scores, a)
			case s.ours():
				return err
			default:
				b.say("left out: %v", err)
				b.report.LeftOut = append(b.report.LeftOut, omission{s, name, err.Error()})
			}
		}
	}
	return nil
}

// tune finds, for each tuned system, the size of micro-batches that is fastest for this workload.
func (b *bench) tune(name string, all []*series) error {
	for _, s := range all {
		if !s.System.Tuned {
			continue
		}
		s.MicroTokens = b.options.Micro[0]
		if len(b.options.Micro) == 1 {
			continue
		}
		b.say("tuning %s for %s", s.System, name)
		if err := b.tuneOne(s); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) tuneOne(s *series) error {
	best := 0.0
	documents := b.report.documents(s.Workload)
	for _, micro := range b.options.Micro {
		// The first run meets new shapes, for which a runtime may prepare itself.
		for _, limit := range []time.Duration{b.options.limit / 2, b.options.limit} {
			reply, err := b.run(s.System, s.Workload, micro, limit)
			if err != nil {
				return err
			}
			if speed := pairsPerSecond(reply.Seconds, documents); speed > best {
				best, s.MicroTokens = speed, micro
			}
		}
	}
	return nil
}

// round runs every system once, in the round's order.
func (b *bench) round(name string, round int, all []*series) error {
	for _, i := range order(len(all), round) {
		reply, err := b.run(all[i].System, name, all[i].MicroTokens, b.options.limit)
		if err != nil {
			return err
		}
		all[i].Runs = append(all[i].Runs, reply.Seconds)
	}
	for i := range b.report.Products {
		y := &b.report.Products[i]
		reply, err := b.workers[y.Name].do(wire.Command{Op: wire.Measure}, replyTimeout)
		if err != nil {
			return err
		}
		y.GFLOPS = append(y.GFLOPS, reply.GFLOPS)
	}
	return nil
}
