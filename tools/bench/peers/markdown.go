package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/internal/record"
	"github.com/metalrank/metalrank/tools/bench/peers/workload"
)

// markdown writes the report's tables.
func (r *report) markdown() string {
	var text strings.Builder
	m := r.Machine
	fmt.Fprintf(&text, "# metalrank and its peers\n\n%s, %d cores (%s), %s; commit %s; %s to %s UTC.\n",
		m.CPU, m.Cores, strings.Join(m.Features, " "), m.System, r.Commit,
		r.Begin.Format("2006-01-02 15:04"), r.End.Format("15:04"))
	fmt.Fprintf(&text, "%d threads each, seed %d, tokenising included. Medians of %d rounds, in each of which every system ran "+
		"once.\nTuned: sorted by length, micro-batches of the fastest size tried, a stream of one thread for each core.\n",
		r.Threads, r.Seed, r.Rounds)
	r.bestTable(&text)
	r.speedTable(&text)
	for _, s := range r.systems() {
		if s.ours() {
			r.ratioTable(&text, s)
		}
	}
	r.scoreTable(&text)
	r.shapeTable(&text)
	if len(r.Products) > 0 {
		text.WriteString("\n## Yardstick\n\nPyTorch's matrix product [2048, 384] × [384, 1536], 1e9 operations a second:")
		for _, p := range r.Products {
			fmt.Fprintf(&text, " %s %.0f;", p.Name.Precision, median(p.GFLOPS))
		}
		text.WriteString(" medians over all rounds.\n")
	}
	text.WriteString("\n## Versions\n\n")
	for _, v := range r.Versions {
		fmt.Fprintf(&text, "- %s: %s\n", v.Name, v.Details)
	}
	return text.String()
}

// row writes a line of a table.
func row(text *strings.Builder, cells ...string) {
	text.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

func header(text *strings.Builder, cells ...string) {
	row(text, cells...)
	text.WriteString("|" + strings.Repeat(" --- |", len(cells)) + "\n")
}

func (r *report) systems() []system {
	var systems []system
	for _, s := range r.Series {
		if !slices.Contains(systems, s.System) {
			systems = append(systems, s.System)
		}
	}
	return systems
}

func (r *report) workloads() []string {
	var names []string
	for _, s := range r.Series {
		if !slices.Contains(names, s.Workload) {
			names = append(names, s.Workload)
		}
	}
	return names
}

func (r *report) find(s system, name string) *series {
	for _, candidate := range r.Series {
		if candidate.System == s && candidate.Workload == name {
			return candidate
		}
	}
	return nil
}

// ratio returns the median over the rounds of how many times faster a was than b; of small requests, the ratio of the
// median times of a request.
func ratio(a, b *series) float64 {
	if a.Workload == workload.Latency {
		return median(b.each()) / median(a.each())
	}
	return median(a.speedups(b))
}

// bestTable compares each of our systems with the fastest peer of each workload.
func (r *report) bestTable(text *strings.Builder) {
	text.WriteString("\n## Times faster than the fastest peer\n\n")
	names := r.workloads()
	header(text, append([]string{"", "peers"}, names...)...)
	for _, ours := range r.systems() {
		if !ours.ours() {
			continue
		}
		for _, tuned := range []bool{false, true} {
			for _, fp32 := range []bool{false, true} {
				cells := []string{ours.String(), peersLabel(tuned, fp32)}
				for _, name := range names {
					cells = append(cells, r.bestCell(ours, name, tuned, fp32))
				}
				row(text, cells...)
			}
		}
	}
}

func peersLabel(tuned, fp32 bool) string {
	label := "any precision"
	if fp32 {
		label = "fp32"
	}
	if tuned {
		return label + ", tuned"
	}
	return label + ", as used"
}

func (r *report) bestCell(ours system, name string, tuned, fp32 bool) string {
	mine, least, best := r.find(ours, name), math.Inf(1), ""
	for _, s := range r.Series {
		if s.Workload != name || s.System.ours() || s.System.Tuned != tuned || (fp32 && s.System.Precision != "fp32") {
			continue
		}
		if x := ratio(mine, s); x < least {
			least, best = x, s.System.peerName.String()
		}
	}
	if best == "" {
		return "–"
	}
	return fmt.Sprintf("%.2f (%s)", least, best)
}

// speedTable has pairs/s, and milliseconds for small requests.
func (r *report) speedTable(text *strings.Builder) {
	text.WriteString("\n## Pairs per second\n\n")
	cells, partial, widest := []string{"system"}, false, 0.0
	for _, name := range r.workloads() {
		if name == workload.Latency {
			name = "latency, ms p50 / p95"
		}
		cells = append(cells, name)
	}
	header(text, cells...)
	for _, s := range r.systems() {
		cells := []string{s.String()}
		for _, name := range r.workloads() {
			measured := r.find(s, name)
			if measured == nil {
				cells = append(cells, "–")
				continue
			}
			documents := r.documents(name)
			cell := fmt.Sprintf("%.1f", median(measured.speeds(documents)))
			if name == workload.Latency {
				each := measured.each()
				cell = fmt.Sprintf("%.1f / %.1f", 1e3*median(each), 1e3*record.Percentile(each, 95))
			} else if !measured.whole(len(documents)) {
				cell += "*"
				partial = true
			}
			if s.Tuned {
				cell += fmt.Sprintf(" (%d)", measured.MicroTokens)
			}
			widest = max(widest, spread(measured.speeds(documents)))
			cells = append(cells, cell)
		}
		row(text, cells...)
	}
	fmt.Fprintf(text, "\nIn brackets: tokens of a micro-batch, padding included. The widest spread of a figure over the "+
		"rounds, (largest − smallest) / median, is %.0f %%.\n", 100*widest)
	if partial {
		text.WriteString("\\* ran out of time before the last request; ratios are over the requests that both systems did.\n")
	}
}

// documents returns how many documents each request of a workload has.
func (r *report) documents(name string) []int {
	i := slices.IndexFunc(r.Shapes, func(s workload.Shape) bool { return s.Name == name })
	return r.Shapes[i].Documents
}

func (r *report) ratioTable(text *strings.Builder, ours system) {
	fmt.Fprintf(text, "\n## %s: times as fast as\n\n", ours)
	names := r.workloads()
	header(text, append([]string{"system"}, names...)...)
	for _, s := range r.systems() {
		if s == ours {
			continue
		}
		cells := []string{s.String()}
		for _, name := range names {
			cell := "–"
			if theirs := r.find(s, name); theirs != nil {
				cell = fmt.Sprintf("%.2f", ratio(r.find(ours, name), theirs))
			}
			cells = append(cells, cell)
		}
		row(text, cells...)
	}
}

// scoreTable has how near the logits are to the reference's, on the workloads and on the fixtures.
func (r *report) scoreTable(text *strings.Builder) {
	fmt.Fprintf(text, "\n## Scores against %s\n\n", reference)
	header(text, "system", "largest Δlogit", "Kendall tau", "fixtures: largest Δlogit", "Kendall tau")
	for _, s := range r.systems() {
		var timed, fixtures []agreement
		for _, a := range r.Scores {
			switch {
			case a.System != s:
			case a.Workload == workload.Evaluation:
				fixtures = append(fixtures, a)
			default:
				timed = append(timed, a)
			}
		}
		difference, tau := worst(timed)
		fixtureDifference, fixtureTau := worst(fixtures)
		row(text, s.String(), fmt.Sprintf("%.2g", difference), tauCell(tau), fmt.Sprintf("%.2g", fixtureDifference), tauCell(fixtureTau))
	}
	text.WriteString("\nTau is the mean over requests. The fixtures are everyday and synthetic of tools/model/quality.")
	text.WriteString(" Standard deviation of the reference's logits:")
	seen := map[string]bool{}
	for _, a := range r.Scores {
		if !seen[a.Workload] {
			fmt.Fprintf(text, " %s %.2f;", a.Workload, a.Deviation)
		}
		seen[a.Workload] = true
	}
	text.WriteString("\n")
	for _, o := range r.LeftOut {
		fmt.Fprintf(text, "\nLeft out on %s: %s: %s.\n", o.Workload, o.System, o.Reason)
	}
}

func tauCell(tau float64) string {
	if math.IsNaN(tau) {
		return "–"
	}
	return fmt.Sprintf("%.4f", tau)
}

func (r *report) shapeTable(text *strings.Builder) {
	text.WriteString("\n## Workloads\n\n")
	header(text, "workload", "pairs", "mean tokens", "longest", "padded to the longest of a request")
	for _, s := range r.Shapes {
		row(text, s.Name, fmt.Sprint(s.Pairs), fmt.Sprintf("%.1f", s.Mean), fmt.Sprint(s.Longest), fmt.Sprintf("×%.2f", s.Padding))
	}
}
