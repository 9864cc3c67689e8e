// Command kprof profiles a forward pass. For each kernel and each layer it prints time, calls, FLOPs, bytes, and the
// share of the rate that the device can reach at that intensity.
//
//	kprof --backend cpu                      the embedded model on the CPU, by cycle counters inside the workers
//	kprof --backend sim                      counters of the Metal kernels, in the simulator: no times
//	kprof --backend metal                    the same kernels on a GPU, by its own clock
//	kprof --backend cpu --roofline DIR       and a picture of it: SVG, PNG and a page
//	kprof --backend sim --shapes             single operations over the kernels' table of cases
//	kprof --backend metal --sweep-tiles      tiles for each shape, as kernels/tiles.go takes them
//	kprof --tunings FILE                     the same from a report of metalrank doctor
//	kprof --budget                           counters of the kernels, beside the repository's limits for them
//
// Tables go to standard output. Exit status: 0 fine, 1 failed, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// options are the flags of the command line.
type options struct {
	backend   string
	precision string
	model     string
	workers   int
	lengths   string
	rounds    int
	only      string

	shapes, sweep, budget, update bool
	json                          bool
	roofline, folded, capture     string
	tunings                       string
}

func parse(args []string, errOut io.Writer) (*options, error) {
	var o options
	flags := flag.NewFlagSet("kprof", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.StringVar(&o.backend, "backend", "cpu", "what is profiled: cpu, sim or metal")
	flags.StringVar(&o.precision, "precision", "", "cpu: fp32 (the default), bf16, int8; sim and metal: fp16 (the default), fp32")
	flags.StringVar(&o.model, "model", "", "checkpoint `folder`; empty: the embedded model")
	flags.IntVar(&o.workers, "workers", 0, "cpu: threads; 0: one a core")
	flags.StringVar(&o.lengths, "lengths", "", "tokens of the sequences, as 32x128 or 64,17,9; empty: 32x128, in the simulator 2x32")
	flags.IntVar(&o.rounds, "rounds", 9, "passes, of which the median is shown; the simulator needs one")
	flags.StringVar(&o.only, "only", "", "with --shapes and --budget: cases whose name has this `text`")
	flags.BoolVar(&o.shapes, "shapes", false, "profile single operations over the kernels' table of cases")
	flags.BoolVar(&o.sweep, "sweep-tiles", false, "try every tile on shapes of models; print the table for kernels/tiles.go")
	flags.StringVar(&o.tunings, "tunings", "", "print the table for kernels/tiles.go from this `file`, a report of metalrank doctor --format=json")
	flags.BoolVar(&o.budget, "budget", false, "count what kernels do, and compare with the budget")
	flags.BoolVar(&o.update, "update", false, "with --budget: write what was counted to the budget `file` of this checkout")
	flags.BoolVar(&o.json, "json", false, "print JSON")
	flags.StringVar(&o.roofline, "roofline", "", "write roofline.svg, .png and .html, light and dark, to this `folder`")
	flags.StringVar(&o.folded, "folded", "", "write stacks for a flame graph to this `file`")
	flags.StringVar(&o.capture, "capture", "", "metal: record one pass to this `file`, a .gputrace for Xcode")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	return &o, o.check(flags.Args())
}

func (o *options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("nothing goes after the flags, but there is %q", rest[0])
	case !slices.Contains([]string{"cpu", "sim", "metal"}, o.backend):
		return fmt.Errorf("--backend is %q, want cpu, sim or metal", o.backend)
	case o.rounds < 1 || o.rounds > maxRounds:
		return fmt.Errorf("--rounds is %d, want 1 to %d", o.rounds, maxRounds)
	case o.workers < 0 || o.workers > maxWorkers:
		return fmt.Errorf("--workers is %d, want 0 to %d", o.workers, maxWorkers)
	case o.backend == "cpu" && !slices.Contains([]string{"", "fp32", "bf16", "int8"}, o.precision):
		return fmt.Errorf("--precision is %q, want fp32, bf16 or int8 on the CPU", o.precision)
	case o.backend == "cpu" && (o.shapes || o.sweep):
		return errors.New("--shapes and --sweep-tiles are of the Metal kernels: they want --backend sim or metal")
	case o.update && !o.budget:
		return errors.New("--update goes with --budget")
	case o.capture != "" && o.backend != "metal":
		return errors.New("--capture wants --backend metal")
	case o.roofline != "" && o.backend == "sim":
		return errors.New("--roofline wants times, and the simulator has none")
	}
	return nil
}

const (
	maxRounds  = 1000
	maxWorkers = 1024 // the most that the CPU backend takes
)

func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	o, err := parse(args, errOut)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(errOut, "kprof:", err)
		return 2
	}
	work := profilePass
	switch {
	case o.budget:
		work = showBudget
	case o.tunings != "":
		work = showTunings
	case o.sweep:
		work = sweepTiles
	case o.shapes:
		work = profileShapes
	}
	if o.capture != "" {
		err = withCapture()
	}
	if err == nil {
		err = work(ctx, o, out, errOut)
	}
	if err != nil {
		fmt.Fprintln(errOut, "kprof:", strings.TrimPrefix(err.Error(), "kprof: "))
		return 1
	}
	return 0
}
