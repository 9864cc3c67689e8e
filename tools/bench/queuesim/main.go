// Command queuesim compares the scheduler with the usual policies, in simulated time (engine/schedule/simulate): fixed-window
// dynamic batching, FIFO with a budget of tokens, shortest remaining work, and taking turns.
//
//	go run ./tools/bench/queuesim [--only NAMES] [-full] [--seed N]          a table, or with --full one for each scenario
//	go run ./tools/bench/queuesim --sweep lead=0.1,0.25,0.5 [--only NAMES]    ours with other parameters
//	go run ./tools/bench/queuesim --grid                                    requests alike, by load and in closed loops, ours beside FIFO
//	go run ./tools/bench/queuesim --trace FILE                              a recorded trace; simulate.Recorded has the format
//
// Tables are Markdown, on standard output. Exit status: 0 fine, 1 a run failed, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/engine/schedule/simulate"
)

func main() { cli.Main(run) }

type options struct {
	Only   []string      `help:"Scenarios, with commas between. Default: all but the day. ${scenarios}" placeholder:"NAMES"`
	Full   bool          `help:"Every table of every scenario."`
	Seed   uint64        `help:"Of the traces." default:"1"`
	Window time.Duration `help:"Of dynamic batching." default:"50ms"`
	Sweep  string        `help:"A parameter of the scheduler and values, as in lead=0.1,0.5: ${parameters}." placeholder:"NAME=VALUES"`
	Grid   bool          `help:"Ours and FIFO where all requests have as many documents, by load and clients, and in closed loops."`
	Trace  string        `help:"A file with a recorded trace, to run on one model and one device." placeholder:"FILE"`

	parameter parameter // that is swept
	values    []float64
}

func run(ctx context.Context, args []string, std cli.Streams) int {
	return cli.Run(ctx, cli.Program{Name: "queuesim", Description: "Compares the scheduler with the usual policies.", Grammar: &options{}}, args, std,
		kong.Vars{"scenarios": strings.Join(scenarioNames(), ", "), "parameters": strings.Join(parameterNames(), ", ")})
}

func scenarioNames() (names []string) {
	for _, s := range simulate.Scenarios() {
		names = append(names, s.Name)
	}
	return names
}

// Validate is called by kong.
func (o *options) Validate() (err error) {
	switch {
	case o.Window <= 0:
		return fmt.Errorf("--window is %v, want more than 0", o.Window)
	case o.Grid && (o.Only != nil || o.Sweep != "" || o.Trace != "" || o.Full):
		return errors.New("--grid goes with no other table")
	case o.Trace != "" && (o.Only != nil || o.Sweep != ""):
		return errors.New("--trace goes with neither --only nor --sweep")
	}
	names := scenarioNames()
	for _, name := range o.Only {
		if !slices.Contains(names, name) {
			return fmt.Errorf("--only: there is no scenario %q, but %s", name, strings.Join(names, ", "))
		}
	}
	if o.Only == nil {
		o.Only = slices.DeleteFunc(names, func(name string) bool { return name == "day" })
	}
	if o.Sweep != "" {
		o.parameter, o.values, err = parseSweep(o.Sweep)
	}
	return err
}

// policy is one to compare.
type policy struct {
	name string
	new  simulate.NewPolicy
}

func (o *options) policies() []policy {
	return []policy{
		{"ours", simulate.Ours},
		{fmt.Sprintf("window of %v", o.Window), simulate.Window(o.Window)},
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

// Run is called by cli.Run.
func (o *options) Run(std cli.Streams) error {
	out, errOut := std.Out, std.Err
	switch {
	case o.Grid:
		return printGrid(out)
	case o.Trace != "":
		return o.printRecorded(out)
	case o.Sweep != "":
		return o.printSweep(out)
	}
	var results []result
	for _, s := range o.scenarios() {
		for _, p := range o.policies() {
			begin := time.Now()
			report, err := s.Run(o.Seed, p.new, nil)
			if err != nil {
				return err
			}
			fmt.Fprintf(errOut, "queuesim: %s, %s: %d requests in %.1f s\n",
				s.Name, p.name, report.Requests, time.Since(begin).Seconds())
			results = append(results, result{s, p.name, report})
		}
	}
	printSummary(out, results)
	if o.Full {
		printFull(out, results)
	}
	return nil
}

// scenarios returns the selected scenarios.
func (o *options) scenarios() []simulate.Scenario {
	return slices.DeleteFunc(simulate.Scenarios(), func(s simulate.Scenario) bool { return !slices.Contains(o.Only, s.Name) })
}

func (o *options) printRecorded(out io.Writer) error {
	var results []result
	for _, p := range o.policies() {
		file, err := os.Open(o.Trace)
		if err != nil {
			return err
		}
		config := simulate.OneModel()
		report, err := simulate.Run(config, p.new, simulate.NewRecorded(file, len(config.Models)))
		if err := errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("%s: %w", o.Trace, err)
		}
		results = append(results, result{simulate.Scenario{Name: "recorded", About: o.Trace}, p.name, report})
	}
	printSummary(out, results)
	printFull(out, results)
	return nil
}
