package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/metalrank/metalrank/cmd/metalrank/doctor"
	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/kernels/selftest"
	"github.com/metalrank/metalrank/kernels/tune"
	"github.com/metalrank/metalrank/metal"
)

// sweptShapes are the products of MiniLM.
var sweptShapes = selftest.Products(kernels.F16, 384)

// Rows that are tried: of a small request, of one document, and up to a full batch. The simulator takes the first few.
var (
	sweptRows     = []int{8, 32, 128, 512, 2048, 4096}
	simulatedRows = []int{8, 32, 128}
)

// tried is one variant on one shape.
type tried struct {
	variant string
	row     row
	cost    float64
}

// sweepTiles tries every variant on every shape, and prints the results and the lines for kernels/tiles.go.
func sweepTiles(ctx context.Context, o *options, out, errOut io.Writer) (err error) {
	r, err := openCases(o.Backend, o.Rounds)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	device := r.device.Info()
	rows := sweptRows
	how := fmt.Sprintf("measured by kprof --sweep-tiles on %s, %s", device.Name, time.Now().Format(time.DateOnly))
	if device.Simulated {
		rows, how = simulatedRows, "counted by kprof --sweep-tiles in the simulator: FLOPs, then bytes. This is no measurement"
	}
	table := newTable(out)
	fmt.Fprint(table, "product\tms\tMFLOP executed\tMB\tthreadgroups\toccupancy\t\n")
	var choices []kernels.Choice
	for _, s := range sweptShapes {
		if o.Precision == "fp32" {
			s.Type = kernels.F32
		}
		for i, m := range rows {
			g := selftest.ProductOf(s, m)
			fmt.Fprintf(errOut, "kprof: %s\n", g.Case().Name)
			all, err := try(ctx, r, g)
			if err != nil {
				return err
			}
			best := 0
			for j, t := range all {
				if t.cost < all[best].cost {
					best = j
				}
				printTried(table, &t)
			}
			choice := kernels.Choice{Shape: g.Shape(), Rows: m, Variant: all[best].variant}
			if i == len(rows)-1 {
				choice.Rows = math.MaxInt
			}
			choices = append(choices, choice)
		}
	}
	_ = table.Flush() // a write that fails shows in out
	fmt.Fprintln(out)
	printTunings(out, how, device.Name, choices)
	return nil
}

// printTunings prints lines for kernels/tiles.go.
func printTunings(out io.Writer, how, device string, choices []kernels.Choice) {
	fmt.Fprintf(out, "// for kernels/tiles.go\nvar tunings = map[string][]Choice{\n\t// %s.\n%s}\n", how, tune.Source(device, choices))
}

// showTunings prints the lines that follow from a report of `metalrank doctor --format=json`.
func showTunings(_ context.Context, o *options, out, _ io.Writer) error {
	file, err := os.Open(o.Tunings)
	if err != nil {
		return err
	}
	defer file.Close()
	report, err := doctor.Read(file)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Tunings, err)
	}
	how := fmt.Sprintf("measured by metalrank doctor %s, %s", report.Version, report.Time.Format(time.DateOnly))
	for i := range report.Drivers {
		if choices := report.Drivers[i].Choices(); len(choices) > 0 {
			printTunings(out, how, report.Drivers[i].Device, choices)
			return nil
		}
	}
	return fmt.Errorf("%s: the report has no times of variants: no GPU was measured", o.Tunings)
}

// try runs a product by each variant that fits the device.
func try(ctx context.Context, r *caseRunner, g selftest.Gemm) ([]tried, error) {
	variants := kernels.Candidates(g.Shape(), r.device.Info())
	var all []tried
	for i, c := range g.Variants(variants) {
		found, err := r.run(ctx, &c)
		if _, tooLarge := errors.AsType[*metal.LimitError](err); tooLarge {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, tried{variants[i].String(), found, found.tileCost()})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no variant of %s fits %s", g.Case().Name, r.device.Info().Name)
	}
	return all, nil
}

// tileCost returns the cost by which a variant is chosen: time, or without a time FLOPs, with bytes to break ties.
func (r *row) tileCost() float64 {
	if r.Time > 0 {
		return r.Time.Seconds()
	}
	return r.Executed + r.Bytes*1e-3
}

func printTried(out io.Writer, t *tried) {
	c := t.row.Counters
	if c == nil {
		c = &counters{}
	}
	fmt.Fprintf(out, "%s\t%.3f\t%.2f\t%.3f\t%d\t%.0f %%\t\n", t.row.Name, ms(t.row.Time.Seconds()),
		t.row.Executed/1e6, t.row.Bytes/1e6, c.Threadgroups, 100*c.Occupancy)
}
