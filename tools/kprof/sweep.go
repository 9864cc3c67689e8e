package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/kernels/selftest"
	"github.com/metalrank/metalrank/kernels/tune"
	"github.com/metalrank/metalrank/metal"
)

// sweptShape is a matrix product of a model, tried with several numbers of rows.
type sweptShape struct {
	norm bool
	n, k int
}

// sweptShapes are the products of MiniLM (H 384, F 1536): queries, keys and values; keys and values; inner; attention's
// output; outer.
var sweptShapes = []sweptShape{{false, 1152, 384}, {false, 768, 384}, {false, 1536, 384}, {true, 384, 384}, {true, 384, 1536}}

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
	r, err := openCases(o.backend, o.rounds)
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
		for i, m := range rows {
			g := selftest.Gemm{DType: kernels.F16, M: m, N: s.n, K: s.k, Norm: s.norm, Residual: s.norm}
			if o.precision == "fp32" {
				g.DType = kernels.F32
			}
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
	fmt.Fprintf(out, "\n// for kernels/tiles.go\nvar tunings = map[string][]Choice{\n\t// %s.\n%s}\n", how, tune.Source(device.Name, choices))
	return nil
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
