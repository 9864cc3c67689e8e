package main

import (
	"fmt"
	"io"
)

// column is a number of an entry that tables show; less is better in all of them.
type column struct {
	title string
	of    func(entry) uint64
}

var columns = []column{
	{"dispatches", func(e entry) uint64 { return uint64(e.dispatches) }},
	{"device bytes read", func(e entry) uint64 { return e.counters.DeviceReadBytes }},
	{"written", func(e entry) uint64 { return e.counters.DeviceWrittenBytes }},
	{"read + written, unique in each dispatch", func(e entry) uint64 {
		return e.counters.DeviceReadUniqueBytes + e.counters.DeviceWrittenUniqueBytes
	}},
	{"constant bytes read", func(e entry) uint64 { return e.counters.ConstantReadBytes }},
	{"threadgroup bytes read", func(e entry) uint64 { return e.counters.ThreadgroupReadBytes }},
	{"written ", func(e entry) uint64 { return e.counters.ThreadgroupWrittenBytes }},
	{"threadgroup barriers", func(e entry) uint64 { return e.counters.ThreadgroupBarriers }},
	{"simdgroup barriers", func(e entry) uint64 { return e.counters.SimdgroupBarriers }},
	{"simdgroup operations", func(e entry) uint64 { return e.counters.SimdgroupOperations }},
	{"MMAs", func(e entry) uint64 { return e.counters.MatrixMultiplies }},
}

// table writes p's entries as Markdown: a row for each number, a column for each contender. The cells of all but the
// first contender end with the first one's number as a multiple of theirs.
func table(out io.Writer, p *operation, entries []entry) {
	fmt.Fprintf(out, "### %s\n\n|", p.name)
	for _, e := range entries {
		fmt.Fprintf(out, " | %s", e.contender)
	}
	fmt.Fprint(out, " |\n|---|")
	for range entries {
		fmt.Fprint(out, "---:|")
	}
	for _, c := range columns {
		fmt.Fprintf(out, "\n| %s", c.title)
		for i, e := range entries {
			fmt.Fprintf(out, " | %s", grouped(c.of(e)))
			if theirs := c.of(e); i > 0 && theirs > 0 {
				fmt.Fprintf(out, " (×%.2f)", float64(c.of(entries[0]))/float64(theirs))
			}
		}
		fmt.Fprint(out, " |")
	}
	if p.usefulFLOPs > 0 {
		fmt.Fprint(out, "\n| executed ÷ useful matrix FLOPs")
		for _, e := range entries {
			fmt.Fprintf(out, " | %.3f", float64(e.counters.MatrixFLOPs())/p.usefulFLOPs)
		}
		fmt.Fprint(out, " |")
	}
	fmt.Fprintln(out)
	for _, e := range entries {
		fmt.Fprintf(out, "\n%s: %s", e.contender, e.kernels)
	}
	fmt.Fprint(out, "\n\n")
}

// grouped writes n with commas between thousands.
func grouped(n uint64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
