// Command queuesim compares the scheduler with the usual policies, in simulated time (engine/schedule/simulate): fixed-window
// dynamic batching, FIFO with a budget of tokens, shortest remaining work, and taking turns.
//
//	go run ./tools/bench/queuesim [-only NAMES] [-full] [-seed N]          a table, or with -full one for each scenario
//	go run ./tools/bench/queuesim -sweep lead=0.1,0.25,0.5 [-only NAMES]    ours with other parameters
//	go run ./tools/bench/queuesim -grid                                    requests alike, by load and in closed loops, ours beside FIFO
//	go run ./tools/bench/queuesim -trace FILE                              a recorded trace; simulate.Recorded has the format
//
// Tables are Markdown, on standard output. Exit status: 0 fine, 1 a run failed, 2 wrong usage.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/metalrank/metalrank/engine/schedule/simulate"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

type options struct {
	only   []string
	full   bool
	seed   uint64
	window time.Duration
	sweep  string
	trace  string
	grid   bool

	parameter parameter // that is swept
	values    []float64
}

func run(args []string, out, errOut io.Writer) int {
	o, err := parse(args, errOut)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(errOut, "queuesim:", err)
		return 2
	}
	if err := o.print(out, errOut); err != nil {
		fmt.Fprintln(errOut, "queuesim:", err)
		return 1
	}
	return 0
}

func parse(args []string, errOut io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("queuesim", flag.ContinueOnError)
	flags.SetOutput(errOut)
	var names []string
	for _, s := range simulate.Scenarios() {
		names = append(names, s.Name)
	}
	only := flags.String("only", "", "scenarios, with commas between; empty: all but the day: "+strings.Join(names, ", "))
	flags.BoolVar(&o.full, "full", false, "every table of every scenario")
	flags.Uint64Var(&o.seed, "seed", 1, "of the traces")
	flags.DurationVar(&o.window, "window", 50*time.Millisecond, "of dynamic batching")
	flags.StringVar(&o.sweep, "sweep", "", "a parameter of the scheduler and values, as in lead=0.1,0.5: "+
		strings.Join(parameterNames(), ", "))
	flags.BoolVar(&o.grid, "grid", false, "ours and FIFO where all requests have as many documents, by load and clients, and in closed loops")
	flags.StringVar(&o.trace, "trace", "", "a file with a recorded trace, to run on one model and one device")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("want nothing after the flags, got %q", flags.Arg(0))
	}
	if o.window <= 0 {
		return nil, fmt.Errorf("-window is %v, want more than 0", o.window)
	}
	if o.grid && (*only != "" || o.sweep != "" || o.trace != "" || o.full) {
		return nil, errors.New("-grid goes with no other table")
	}
	if o.trace != "" && (*only != "" || o.sweep != "") {
		return nil, errors.New("-trace goes with neither -only nor -sweep")
	}
	if o.only = strings.FieldsFunc(*only, func(r rune) bool { return r == ',' }); len(o.only) == 0 {
		o.only = slices.DeleteFunc(names, func(name string) bool { return name == "day" })
	}
	for _, name := range o.only {
		if !slices.ContainsFunc(simulate.Scenarios(), func(s simulate.Scenario) bool { return s.Name == name }) {
			return nil, fmt.Errorf("-only: there is no scenario %q, but %s", name, strings.Join(names, ", "))
		}
	}
	if o.sweep == "" {
		return o, nil
	}
	var err error
	o.parameter, o.values, err = parseSweep(o.sweep)
	return o, err
}

// policy is one to compare.
type policy struct {
	name string
	new  simulate.NewPolicy
}

func (o *options) policies() []policy {
	return []policy{
		{"ours", simulate.Ours},
		{fmt.Sprintf("window of %v", o.window), simulate.Window(o.window)},
		{"FIFO", simulate.FIFO},
		{"shortest", simulate.Shortest},
		{"turns", simulate.Turns},
	}
}

// result is a policy's report of a scenario.
type result struct {
	scenario simulate.Scenario
	name     string
	report   *simulate.Report
}

func (o *options) print(out, errOut io.Writer) error {
	switch {
	case o.grid:
		return printGrid(out)
	case o.trace != "":
		return o.printRecorded(out)
	case o.sweep != "":
		return o.printSweep(out)
	}
	var results []result
	for _, s := range o.scenarios() {
		for _, p := range o.policies() {
			begin := time.Now()
			report, err := s.Run(o.seed, p.new, nil)
			if err != nil {
				return err
			}
			fmt.Fprintf(errOut, "queuesim: %s, %s: %d requests in %.1f s\n",
				s.Name, p.name, report.Requests, time.Since(begin).Seconds())
			results = append(results, result{s, p.name, report})
		}
	}
	printSummary(out, results)
	if o.full {
		printFull(out, results)
	}
	return nil
}

// scenarios returns the selected scenarios.
func (o *options) scenarios() []simulate.Scenario {
	return slices.DeleteFunc(simulate.Scenarios(), func(s simulate.Scenario) bool { return !slices.Contains(o.only, s.Name) })
}

func (o *options) printRecorded(out io.Writer) error {
	var results []result
	for _, p := range o.policies() {
		file, err := os.Open(o.trace)
		if err != nil {
			return err
		}
		config := simulate.OneModel()
		report, err := simulate.Run(config, p.new, simulate.NewRecorded(file, len(config.Models)))
		if err := errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("%s: %w", o.trace, err)
		}
		results = append(results, result{simulate.Scenario{Name: "recorded", About: o.trace}, p.name, report})
	}
	printSummary(out, results)
	printFull(out, results)
	return nil
}
