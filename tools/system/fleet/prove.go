package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/metalrank/metalrank/tools/process"
	"github.com/metalrank/metalrank/tools/sweep/load"
)

// fleet holds the running nodes by number, from 1.
type fleet struct {
	o       *options
	stderr  io.Writer
	running map[int]*process.Process
}

func (f *fleet) start(i int, model string) error {
	p, err := startNode(f.o, f.stderr, i, model)
	if err == nil {
		f.running[i] = p
	}
	return err
}

func (f *fleet) kill() {
	for _, p := range f.running {
		_ = p.Close() // it may have ended
	}
}

// part is something that happens to a fleet under load.
type part struct {
	name   string
	models []string // that answers may be of
	do     func(ctx context.Context, f *fleet) error
}

// parts returns the parts in order: each leaves three healthy nodes.
func parts(span time.Duration) []part {
	pause := func(ctx context.Context, share float64) {
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(share * float64(span))):
		}
	}
	v1 := []string{"v1"}
	return []part{
		{"nothing", v1, func(ctx context.Context, _ *fleet) error { pause(ctx, 1); return nil }},
		{"kill -9, started again", v1, func(ctx context.Context, f *fleet) error {
			pause(ctx, 0.2)
			if err := f.running[1].End(os.Kill); err != nil {
				return err
			}
			pause(ctx, 0.4)
			if err := f.start(1, "v1"); err != nil {
				return err
			}
			pause(ctx, 0.4)
			return waitUp(ctx, 1)
		}},
		{"cable cut, mended", v1, func(ctx context.Context, _ *fleet) error {
			pause(ctx, 0.2)
			if err := cable(ctx, 2, "down"); err != nil {
				return err
			}
			pause(ctx, 0.6)
			if err := cable(ctx, 2, "up"); err != nil {
				return err
			}
			pause(ctx, 0.2)
			return waitUp(ctx, 2)
		}},
		{"ten times slower, well again", v1, func(ctx context.Context, f *fleet) error {
			pause(ctx, 0.2)
			if err := f.running[3].Signal(syscall.SIGUSR1); err != nil {
				return err
			}
			pause(ctx, 0.6)
			defer pause(ctx, 0.2)
			return f.running[3].Signal(syscall.SIGUSR2)
		}},
		{"restarts, one by one", v1, func(ctx context.Context, f *fleet) error { return roll(ctx, f, "v1") }},
		{"another model, one by one", []string{"v1", "v2"}, func(ctx context.Context, f *fleet) error { return roll(ctx, f, "v2") }},
		{"after that", []string{"v2"}, func(ctx context.Context, _ *fleet) error { pause(ctx, 0.25); return nil }},
	}
}

// roll restarts each node when the one before is up again.
func roll(ctx context.Context, f *fleet, model string) error {
	for i := 1; i <= nodes; i++ {
		if err := f.running[i].End(syscall.SIGTERM); err != nil {
			return fmt.Errorf("node %d: %w", i, err)
		}
		// HAProxy may not have seen yet that it is gone, and would call it up.
		time.Sleep(3 * time.Second)
		if err := f.start(i, model); err != nil {
			return err
		}
		if err := waitUp(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// proveAll runs every part, prints its results, and fails where a request was lost or an answer wrong.
func proveAll(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	folder, err := os.MkdirTemp("", "fleet")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	f := &fleet{o: o, stderr: stderr, running: map[int]*process.Process{}}
	defer f.kill()
	for i := 1; i <= nodes; i++ {
		if err := f.start(i, "v1"); err != nil {
			return err
		}
	}
	if o.Only == "" {
		if err := scale(ctx, f, folder, stdout); err != nil {
			return err
		}
	}
	balancer, err := startHAProxy(ctx, o, stderr, folder, nodes)
	if err != nil {
		return err
	}
	defer func() { _ = balancer.Close() }()
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(stdout, "\n%g requests a second, 4 documents each\n", o.Rate)
	fmt.Fprintln(table, "what happens\tseconds\tanswered\tof v1\tof v2\twrong\tlost\tp50\tp99\tlongest\t")
	var faults []error
	for _, p := range parts(o.Part) {
		if !strings.Contains(p.name, o.Only) {
			continue
		}
		fmt.Fprintln(stderr, "fleet:", p.name)
		if err := measure(ctx, f, &p, table); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", p.name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(append(faults, table.Flush(), ctx.Err())...)
}

// mostUnderWay bounds the requests in flight of an open loop: it sends no more. Only a fleet that stands still reaches
// the bound.
const mostUnderWay = 1024

// measure does a part under load.
func measure(ctx context.Context, f *fleet, p *part, table io.Writer) error {
	t, c, loaded := newTally(), newClient(p.models...), make(chan struct{})
	loading, stop := context.WithCancel(ctx)
	begin := time.Now()
	go func() {
		defer close(loaded)
		c.send(loading, load.Plan{Rate: f.o.Rate, Clients: mostUnderWay}, 4, t)
	}()
	err := p.do(ctx, f)
	stop()
	took := time.Since(begin)
	<-loaded
	fmt.Fprintf(table, "%s\t%.1f\t%d\t%d\t%d\t%d\t%d\t%d ms\t%d ms\t%d ms\t\n", p.name, took.Seconds(), len(t.latencies), t.answered["v1"],
		t.answered["v2"], t.wrong, t.lost, t.quantile(0.5).Milliseconds(), t.quantile(0.99).Milliseconds(), t.quantile(1).Milliseconds())
	if t.wrong > 0 || t.lost > 0 {
		err = errors.Join(err, fmt.Errorf("%d answers wrong, %d requests lost; the first: %w", t.wrong, t.lost, t.first))
	}
	return err
}

// wantRatio is the least throughput of three nodes, in times of one.
const wantRatio = 2.7

// scale measures the throughput of one node, and then of three, with as many callers a node.
func scale(ctx context.Context, f *fleet, folder string, stdout io.Writer) error {
	const documents = 16
	var rates [2]float64
	for i, count := range []int{1, nodes} {
		balancer, err := startHAProxy(ctx, f.o, f.stderr, folder, count)
		if err != nil {
			return err
		}
		t := newTally()
		result := newClient("v1").send(ctx, load.Plan{Clients: 8 * count, Limit: f.o.Part}, documents, t)
		rates[i] = float64(documents*len(result.Latencies)) / result.Seconds
		if err := balancer.End(os.Kill); err != nil {
			return err
		}
		if t.wrong > 0 || t.lost > 0 {
			return fmt.Errorf("%d nodes: %d answers wrong, %d requests lost; the first: %w", count, t.wrong, t.lost, t.first)
		}
	}
	ratio := rates[1] / rates[0]
	fmt.Fprintf(stdout, "documents a second: one node %.0f, three %.0f: %.2f times\n", rates[0], rates[1], ratio)
	if ratio < wantRatio {
		return fmt.Errorf("three nodes do %.2f times what one does, want %.1f", ratio, wantRatio)
	}
	return nil
}
