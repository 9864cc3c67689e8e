package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/internal/outfile"
)

func writeJSON(out io.Writer, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", data)
	return err
}

// printProfile writes the tables by kernel and by layer, and the peaks that they are measured against.
func printProfile(out io.Writer, p *profile) {
	fmt.Fprintf(out, "%s, %s, %s: %d sequences, %d tokens\n%s\n", p.Model, p.Backend, p.Precision, p.Sequences, p.Tokens, p.Device)
	if p.Wall > 0 {
		fmt.Fprintf(out, "pass: %.3f ms (median of %d, p95 %.3f ms); rows add up to %.1f %% of it\n", ms(p.Wall.Seconds()), p.Rounds,
			ms(p.Worst.Seconds()), 100*ratio(total(p.Rows).Time.Seconds(), p.Wall.Seconds()))
	}
	for _, part := range []struct {
		title string
		rows  []row
	}{{"kernel", byKernel(p.Rows)}, {"layer", byLayer(p.Rows)}} {
		fmt.Fprintln(out)
		if p.Wall > 0 {
			printTimes(out, p, part.title, part.rows)
		} else {
			printCounters(out, part.title, part.rows)
		}
	}
	if p.Roofline != nil {
		fmt.Fprintln(out)
		printRoofline(out, p.Roofline)
	}
}

func ms(seconds float64) float64 { return 1e3 * seconds }

// label returns the text at the head of a row.
func label(title string, r *row) string {
	switch {
	case title != "layer":
		return r.Name
	case r.Layer == cost.NoLayer:
		return "none"
	}
	return fmt.Sprint(r.Layer)
}

func newTable(out io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
}

func printTimes(out io.Writer, p *profile, title string, rows []row) {
	table := newTable(out)
	fmt.Fprintf(table, "%s\tms\t%%\tcalls\tGFLOP\texecuted\tMB\tFLOP/B\tGFLOP/s\tGB/s\t%% of roof\t\n", title)
	for _, r := range append(rows, total(rows)) {
		name := label(title, &r)
		if r.Name == "all" {
			name = "all"
		}
		fmt.Fprintf(table, "%s\t%.3f\t%.1f\t%d\t%.3f\t%.3f\t%.2f\t%.1f\t%.1f\t%.1f\t%.1f\t\n", name,
			ms(r.Time.Seconds()), 100*ratio(r.Time.Seconds(), p.Wall.Seconds()), r.Calls, r.FLOPs/1e9, r.Executed/1e9,
			r.Bytes/1e6, r.intensity(), r.flopRate()/1e9, r.byteRate()/1e9, p.Roofline.percent(&r))
	}
	_ = table.Flush() // a write that fails shows in out
}

// printCounters prints counters, for the simulator, which has no times.
func printCounters(out io.Writer, title string, rows []row) {
	table := newTable(out)
	fmt.Fprintf(table, "%s\tdispatches\tbarriers\tMFLOP\texecuted\t÷\tMB\tunique\tleast\t÷\tthreadgroup MB\tMMAs\tFLOP/B\toccupancy\t\n", title)
	for _, r := range append(rows, total(rows)) {
		name := label(title, &r)
		if r.Name == "all" {
			name = "all"
		}
		c := r.Counters
		if c == nil {
			c = &counters{}
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%.2f\t%.2f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%d\t%.1f\t%.0f %%\t\n", name,
			c.Dispatches, c.ThreadgroupBarriers, r.FLOPs/1e6, r.Executed/1e6, ratio(r.Executed, r.FLOPs),
			c.deviceBytes()/1e6, c.uniqueBytes()/1e6, r.Least/1e6, ratio(c.uniqueBytes(), r.Least),
			c.threadgroupBytes()/1e6, c.MatrixMultiplies, r.intensity(), 100*c.Occupancy)
	}
	_ = table.Flush() // a write that fails shows in out
}

func printRoofline(out io.Writer, l *roofline) {
	fmt.Fprintln(out, "measured peaks; the first of each kind is the roof:")
	table := newTable(out)
	for _, c := range l.Compute {
		fmt.Fprintf(table, "  %s\t%.1f\tGFLOP/s\t\n", c.Name, c.Rate/1e9)
	}
	for _, m := range l.Memory {
		fmt.Fprintf(table, "  %s\t%.1f\tGB/s\t\n", m.Name, m.Rate/1e9)
	}
	for name, seconds := range l.Costs {
		fmt.Fprintf(table, "  %s\t%.2f\tµs\t\n", name, 1e6*seconds)
	}
	_ = table.Flush() // a write that fails shows in out
}

// writeFolded writes a line `pass;layer;kernel weight` for each row, the input of flame graphs. The weight is in
// nanoseconds, or in the simulator in bytes of the device's memory.
func writeFolded(path string, p *profile) error {
	var text strings.Builder
	for i := range p.Rows {
		r := &p.Rows[i]
		weight := float64(r.Time.Nanoseconds())
		if p.Wall == 0 {
			weight = r.Bytes
		}
		layer := "layer " + label("layer", r)
		if r.Layer == cost.NoLayer {
			layer = "no layer"
		}
		fmt.Fprintf(&text, "%s %s;%s;%s %.0f\n", p.Backend, p.Precision, layer, r.Name, weight)
	}
	return outfile.WriteBytes(path, []byte(text.String()))
}
