// Package report writes runs as one HTML page with charts, and the same figures as CSV and JSON. It must not know how
// anything was measured.
package report

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"

	"github.com/metalrank/metalrank/internal/record"
	"github.com/metalrank/metalrank/tools/sweep/table"
)

// Row is a cell with its experiment and its system.
type Row struct {
	Experiment  string            `json:"experiment"`
	Source      string            `json:"source"` // "measured", or the published document's name
	Backend     string            `json:"backend"`
	Device      string            `json:"device"`
	DType       string            `json:"dtype,omitempty"`
	Dynamic     bool              `json:"dynamic_batching"`
	Data        string            `json:"data,omitempty"`
	Loop        string            `json:"loop,omitempty"`
	Rate        float64           `json:"requests_per_second,omitempty"`
	Batch       int               `json:"batch"`
	Concurrency int               `json:"concurrency"`
	Pairs       int               `json:"pairs"`
	Seconds     float64           `json:"seconds"`
	Latency     record.Quantiles  `json:"latency_ms"` // P90 and Max are 0 in published rows
	Throughput  record.Throughput `json:"pairs_per_second"`
	Failed      int               `json:"failed,omitempty"`
	Error       string            `json:"error,omitempty"`
}

// measured is the Source of rows that are not published ones.
const measured = "measured"

// System returns the name of the row's system in a chart's legend.
func (r *Row) System() string {
	name := r.Backend
	if r.DType != "" {
		name += " " + r.DType
	}
	if r.Source != measured {
		name = r.Source + ": " + name
	}
	return name
}

// Rows lists all cells of runs, and all rows of a published document, which may be nil.
func Rows(runs []*record.Run, published *table.Document, name string) []Row {
	var rows []Row
	for _, run := range runs {
		for _, t := range run.Tables {
			for _, c := range t.Cells {
				rows = append(rows, Row{
					t.Experiment, measured, t.System.Backend, t.System.Device, t.System.DType, t.Batching.On, t.Data.Set, c.Loop,
					c.Rate, c.Batch, c.Concurrency, c.Pairs, c.Seconds, c.Latency, c.Throughput, c.Failed, c.Error,
				})
			}
		}
	}
	if published == nil {
		return rows
	}
	for _, s := range published.Sections {
		for _, r := range s.Rows {
			row := Row{
				Experiment: s.Name, Source: name, Backend: s.Backend, Device: s.Device, Dynamic: s.Dynamic, Batch: r.Batch,
				Concurrency: r.Concurrency, Pairs: r.Pairs, Seconds: r.Seconds,
				Latency:    record.Quantiles{Mean: r.LatAvg, P50: r.LatP50, P95: r.LatP95, P99: r.LatP99},
				Throughput: record.Throughput{Mean: r.TPAvg, P50: r.TPP50, P95: r.TPP95, P99: r.TPP99},
			}
			if r.Failed {
				row.Error = "published as ERROR"
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// WriteCSV writes a line for each row.
func WriteCSV(w io.Writer, rows []Row) error {
	c := csv.NewWriter(w)
	lines := [][]string{{
		"experiment", "source", "backend", "device", "dtype", "dynamic_batching", "data", "loop", "requests_per_second", "batch",
		"concurrency", "pairs", "seconds", "latency_mean_ms", "latency_p50_ms", "latency_p95_ms", "latency_p99_ms",
		"throughput_mean", "throughput_p50", "throughput_p95", "throughput_p99", "failed", "error",
	}}
	number := func(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
	for i := range rows {
		r := &rows[i]
		lines = append(lines, []string{
			r.Experiment, r.Source, r.Backend, r.Device, r.DType, strconv.FormatBool(r.Dynamic), r.Data, r.Loop, number(r.Rate),
			strconv.Itoa(r.Batch), strconv.Itoa(r.Concurrency), strconv.Itoa(r.Pairs), number(r.Seconds), number(r.Latency.Mean),
			number(r.Latency.P50), number(r.Latency.P95), number(r.Latency.P99), number(r.Throughput.Mean),
			number(r.Throughput.P50), number(r.Throughput.P95), number(r.Throughput.P99), strconv.Itoa(r.Failed), r.Error,
		})
	}
	return c.WriteAll(lines)
}

// WriteJSON writes rows and comparisons as one object.
func WriteJSON(w io.Writer, rows []Row, runs []*record.Run) error {
	var comparisons []*record.Comparison
	for _, run := range runs {
		comparisons = append(comparisons, run.Comparisons...)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", " ")
	return encoder.Encode(struct {
		Rows        []Row                `json:"rows"`
		Comparisons []*record.Comparison `json:"comparisons,omitempty"`
	}{rows, comparisons})
}
