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
	"fmt"
	"slices"

	"github.com/metalrank/metalrank/cmd/cli"
)

func main() { cli.Main(run) }

// options are the flags of the command line.
type options struct {
	Backend   string `help:"What is profiled: cpu, sim or metal." default:"cpu"`
	Precision string `help:"cpu: fp32 (the default), bf16, int8; sim and metal: fp16 (the default), fp32." placeholder:"P"`
	Model     string `help:"Checkpoint folder. Default: the embedded model." placeholder:"DIR"`
	Workers   int    `help:"cpu: threads; 0: one a core." placeholder:"N"`
	Lengths   string `help:"Tokens of the sequences, as 32x128 or 64,17,9. Default: 32x128, in the simulator 2x32." placeholder:"LENGTHS"`
	Rounds    int    `help:"Passes, of which the median is shown; the simulator needs one." default:"9"`
	Only      string `help:"With --shapes and --budget: cases whose name has this text." placeholder:"TEXT"`

	Shapes     bool   `help:"Profile single operations over the kernels' table of cases."`
	SweepTiles bool   `help:"Try every tile on shapes of models; print the table for kernels/tiles.go."`
	Tunings    string `help:"Print the table for kernels/tiles.go from this file, a report of metalrank doctor --format=json." placeholder:"FILE"`
	Budget     bool   `help:"Count the work of the kernels, and compare with the budget."`
	Update     bool   `help:"With --budget: write the counts to the budget file of this checkout."`
	JSON       bool   `name:"json" help:"Print JSON."`
	Roofline   string `help:"Write roofline.svg, .png and .html, light and dark, to this folder." placeholder:"DIR"`
	Folded     string `help:"Write stacks for a flame graph to this file." placeholder:"FILE"`
	Capture    string `help:"metal: record one pass to this file, a .gputrace for Xcode." placeholder:"FILE"`
}

// Validate is called by kong.
func (o *options) Validate() error {
	switch {
	case !slices.Contains([]string{"cpu", "sim", "metal"}, o.Backend):
		return fmt.Errorf("--backend is %q, want cpu, sim or metal", o.Backend)
	case o.Rounds < 1 || o.Rounds > maxRounds:
		return fmt.Errorf("--rounds is %d, want 1 to %d", o.Rounds, maxRounds)
	case o.Workers < 0 || o.Workers > maxWorkers:
		return fmt.Errorf("--workers is %d, want 0 to %d", o.Workers, maxWorkers)
	case o.Backend == "cpu" && !slices.Contains([]string{"", "fp32", "bf16", "int8"}, o.Precision):
		return fmt.Errorf("--precision is %q, want fp32, bf16 or int8 on the CPU", o.Precision)
	case o.Backend == "cpu" && (o.Shapes || o.SweepTiles):
		return errors.New("--shapes and --sweep-tiles are of the Metal kernels: they want --backend sim or metal")
	case o.Update && !o.Budget:
		return errors.New("--update goes with --budget")
	case o.Capture != "" && o.Backend != "metal":
		return errors.New("--capture wants --backend metal")
	case o.Roofline != "" && o.Backend == "sim":
		return errors.New("--roofline wants times, and the simulator has none")
	}
	return nil
}

const (
	maxRounds  = 1000
	maxWorkers = 1024 // the most that the CPU backend takes
)

func run(ctx context.Context, args []string, std cli.Streams) int {
	return cli.Run(ctx, cli.Program{Name: "kprof", Description: "Profiles a forward pass.", Grammar: &options{}}, args, std)
}

// Run is called by cli.Run.
func (o *options) Run(ctx context.Context, std cli.Streams) error {
	work := profilePass
	switch {
	case o.Budget:
		work = showBudget
	case o.Tunings != "":
		work = showTunings
	case o.SweepTiles:
		work = sweepTiles
	case o.Shapes:
		work = profileShapes
	}
	if o.Capture != "" {
		if err := withCapture(); err != nil {
			return err
		}
	}
	return work(ctx, o, std.Out, std.Err)
}
