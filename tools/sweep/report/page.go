package report

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/internal/record"
	"github.com/metalrank/metalrank/tools/sweep/table"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"ms": func(x float64) string { return fmt.Sprintf("%.1f", x) },
}).Parse(pageText))

// chart is a figure of the page.
type chart struct {
	Title string
	SVG   template.HTML
	Note  string
}

// section is one experiment.
type section struct {
	Name   string
	Charts []chart
	Rows   []Row
}

// WriteHTML writes a page that needs no other file. published may be nil; name is its name.
func WriteHTML(w io.Writer, runs []*record.Run, published *table.Document, name string) error {
	rows := Rows(runs, published, name)
	var experiments []string
	for i := range rows {
		if e := rows[i].Experiment; rows[i].Source == measured && !slices.Contains(experiments, e) {
			experiments = append(experiments, e)
		}
	}
	data := struct {
		Runs     []*record.Run
		Overview []chart
		Sections []section
		Quick    bool
	}{Runs: runs, Overview: overview(rows, runs, experiments, name)}
	for _, run := range runs {
		data.Quick = data.Quick || run.Quick
	}
	for _, e := range experiments {
		of := filter(rows, func(r *Row) bool { return r.Experiment == e })
		s := section{Name: e, Charts: experimentCharts(of), Rows: filter(of, func(r *Row) bool { return r.Source == measured })}
		data.Sections = append(data.Sections, s)
	}
	return page.Execute(w, data)
}

func filter(rows []Row, keep func(*Row) bool) []Row {
	var kept []Row
	for i := range rows {
		if keep(&rows[i]) {
			kept = append(kept, rows[i])
		}
	}
	return kept
}

// overview returns the charts above the experiments.
func overview(rows []Row, runs []*record.Run, experiments []string, name string) []chart {
	charts := []chart{
		{"Latency against throughput", pareto(rows), "Every cell that was measured, and those published. Up and to the left is better; a line joins the cells of a system that no other of its own beats in both."},
	}
	var groups []group
	other := "" // the system that is compared with the others
	for _, run := range runs {
		for _, c := range run.Comparisons {
			if c.Error == "" {
				other = c.B.Backend
				about := fmt.Sprintf("%.2f, 95 %% interval %.2f to %.2f", c.Ratio, c.Low, c.High)
				label := fmt.Sprintf("%s %s %d×%d", c.A.Backend, c.A.DType, c.Batch, c.Concurrency)
				groups = append(groups, group{label, []bar{{c.Ratio, c.Low, c.High, c.B.Backend + " does " + about + " times the pairs/s of " + label}}})
			}
		}
	}
	if len(groups) > 0 {
		charts = append(charts, chart{
			"Beside each peer, measured in turns", bars(groups, []string{"ratio"}, "times its pairs/s", true),
			"Above the line, " + other + " is faster. Thin lines are 95 % intervals over the repeats.",
		})
	}
	for some := range slices.Chunk(experiments, 7) { // there is room for seven names
		best := bestThroughput(rows, some, name)
		if best == "" {
			continue
		}
		charts = append(charts, chart{
			"Best throughput beside " + name, best,
			"Of each experiment, the best cell of what was measured here and of what was published. Other machines, other pairs: the shapes compare, the heights don't.",
		})
	}
	return charts
}

// systemsOf lists the systems of rows, measured ones first.
func systemsOf(rows []Row) []string {
	var ours, others []string
	for i := range rows {
		list := &ours
		if rows[i].Source != measured {
			list = &others
		}
		if name := rows[i].System(); rows[i].Error == "" && !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	return append(ours, others...)
}

// pareto draws a mark for each cell, and a line along the best.
func pareto(rows []Row) template.HTML {
	var all []series
	for color, system := range systemsOf(rows) {
		marks := series{name: system, color: color}
		for i := range rows {
			if r := &rows[i]; r.Error == "" && r.System() == system && r.Latency.P50 > 0 {
				marks.dashed = r.Source != measured
				marks.points = append(marks.points, point{r.Latency.P50, r.Throughput.Mean, fmt.Sprintf("%s, %s, %d×%d: P50 %.1f ms, %.1f pairs/s",
					system, r.Experiment, r.Batch, r.Concurrency, r.Latency.P50, r.Throughput.Mean)})
			}
		}
		all = append(all, marks)
	}
	return plotWithFront(all)
}

// plotWithFront is plot with the best points of each series joined: those that no other point of the series beats in
// both latency and throughput.
func plotWithFront(all []series) template.HTML {
	a := axes{x: "P50 latency of a request, ms", y: "pairs/s", logX: true}
	for i := range all {
		points := slices.Clone(all[i].points)
		slices.SortFunc(points, func(a, b point) int { return cmp.Or(cmp.Compare(a.x, b.x), cmp.Compare(b.y, a.y)) })
		for _, p := range points {
			if n := len(all[i].front); n == 0 || p.y > all[i].front[n-1].y {
				all[i].front = append(all[i].front, p)
			}
		}
	}
	return plot(all, a)
}

// bestThroughput draws the best throughput of each experiment, measured and published.
func bestThroughput(rows []Row, experiments []string, name string) template.HTML {
	var groups []group
	for _, e := range experiments {
		best := map[string]bar{}
		for i := range rows {
			r := &rows[i]
			if source := r.Source; r.Experiment == e && r.Error == "" && r.Throughput.Mean > best[source].value {
				best[source] = bar{value: r.Throughput.Mean, about: fmt.Sprintf("%s, %s, %d×%d: %.1f pairs/s", e, r.System(), r.Batch, r.Concurrency, r.Throughput.Mean)}
			}
		}
		if best[name].value > 0 {
			groups = append(groups, group{strings.ReplaceAll(e, "_", " "), []bar{best[measured], best[name]}})
		}
	}
	return bars(groups, []string{measured, name}, "pairs/s", false)
}

// experimentCharts returns the charts of one experiment: a curve for each system, and percentiles.
func experimentCharts(rows []Row) []chart {
	var charts []chart
	for _, system := range systemsOf(rows) {
		of := filter(rows, func(r *Row) bool { return r.System() == system && r.Error == "" })
		svg, over := curve(of)
		if svg == "" {
			continue
		}
		charts = append(charts, chart{fmt.Sprintf("%s: throughput over %s", system, over), svg, ""})
	}
	return append(charts, chart{"Latency of the fastest cell", percentiles(rows), ""})
}

// curve draws throughput over concurrency, or over batch size where there are more of those. It returns an empty string
// for a single cell. Of cells that were measured more than once it takes the best.
func curve(rows []Row) (svg template.HTML, over string) {
	batches, clients := map[int]bool{}, map[int]bool{}
	for i := range rows {
		batches[rows[i].Batch], clients[rows[i].Concurrency] = true, true
	}
	if len(batches)*len(clients) < 2 {
		return "", ""
	}
	overBatch := len(batches) > len(clients)
	lines := map[string]*series{}
	var names []string
	colors := map[int]int{}
	ticks := map[float64]bool{}
	for i := range rows {
		r := &rows[i]
		x, fixed, label := r.Concurrency, r.Batch, "batch"
		if overBatch {
			x, fixed, label = r.Batch, r.Concurrency, "clients"
		}
		name := fmt.Sprintf("%s %d", label, fixed)
		if r.Dynamic {
			name += ", dynamic"
		}
		if lines[name] == nil {
			if _, known := colors[fixed]; !known {
				colors[fixed] = len(colors)
			}
			lines[name] = &series{name: name, color: colors[fixed], dashed: r.Dynamic}
			names = append(names, name)
		}
		ticks[float64(x)] = true
		lines[name].points = append(lines[name].points, point{float64(x), r.Throughput.Mean,
			fmt.Sprintf("%d×%d: %.1f pairs/s", r.Batch, r.Concurrency, r.Throughput.Mean)})
	}
	var all []series
	for _, name := range names {
		slices.SortStableFunc(lines[name].points, func(a, b point) int {
			return cmp.Or(cmp.Compare(a.x, b.x), cmp.Compare(b.y, a.y))
		})
		lines[name].points = slices.CompactFunc(lines[name].points, func(a, b point) bool { return a.x == b.x })
		all = append(all, *lines[name])
	}
	a := axes{x: "clients", y: "pairs/s", lines: true}
	over = "concurrency"
	if overBatch {
		a.x, over = "documents a request", "batch"
	}
	for v := range ticks {
		a.ticks = append(a.ticks, v)
	}
	slices.Sort(a.ticks)
	return plot(all, a), over
}

// percentiles draws P50, P95 and P99 of the fastest cell of each system and mode.
func percentiles(rows []Row) template.HTML {
	best := map[string]*Row{}
	var names []string
	for i := range rows {
		r := &rows[i]
		if r.Error != "" {
			continue
		}
		name := r.System()
		if r.Dynamic {
			name += ", dynamic"
		}
		if best[name] == nil {
			names = append(names, name)
		}
		if best[name] == nil || r.Throughput.Mean > best[name].Throughput.Mean {
			best[name] = r
		}
	}
	var groups []group
	for _, name := range names {
		r := best[name]
		g := group{name: fmt.Sprintf("%s %d×%d", name, r.Batch, r.Concurrency)}
		for _, v := range []float64{r.Latency.P50, r.Latency.P95, r.Latency.P99} {
			g.bars = append(g.bars, bar{value: v, about: fmt.Sprintf("%s: %.1f ms", g.name, v)})
		}
		groups = append(groups, g)
	}
	return bars(groups, []string{"P50", "P95", "P99"}, "ms", false)
}
