package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/metalrank/metalrank/cmd/metalrank/doctor"
)

// mostFaults bounds the faults that a text shows; JSON has all.
const mostFaults = 12

// rows writes rows of a table: a name and a text.
type rows func(name, format string, args ...any)

// printReport writes a block of text that can be pasted whole into a report of a fault.
func printReport(w io.Writer, r *doctor.Report) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := rows(func(name, format string, args ...any) { fmt.Fprintf(table, name+"\t"+format+"\n", args...) })
	row("metalrank", "%s, %s", r.Version, r.Time.Format(time.RFC3339))
	m := r.Machine
	row("machine", "%s; %d cores, %.1f GB; %s, %s", m.CPU, m.Cores, float64(m.MemoryBytes)/1e9, m.OS, m.System)
	if len(m.Features) > 0 {
		row("", "%s", strings.Join(m.Features, " "))
	}
	row("state", "%v", r.Before)
	if r.After != r.Before {
		row("", "at the end: %v", r.After)
	}
	for i := range r.Drivers {
		printDriver(row, &r.Drivers[i])
	}
	for i, g := range r.Goldens {
		name := heading(i, "goldens")
		if g.Error != "" {
			row(name, "%s: %s", g.System, oneLine(g.Error))
			continue
		}
		row(name, "%s: %d pairs; largest difference from transformers %.2g of %.2g allowed", g.System, g.Pairs, g.Difference, g.Allowed)
	}
	printSpeeds(row, r)
	if v := r.Validation; v != nil {
		row("validation", "%d cases, %d faults under Metal's validation layers (%.0f s) %s", v.Cases, len(v.Faults), v.Seconds, oneLine(v.Ended))
		for _, line := range v.Messages {
			row("", "%s", oneLine(line))
		}
	}
	for _, older := range r.Older {
		row("older", "%s", oneLine(older))
	}
	for _, note := range r.Notes {
		row("note", "%s", oneLine(note))
	}
	for _, fault := range r.Faults[:min(len(r.Faults), mostFaults)] {
		row("FAULT", "%s", oneLine(fault))
	}
	if more := len(r.Faults) - mostFaults; more > 0 {
		row("", "and %d more; --format json has them all", more)
	}
	row("verdict", "%s (%.0f s)", verdict(r), r.Seconds)
	return table.Flush()
}

// heading returns the name of a group of rows for its first row, and "" for the others.
func heading(i int, name string) string {
	if i > 0 {
		return ""
	}
	return name
}

func printSpeeds(row rows, r *doctor.Report) {
	for i, s := range r.Speeds {
		name := heading(i, "speed")
		if s.Error != "" {
			row(name, "%s: %s", s.System, oneLine(s.Error))
			continue
		}
		row(name, "%s: %.0f pairs/s of %.0f tokens (%.0f to %.0f in %d rounds)", s.System, s.PairsPerSecond, s.TokensPerPair, s.Least, s.Most, s.Rounds)
	}
	for i, l := range r.Latencies {
		times := []string{fmt.Sprintf("%.2f ms", l.HotMS)}
		for _, p := range l.Idle {
			times = append(times, fmt.Sprintf("after %g s of idling %.2f ms", p.Seconds, p.MS))
		}
		row(heading(i, "latency"), "%s: %d pairs, %s %s", l.System, l.Pairs, strings.Join(times, "; "), oneLine(l.Error))
	}
}

func printDriver(row rows, d *doctor.Driver) {
	if d.Absent {
		row("kernels", "%s: not examined", d.Name)
		return
	}
	device := append([]string{d.Device, d.Architecture}, d.Families...)
	row("kernels", "%s: %s", d.Name, strings.Join(slices.DeleteFunc(device, func(s string) bool { return s == "" }), " "))
	if d.Cores > 0 {
		row("", "%d cores", d.Cores)
	}
	if d.Compiler != "" {
		row("", "built by %s", d.Compiler)
	}
	row("", "%d cases, %d wrong (%.0f s)", d.Cases, len(d.Failures), d.Seconds)
	for i, lane := range d.Lanes {
		row(heading(i, "lanes"), "%s", oneLine(lane))
	}
	if d.NotMeasured != "" {
		row("", "limits, pipelines and times: not measured: %s", d.NotMeasured)
		return
	}
	if l := d.Limits; l != nil {
		row("limits", "%d threads and %d bytes of memory in a threadgroup, execution width %d", l.MaxThreads, l.ThreadgroupBytes, l.ExecutionWidth)
		row("", "%.1f GB in a buffer, %.1f GB in all; pages of %d bytes; one memory with the CPU: %v",
			float64(l.BufferBytes)/1e9, float64(l.WorkingSetBytes)/1e9, l.PageBytes, l.UnifiedMemory)
	}
	printPipelines(row, d)
	printTimes(row, d.Times)
}

// printPipelines lists the kernels that may have fewer threads than the device allows.
func printPipelines(row rows, d *doctor.Driver) {
	var compile float64
	precompiled, specialised := 0, 0
	for _, s := range d.Sources {
		compile += s.CompileMS
	}
	for _, p := range d.Pipelines {
		compile += p.CompileMS
		specialised += p.Specialised
		if p.Precompiled {
			precompiled++
		}
	}
	row("pipelines", "%d of %d kernels, %d of these from a metallib; compiled in %.0f ms", specialised, len(d.Pipelines), precompiled, compile)
	for _, p := range d.Pipelines {
		if d.Limits != nil && p.MaxThreads < d.Limits.MaxThreads {
			row("", "%s: %d threads, %d bytes of static threadgroup memory", p.Kernel, p.MaxThreads, p.MemoryBytes)
		}
	}
}

func printTimes(row rows, t *doctor.Times) {
	if t == nil {
		return
	}
	for i, name := range slices.Sorted(maps.Keys(t.Rates)) {
		row(heading(i, "peaks"), "%s: %.4g G/s", name, t.Rates[name]/1e9)
	}
	row("costs", "%.1f µs for one more dispatch, %.0f µs for a list with an empty kernel, %.0f µs for an empty list", t.DispatchUS, t.ListUS, t.EmptyUS)
	for i := range t.Shapes {
		s := &t.Shapes[i]
		var variants []string
		for _, v := range s.Variants {
			text := fmt.Sprintf("%.1f µs", v.US)
			if v.Error != "" {
				text = oneLine(v.Error)
			}
			variants = append(variants, strings.TrimSpace(v.Name+" "+text))
		}
		row(heading(i, "times"), "%s: %s; %.0f %% of the roof", s, strings.Join(variants, ", "), s.PercentOfRoof)
	}
	if t.Error != "" {
		row("", "not measured: %s", oneLine(t.Error))
	}
}

// printDifferences writes the items in which two reports differ.
func printDifferences(w io.Writer, before, after *doctor.Report) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "item\tbefore\tafter\tafter/before")
	for _, d := range doctor.Compare(before, after) {
		change := ""
		if d.Change > 0 {
			change = fmt.Sprintf("%.2f", d.Change)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", oneLine(d.Item), dash(d.Old), dash(d.New), change)
	}
	return table.Flush()
}

// dash returns "-" for a value that is missing.
func dash(text string) string { return cmp.Or(oneLine(text), "-") }

// verdict sums up a report in a sentence.
func verdict(r *doctor.Report) string {
	if !r.Healthy() {
		return "NOT WELL: don't trust what is named above; please report this block"
	}
	for _, d := range r.Drivers {
		if !d.Absent && !d.Simulated {
			return "well: the GPU and the CPU compute what they should"
		}
	}
	for _, d := range r.Drivers {
		if !d.Absent {
			return "well: the CPU computes what it should, and so do the kernels in the simulator; no GPU was examined"
		}
	}
	return "well, as far as could be seen: the CPU computes what it should; the kernels were not examined"
}
