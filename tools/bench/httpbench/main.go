// Httpbench measures the endpoint's cost on top of HTTP: the server over a model that does nothing, beside a bare
// fasthttp handler that reads the same body and answers with the same bytes, under the same load by wrk. `./build.sh
// bench http` runs it. With the embedded model it compares requests over HTTP with calls of the engine.
//
// Both listen in one process and are loaded in turns, so that other load on the machine hits both.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

type options struct {
	wrk         string
	rounds      int
	duration    time.Duration
	threads     int
	connections int
	callers     int    // of the embedded model; 0: it isn't measured
	only        string // run workloads with this in their name
	cpuProfile  string // of our server under load; "": none
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("httpbench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.wrk, "wrk", "wrk", "the program wrk")
	flags.IntVar(&o.rounds, "rounds", 5, "how often everything is measured")
	flags.DurationVar(&o.duration, "duration", 3*time.Second, "time of one measurement")
	flags.IntVar(&o.threads, "threads", 1, "threads of wrk")
	flags.IntVar(&o.connections, "connections", 32, "connections under load")
	flags.IntVar(&o.callers, "callers", 8, "callers of the embedded model; 0: don't measure it")
	flags.StringVar(&o.only, "only", "", "run workloads whose name contains this")
	flags.StringVar(&o.cpuProfile, "cpuprofile", "", "write a profile of our server under load, in the last round, to this file")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil || flags.NArg() > 0 || o.rounds < 1:
		flags.Usage()
		return 2
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // as metalrank serve does
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, &o, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "httpbench:", err)
		return 1
	}
	return 0
}

func bench(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	folder, err := os.MkdirTemp("", "httpbench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	fmt.Fprintf(stdout, "%s, %d CPUs, %s; medians of %d rounds of %v; wrk: %d threads, %d connections under load\n\n",
		runtime.Version(), runtime.NumCPU(), runtime.GOARCH, o.rounds, o.duration, o.threads, o.connections)
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "workload\tbytes in\tout\tbare, requests/s\tours\tshare\tCPU, bare\tours\tp50 of one, bare\tours\tadded\t")
	for _, w := range workloads() {
		if !strings.Contains(w.name, o.only) {
			continue
		}
		if err := benchOne(ctx, o, &w, folder, table, stderr); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	if err := table.Flush(); err != nil || o.callers == 0 {
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
	for round := range o.rounds {
		fmt.Fprintf(stderr, "httpbench: %s, round %d of %d\n", w.name, round+1, o.rounds)
		var loaded, alone [2]measurement // bare, ours
		order := []int{0, 1}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, i := range order {
			address := [...]net.Addr{s.bare, s.ours}[i]
			end, err := startProfile(o, i == 1 && round == o.rounds-1)
			if err != nil {
				return err
			}
			before := cpuTime()
			loaded[i], err = load(ctx, o, script, address, w.path, o.threads, o.connections)
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
	if o.cpuProfile == "" || !now {
		return func() error { return nil }, nil
	}
	file, err := os.Create(o.cpuProfile)
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
	command := exec.CommandContext(ctx, o.wrk, "--latency", "--timeout", "30s", fmt.Sprintf("-t%d", threads), fmt.Sprintf("-c%d", connections),
		fmt.Sprintf("-d%ds", max(1, int(o.duration/time.Second))), "-s", script, "http://"+address.String()+path)
	output, err := command.CombinedOutput()
	if err != nil {
		return measurement{}, fmt.Errorf("%w: %s", err, output)
	}
	return parseWrk(string(output))
}

func median(x []float64) float64 {
	sorted := slices.SortedFunc(slices.Values(x), cmp.Compare)
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
