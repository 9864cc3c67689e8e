package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/kernels/selftest"
)

// sweptShape is a matrix product of a model, tried with several numbers of rows.
type sweptShape struct {
	kernel string
	n, k   int
}

// sweptShapes are the products of MiniLM (H 384, F 1536): queries, keys and values; keys and values; inner; attention's
// output; outer.
var sweptShapes = []sweptShape{
	{"gemm", 1152, 384}, {"gemm", 768, 384}, {"gemm", 1536, 384}, {"gemm_norm", 384, 384}, {"gemm_norm", 384, 1536},
}

// Rows that are tried: of a small request, of one document, and up to a full batch. The simulator takes the first few.
var (
	sweptRows     = []int{8, 32, 128, 512, 2048, 4096}
	simulatedRows = []int{8, 32, 128}
)

// tried is one tile on one shape.
type tried struct {
	Tile string `json:"tile"`
	Row  row    `json:"row"`
	cost float64
}

// sweepTiles tries every tile on every shape, and prints the results and the lines for kernels/tiles.go.
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
	fmt.Fprint(table, "product\ttile\tms\tMFLOP executed\tMB\tthreadgroups\toccupancy\t\n")
	var lines []string
	for _, s := range sweptShapes {
		for i, m := range rows {
			fmt.Fprintf(errOut, "kprof: %s %dx%dx%d\n", s.kernel, m, s.n, s.k)
			all, err := s.try(ctx, r, m, o)
			if err != nil {
				return err
			}
			best := 0
			for j, t := range all {
				if t.cost < all[best].cost {
					best = j
				}
				printTried(table, s, m, &t)
			}
			limit := fmt.Sprint(m)
			if i == len(rows)-1 {
				limit = "math.MaxInt"
			}
			lines = append(lines, fmt.Sprintf("\t{%q, %q, %d, %d, %s, %q},", device.Name, s.kernel, s.n, s.k, limit, all[best].Tile))
		}
	}
	_ = table.Flush() // a write that fails shows in out
	fmt.Fprintf(out, "\n// for kernels/tiles.go\nvar tunings = []tuning{\n\t// %s.\n", how)
	for _, line := range lines {
		fmt.Fprintln(out, line)
	}
	fmt.Fprintln(out, "}")
	return nil
}

// try runs a product with each tile.
func (s sweptShape) try(ctx context.Context, r *caseRunner, m int, o *options) ([]tried, error) {
	dtype := kernels.F16
	if o.precision == "fp32" {
		dtype = kernels.F32
	}
	norm := s.kernel == "gemm_norm"
	c := selftest.Gemm{DType: dtype, M: m, N: s.n, K: s.k, Norm: norm, Residual: norm}.Case()
	var all []tried
	for _, name := range kernels.Tiles(s.kernel) {
		r.libraries[dtype].ForceTile(name)
		found, err := r.run(ctx, &c)
		r.libraries[dtype].ForceTile("")
		if err != nil {
			return nil, fmt.Errorf("tile %s: %w", name, err)
		}
		found.Layer, found.Name = cost.NoLayer, c.Name
		all = append(all, tried{name, found, found.tileCost()})
	}
	return all, nil
}

// tileCost returns the cost by which a tile is chosen: time, or without a time FLOPs, with bytes to break ties.
func (r *row) tileCost() float64 {
	if r.Time > 0 {
		return r.Time.Seconds()
	}
	return r.Executed + r.Bytes*1e-3
}

func printTried(out io.Writer, s sweptShape, m int, t *tried) {
	c := t.Row.Counters
	if c == nil {
		c = &counters{}
	}
	fmt.Fprintf(out, "%s %dx%dx%d\t%s\t%.3f\t%.2f\t%.3f\t%d\t%.0f %%\t\n", s.kernel, m, s.n, s.k, t.Tile, ms(t.Row.Time.Seconds()),
		t.Row.Executed/1e6, t.Row.Bytes/1e6, c.Threadgroups, 100*c.Occupancy)
}
