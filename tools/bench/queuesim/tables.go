package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/engine/schedule/simulate"
)

// table writes the head of a table. The first texts columns are text, the others numbers.
func table(out io.Writer, texts int, names ...string) {
	row(out, names...)
	fmt.Fprint(out, "|")
	for i := range names {
		if i < texts {
			fmt.Fprint(out, "---|")
		} else {
			fmt.Fprint(out, "---:|")
		}
	}
	fmt.Fprintln(out)
}

func row(out io.Writer, cells ...string) { fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | ")) }

func percent(part float64) string { return fmt.Sprintf("%.1f %%", 100*part) }

func ms(ns int64) string {
	if ns >= 100e6 {
		return fmt.Sprintf("%.0f", float64(ns)/1e6)
	}
	return fmt.Sprintf("%.1f", float64(ns)/1e6)
}

// formatHundredths formats a number that is given in hundredths.
func formatHundredths(v int64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.0f", float64(v)/100)
	}
	return fmt.Sprintf("%.1f", float64(v)/100)
}

// printSummary has a row for each run.
func printSummary(out io.Writer, results []result) {
	table(out, 2, "scenario", "policy", "busy", "fill", "refused", "≤ 8 documents: p50 ms", "p99 ms", "p99 batches",
		"> 1,024: p50 slowdown", "p99 slowdown")
	for _, r := range results {
		small, large := &r.report.Classes[0], &r.report.Classes[len(r.report.Classes)-1]
		all := r.report.Device()
		cells := []string{
			r.scenario.Name, r.name, percent(r.report.Utilisation()), percent(all.Fill()),
			percent(float64(r.report.Refused) / float64(max(r.report.Requests, 1))),
			ms(small.Latency.At(0.5)), ms(small.Latency.At(0.99)), formatHundredths(small.Batches.At(0.99)),
		}
		if large.Answered > 0 {
			cells = append(cells, formatHundredths(large.Slowdown.At(0.5)), formatHundredths(large.Slowdown.At(0.99)))
		} else {
			cells = append(cells, "", "")
		}
		row(out, cells...)
	}
}

// printFull has three tables for each scenario.
func printFull(out io.Writer, results []result) {
	for len(results) > 0 {
		name := results[0].scenario.Name
		n := 1
		for n < len(results) && results[n].scenario.Name == name {
			n++
		}
		runs := results[:n]
		results = results[n:]
		fmt.Fprintf(out, "\n## %s\n\n%s. %.1f %% was offered, in %d requests over %v.\n\n", name, runs[0].scenario.About,
			100*runs[0].report.Offered, runs[0].report.Requests, runs[0].report.Duration.Round(1e9))
		printRuns(out, runs)
		printClasses(out, runs)
		printModelAndClientRows(out, runs)
	}
}

func printRuns(out io.Writer, runs []result) {
	table(out, 1, "policy", "busy", "batches", "fill", "answered", "late", "refused", "cancelled", "expired", "tokens wasted")
	for _, r := range runs {
		all := r.report.Device()
		row(out, r.name, percent(r.report.Utilisation()), fmt.Sprint(all.Batches), percent(all.Fill()), fmt.Sprint(r.report.Answered),
			fmt.Sprint(r.report.Late), fmt.Sprint(r.report.Refused), fmt.Sprint(r.report.Cancelled), fmt.Sprint(r.report.Expired),
			percent(float64(r.report.Wasted)/float64(max(r.report.Tokens, 1))))
	}
}

func printClasses(out io.Writer, runs []result) {
	fmt.Fprintln(out)
	table(out, 2, "documents", "policy", "answered", "p50 ms", "p99 ms", "max ms", "p50 batches", "p99 batches", "max batches",
		"p50 slowdown", "p99 slowdown")
	for i := range append(runs[0].report.Classes, runs[0].report.Beside) {
		for _, r := range runs {
			c := append(slices.Clone(r.report.Classes), r.report.Beside)[i]
			if c.Answered == 0 {
				continue
			}
			cells := []string{c.Name, r.name, fmt.Sprint(c.Answered)}
			for _, p := range []float64{0.5, 0.99, 1} {
				cells = append(cells, ms(c.Latency.At(p)))
			}
			for _, p := range []float64{0.5, 0.99, 1} {
				cells = append(cells, formatHundredths(c.Batches.At(p)))
			}
			row(out, append(cells, formatHundredths(c.Slowdown.At(0.5)), formatHundredths(c.Slowdown.At(0.99)))...)
		}
	}
}

// maxClientRows is the largest number of clients in a table.
const maxClientRows = 20

// printModelAndClientRows has a row for each model and each client, where there are several.
func printModelAndClientRows(out io.Writer, runs []result) {
	begun := false
	for _, r := range runs {
		shares := slices.Clone(r.report.Models)
		if len(shares) == 1 {
			shares = nil
		}
		var clients []simulate.ShareReport
		for _, c := range r.report.Clients {
			clients = append(clients, *c)
		}
		slices.SortFunc(clients, func(a, b simulate.ShareReport) int {
			return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Name, b.Name))
		})
		if len(clients) > 1 {
			shares = append(shares, clients[:min(len(clients), maxClientRows)]...)
		}
		for _, s := range shares {
			if !begun {
				fmt.Fprintln(out)
				table(out, 2, "model or client", "policy", "requests", "refused", "tokens", "device time", "p50 ms", "p99 ms")
				begun = true
			}
			time := ""
			if s.DeviceTime > 0 {
				time = percent(float64(s.DeviceTime) / float64(r.report.Device().Busy))
			}
			row(out, s.Name, r.name, fmt.Sprint(s.Requests), percent(float64(s.Refused)/float64(max(s.Requests, 1))),
				percent(float64(s.Tokens)/float64(max(r.report.Tokens, 1))), time, ms(s.Latency.At(0.5)), ms(s.Latency.At(0.99)))
		}
	}
}
