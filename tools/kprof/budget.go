package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/metalrank/metalrank/internal/outfile"
	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/kernels/selftest"
)

// budgetPath is the file of a checkout that --update writes.
const budgetPath = "tools/kprof/budget.tsv"

//go:embed budget.tsv
var budgetText string

// budgeted are the counters that have a budget: the costs of a kernel that are the same on every device.
var budgeted = []struct {
	name string
	of   func(*counters) uint64
}{
	{"dispatches", func(c *counters) uint64 { return c.Dispatches }},
	{"device_read", func(c *counters) uint64 { return c.DeviceReadBytes }},
	{"device_written", func(c *counters) uint64 { return c.DeviceWrittenBytes }},
	{"unique", func(c *counters) uint64 { return c.DeviceReadUniqueBytes + c.DeviceWrittenUniqueBytes }},
	{"threadgroup_read", func(c *counters) uint64 { return c.ThreadgroupReadBytes }},
	{"threadgroup_written", func(c *counters) uint64 { return c.ThreadgroupWrittenBytes }},
	{"barriers", func(c *counters) uint64 { return c.ThreadgroupBarriers }},
	{"mmas", func(c *counters) uint64 { return c.MatrixMultiplies }},
}

// slack is the fraction by which a counter may exceed its budget: compiler releases differ in the values they keep in
// registers.
const slack = 0.02

// budgetCases returns cases of each kernel, in half precision, on shapes of MiniLM that take the simulator seconds.
func budgetCases() []selftest.Case {
	d := kernels.F16
	cases := selftest.Shapes(d, 64)
	// A product of the last layer for eight requests, as it is and with K split.
	few := selftest.Gemm{DType: d, M: 8, N: 384, K: 384, GatherA: true, FewRows: true}
	cases = append(cases, few.Variants([]kernels.Variant{
		{Rows: 8, Columns: 32, Depth: 32}, {Rows: 8, Columns: 32, Depth: 32, Split: 4}, {Rows: 8, Columns: 16, Depth: 32, Split: 4},
		{Rows: 8, Columns: 32, Depth: 32, Split: 8},
	})...)
	return append(cases,
		selftest.Attention{DType: d, Heads: 12, HeadSize: 32, Lengths: []int{30, 64, 7}, First: true}.Case(),
		selftest.Attention{DType: d, Heads: 4, HeadSize: 64, Lengths: []int{100}}.Case(),
		selftest.Attention{DType: d, Heads: 4, HeadSize: 64, Lengths: []int{300}, Window: 64}.Case(),
		selftest.Attention{DType: d, Heads: 4, HeadSize: 64, Lengths: []int{100}, PositionKeys: true, PositionQueries: true, Reach: 64}.Case(),
		selftest.Attention{DType: d, Heads: 4, KeyHeads: 2, HeadSize: 128, Lengths: []int{40, 100}, Causal: true, Prefixes: []int32{-1, 0}}.Case(),
		selftest.HeadNorm{DType: d, M: 64, Queries: 4, Keys: 2, Size: 128, Behind: 256, Turned: true}.Case(),
		selftest.Embed{DType: d, T: 64, H: 384, Without: "positions types norm", Waiting: true}.Case(),
		selftest.Gemm{DType: d, M: 64, N: 384, K: 384, Bits: 4, GroupSize: 64}.Case(),
		selftest.Gemm{DType: d, M: 64, N: 384, K: 384, Bits: 8, GroupSize: 64}.Case(),
		selftest.Gemm{DType: d, M: 32, N: 384, K: 384, Bits: 4, GroupSize: 64, Norm: true, Residual: true}.Case(),
		selftest.Norm{DType: d, M: 64, H: 384, Residual: true}.Case(),
		selftest.Embed{DType: d, T: 64, H: 384}.Case(),
		selftest.Embed{DType: d, T: 64, H: 384, Bits: 4, GroupSize: 64}.Case(),
		selftest.Head{DType: d, B: 16, H: 384, C: 1, Activation: kernels.Tanh, Gather: true}.Case(),
	)
}

// entry is a case's counters, in the order of budgeted.
type entry []uint64

// parseBudget parses the output of formatBudget.
func parseBudget(text string) (map[string]entry, error) {
	budget := map[string]entry{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		fields := strings.Split(lines.Text(), "\t")
		if n == 1 || len(fields) == 1 && fields[0] == "" {
			continue // the heads of the columns
		}
		if len(fields) != 1+len(budgeted) {
			return nil, fmt.Errorf("budget: line %d has %d columns, want %d", n, len(fields), 1+len(budgeted))
		}
		e := make(entry, len(budgeted))
		for i := range e {
			var err error
			if e[i], err = strconv.ParseUint(fields[1+i], 10, 64); err != nil {
				return nil, fmt.Errorf("budget: line %d: %s is %q, want a number", n, budgeted[i].name, fields[1+i])
			}
		}
		budget[fields[0]] = e
	}
	return budget, lines.Err()
}

func formatBudget(rows []row) string {
	var text strings.Builder
	text.WriteString("case")
	for _, b := range budgeted {
		text.WriteString("\t" + b.name)
	}
	for i := range rows {
		text.WriteString("\n" + rows[i].Name)
		for _, b := range budgeted {
			fmt.Fprintf(&text, "\t%d", b.of(rows[i].Counters))
		}
	}
	return text.String() + "\n"
}

// countBudget runs the cases in the simulator.
func countBudget(ctx context.Context, r *caseRunner, cases []selftest.Case) ([]row, error) {
	rows := make([]row, len(cases))
	for i := range cases {
		var err error
		if rows[i], err = r.run(ctx, &cases[i]); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// overruns lists the counters of rows that are above the budget, and the rows that have no budget.
func overruns(rows []row, budget map[string]entry) []string {
	var found []string
	for i := range rows {
		allowed, ok := budget[rows[i].Name]
		if !ok {
			found = append(found, rows[i].Name+": has no budget")
			continue
		}
		for j, b := range budgeted {
			if got := b.of(rows[i].Counters); float64(got) > float64(allowed[j])*(1+slack) {
				found = append(found, fmt.Sprintf("%s: %s is %d, the budget %d", rows[i].Name, b.name, got, allowed[j]))
			}
		}
	}
	return found
}

// showBudget runs the cases, prints their counters beside the least bytes that have to move, and fails if a counter is
// above its budget.
func showBudget(ctx context.Context, o *options, out, errOut io.Writer) (err error) {
	r, err := openCases("sim", 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	rows, err := countBudget(ctx, r, chosenCases(budgetCases(), o.Only))
	if err != nil {
		return err
	}
	if o.JSON {
		err = writeJSON(out, rows)
	} else {
		printCounters(out, "operation", rows)
	}
	if err != nil {
		return err
	}
	if o.Update {
		if o.Only != "" {
			return errors.New("--update writes all cases: it goes without --only")
		}
		fmt.Fprintf(errOut, "kprof: writing %s\n", budgetPath)
		return outfile.WriteBytes(budgetPath, []byte(formatBudget(rows)))
	}
	budget, err := parseBudget(budgetText)
	if err != nil {
		return err
	}
	if found := overruns(rows, budget); len(found) > 0 {
		return fmt.Errorf("%d counters are above the budget:\n  %s", len(found), strings.Join(found, "\n  "))
	}
	return nil
}
