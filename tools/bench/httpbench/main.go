// Httpbench measures the endpoint's cost on top of HTTP: the server over a model that does nothing, beside a bare
// fasthttp handler that reads the same body and answers with the same bytes, under the same load by wrk. `./build.sh
// bench http` runs it. With the embedded model it compares requests over HTTP with calls of the engine.
//
// Both listen in one process and are loaded in turns, so that other load on the machine hits both.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/internal/record"
)

type options struct {
	Wrk         string        `help:"The program wrk." default:"wrk"`
	Rounds      int           `help:"How often everything is measured." default:"5"`
	Duration    time.Duration `help:"Time of one measurement." default:"3s"`
	Threads     int           `help:"Threads of wrk." default:"1"`
	Connections int           `help:"Connections under load." default:"32"`
	Callers     int           `help:"Callers of the embedded model; 0: don't measure it." default:"8"`
	Only        string        `help:"Run workloads whose name contains this." placeholder:"TEXT"`
	CPUProfile  string        `name:"cpuprofile" help:"Write a profile of our server under load, in the last round, to this file." placeholder:"FILE"`
}

func main() {
	cli.Program{
		Name: "httpbench", Description: "Measures the endpoint's cost on top of bare fasthttp, by wrk.", Grammar: &options{},
	}.Main()
}

// Validate is called by kong.
func (o *options) Validate() error {
	if o.Rounds < 1 {
		return fmt.Errorf("--rounds is %d, want 1 or more", o.Rounds)
	}
	return nil
}

// Run is called by cli.Run.
func (o *options) Run(ctx context.Context, std cli.Streams) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // as metalrank serve does
	}
	return bench(ctx, o, std.Out, std.Err)
}

func bench(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	folder, err := os.MkdirTemp("", "httpbench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	fmt.Fprintf(stdout, "%s, %d CPUs, %s; medians of %d rounds of %v; wrk: %d threads, %d connections under load\n\n",
		runtime.Version(), runtime.NumCPU(), runtime.GOARCH, o.Rounds, o.Duration, o.Threads, o.Connections)
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "workload\tbytes in\tout\tbare, requests/s\tours\tshare\tCPU, bare\tours\tp50 of one, bare\tours\tadded\t")
	for _, w := range workloads() {
		if !strings.Contains(w.name, o.Only) {
			continue
		}
		if err := benchOne(ctx, o, &w, folder, table, stderr); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	if err := table.Flush(); err != nil || o.Callers == 0 {
		return err
	}
	return benchReal(ctx, o, folder, stdout, stderr)
}

// benchOne measures a workload: under load for requests a second, and with one connection for the time of one.
func benchOne(ctx context.Context, o *options, w *workload, folder string, table, stderr io.Writer) error {
	script := filepath.Join(folder, "request.lua")
	if err := os.WriteFile(script, []byte(w.script()), 0o600); err != nil {
		return err
	}
	s, err := startServers(ctx, w)
	if err != nil {
		return err
	}
	defer s.stop()
	var bareRates, ourRates, shares, bareCPU, ourCPU, bareTimes, ourTimes, added []float64
	for round := range o.Rounds {
		fmt.Fprintf(stderr, "httpbench: %s, round %d of %d\n", w.name, round+1, o.Rounds)
		var loaded, alone [2]measurement // bare, ours
		order := []int{0, 1}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, i := range order {
			address := [...]net.Addr{s.bare, s.ours}[i]
			end, err := startProfile(o, i == 1 && round == o.Rounds-1)
			if err != nil {
				return err
			}
			before := cpuTime()
			loaded[i], err = load(ctx, o, script, address, w.path, o.Threads, o.Connections)
			if err := errors.Join(err, end()); err != nil {
				return err
			}
			loaded[i].cpu = float64((cpuTime() - before).Nanoseconds()) / 1000 / loaded[i].requests
			if alone[i], err = load(ctx, o, script, address, w.path, 1, 1); err != nil {
				return err
			}
		}
		bareRates, ourRates = append(bareRates, loaded[0].rate), append(ourRates, loaded[1].rate)
		shares = append(shares, loaded[1].rate/loaded[0].rate)
		bareCPU, ourCPU = append(bareCPU, loaded[0].cpu), append(ourCPU, loaded[1].cpu)
		bareTimes, ourTimes = append(bareTimes, alone[0].p50), append(ourTimes, alone[1].p50)
		added = append(added, alone[1].p50-alone[0].p50)
	}
	fmt.Fprintf(table, "%s\t%d\t%d\t%.0f\t%.0f\t%.0f %%\t%.1f µs\t%.1f µs\t%.0f µs\t%.0f µs\t%.0f µs\t\n", w.name, len(w.body), len(s.answer),
		median(bareRates), median(ourRates), 100*median(shares), median(bareCPU), median(ourCPU), median(bareTimes), median(ourTimes), median(added))
	return nil
}

// cpuTime returns the processor time of this process, and so of the servers, so far.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic("BUG: " + err.Error())
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// startProfile begins a profile, if there is to be one now; end finishes it.
func startProfile(o *options, now bool) (end func() error, err error) {
	if o.CPUProfile == "" || !now {
		return func() error { return nil }, nil
	}
	file, err := os.Create(o.CPUProfile)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return file.Close()
	}, nil
}

// load runs wrk once.
func load(
	ctx context.Context, o *options, script string, address net.Addr, path string, threads, connections int,
) (measurement, error) {
	command := exec.CommandContext(ctx, o.Wrk, "--latency", "--timeout", "30s", fmt.Sprintf("-t%d", threads), fmt.Sprintf("-c%d", connections),
		fmt.Sprintf("-d%ds", max(1, int(o.Duration/time.Second))), "-s", script, "http://"+address.String()+path)
	output, err := command.CombinedOutput()
	if err != nil {
		return measurement{}, fmt.Errorf("%w: %s", err, output)
	}
	return parseWrk(string(output))
}

func median(x []float64) float64 { return record.Percentile(x, 50) }
