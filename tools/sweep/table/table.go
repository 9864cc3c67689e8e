// Package table reads and writes results as the study published them: a Markdown document of sections, each one
// experiment with a row for each cell. A document that was read is written again byte for byte.
//
// It must not know where figures come from.
package table

import (
	_ "embed"
	"fmt"
	"strings"
	"time"
)

// Document is a results document.
type Document struct {
	Title    string // without "# "; empty: the document has none, and no introduction
	Intro    string // the line below the title
	Sections []Section
}

// Section is one experiment's table.
type Section struct {
	Name    string
	Time    time.Time // to the second
	Backend string
	Device  string
	Dynamic bool
	Rows    []Row
	// Summary is nil where no row has figures.
	Summary *Summary
}

// Row is one cell of the grid. Figures are as printed, to a tenth.
type Row struct {
	Batch, Concurrency int
	Failed             bool // an ERROR row, without figures
	Pairs              int
	Seconds            float64
	LatAvg, LatP50     float64 // ms per request
	LatP95, LatP99     float64
	TPAvg, TPP50       float64 // pairs/s
	TPP95, TPP99       float64
}

// Summary of the rows that have figures.
type Summary struct {
	BestTP, AvgTP, AvgLat, AvgP99 float64
}

// Title and Intro are those of the study's document.
const (
	Title = "All Experiment Results"
	Intro = "Combined results from all experiments."
)

const (
	timeLayout = "2006-01-02 15:04:05"
	rule       = "---"
	header     = "| Batch | Conc | Pairs | Time | Lat Avg | Lat P50 | Lat P95 | Lat P99 | TP Avg | TP P50 | TP P95 | TP P99 |"
	underline  = "|-------|------|-------|------|---------|---------|---------|---------|--------|--------|--------|--------|"
)

// Summarize returns the summary of rows, or nil where none has figures.
func Summarize(rows []Row) *Summary {
	var s Summary
	n := 0.0
	for _, r := range rows {
		if r.Failed {
			continue
		}
		n++
		s.BestTP = max(s.BestTP, r.TPAvg)
		s.AvgTP += r.TPAvg
		s.AvgLat += r.LatAvg
		s.AvgP99 += r.LatP99
	}
	if n == 0 {
		return nil
	}
	s.AvgTP, s.AvgLat, s.AvgP99 = s.AvgTP/n, s.AvgLat/n, s.AvgP99/n
	return &s
}

// String is the document as Markdown.
func (d *Document) String() string {
	var b strings.Builder
	if d.Title != "" {
		fmt.Fprintf(&b, "# %s\n\n%s\n\n%s\n\n", d.Title, d.Intro, rule)
	}
	for i := range d.Sections {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(d.Sections[i].String())
		fmt.Fprintf(&b, "\n%s\n", rule)
	}
	return b.String()
}

// String is the section as Markdown, without the rule below it.
func (s *Section) String() string {
	var b strings.Builder
	dynamic := "False" // as Python prints it
	if s.Dynamic {
		dynamic = "True"
	}
	fmt.Fprintf(&b, "## %s (%s)\n\n**Backend:** `%s` | **Device:** `%s` | **Dynamic Batching:** `%s`\n\n%s\n%s\n",
		s.Name, s.Time.Format(timeLayout), s.Backend, s.Device, dynamic, header, underline)
	for _, r := range s.Rows {
		b.WriteString(r.String() + "\n")
	}
	if m := s.Summary; m != nil {
		fmt.Fprintf(&b, "\n**Summary:** BestTP=%.1f | AvgTP=%.1f | AvgLat=%.1fms | AvgP99Lat=%.1fms\n",
			m.BestTP, m.AvgTP, m.AvgLat, m.AvgP99)
	}
	return b.String()
}

// String is the row as a line of the table.
func (r Row) String() string {
	if r.Failed {
		return fmt.Sprintf("| %d | %d | ERROR |%s", r.Batch, r.Concurrency, strings.Repeat(" - |", 9))
	}
	return fmt.Sprintf("| %d | %d | %d | %.1fs | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f |",
		r.Batch, r.Concurrency, r.Pairs, r.Seconds, r.LatAvg, r.LatP50, r.LatP95, r.LatP99, r.TPAvg, r.TPP50, r.TPP95, r.TPP99)
}

//go:embed study.md
var studyText string

// Study returns the study's own document.
func Study() *Document {
	d, err := Parse(studyText)
	if err != nil {
		panic("BUG: study.md: " + err.Error())
	}
	return d
}
