package doctor

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// mostReport bounds the bytes of a report that is read.
const mostReport = 16 << 20

// Read reads a Report as JSON. Errors: it is none, of another Format, or of more than 16 MB.
func Read(r io.Reader) (*Report, error) {
	data, err := io.ReadAll(io.LimitReader(r, mostReport+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > mostReport:
		return nil, fmt.Errorf("a report has at most %d bytes", mostReport)
	case len(data) == 0:
		return nil, errors.New("no report: nothing to read")
	}
	var report Report
	if err := json.Unmarshal(data, &report); err != nil {
		return nil, fmt.Errorf("no report of metalrank doctor --format=json: %w", err)
	}
	if report.Format != Format {
		return nil, fmt.Errorf("the report's format is %d, want %d", report.Format, Format)
	}
	return &report, nil
}

// Difference is an item of two reports.
type Difference struct {
	Item     string
	Old, New string // "": that report lacks it
	// Change is the new figure divided by the old one; 0 for texts.
	Change float64
}

// noteworthy is the share by which two times must differ to be listed.
const noteworthy = 0.03

// Compare lists the items in which two reports differ: texts that are not equal, and figures that differ by 3 % or more.
func Compare(before, after *Report) []Difference {
	var differences []Difference
	old := map[string]item{}
	for _, i := range items(before) {
		old[i.name] = i
	}
	for _, i := range items(after) {
		was, ok := old[i.name]
		delete(old, i.name)
		d := Difference{Item: i.name, Old: was.String(), New: i.String()}
		if ok && was.figure > 0 && i.figure > 0 {
			d.Change = i.figure / was.figure
			if d.Change > 1-noteworthy && d.Change < 1+noteworthy {
				continue
			}
		}
		if d.Old != d.New {
			differences = append(differences, d)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if text := old[name].String(); text != "" {
			differences = append(differences, Difference{Item: name, Old: text})
		}
	}
	return differences
}

// item is a text, or a figure with its unit.
type item struct {
	name   string
	text   string
	figure float64 // 0: a text
}

// String returns the value: "1.23 ms".
func (i item) String() string {
	if i.figure != 0 {
		return fmt.Sprintf("%.4g %s", i.figure, i.text)
	}
	return i.text
}

// list collects the items of a report.
type list struct{ items []item }

func (l *list) text(name, format string, args ...any) {
	l.items = append(l.items, item{name: name, text: fmt.Sprintf(format, args...)})
}

func (l *list) figure(name, unit string, value float64) {
	l.items = append(l.items, item{name, unit, value})
}

func items(r *Report) []item {
	l := &list{}
	l.text("version", "%s", r.Version)
	l.text("time", "%s", r.Time.Format(time.RFC3339))
	m := &r.Machine
	l.text("machine", "%s; %d cores, %.1f GB; %s, %s", m.CPU, m.Cores, float64(m.MemoryBytes)/1e9, m.OS, m.System)
	l.text("state before", "%v", r.Before)
	l.text("state after", "%v", r.After)
	for i := range r.Drivers {
		l.driver(&r.Drivers[i])
	}
	for _, g := range r.Goldens {
		l.text("goldens "+g.System, "right: %v %s", g.Right(), g.Error)
	}
	for _, s := range r.Speeds {
		l.figure("speed "+s.System, "pairs/s", s.PairsPerSecond)
	}
	for _, latency := range r.Latencies {
		l.figure("latency "+latency.System+" hot", "ms", latency.HotMS)
		for _, p := range latency.Idle {
			l.figure(fmt.Sprintf("latency %s after %g s", latency.System, p.Seconds), "ms", p.MS)
		}
	}
	if v := r.Validation; v != nil {
		l.text("validation", "%d cases, %d faults %s", v.Cases, len(v.Faults), v.Ended)
	}
	for _, fault := range r.Faults {
		l.text("fault: "+fault, "yes")
	}
	return l.items
}

func (l *list) driver(d *Driver) {
	name := func(format string, args ...any) string { return d.Name + " " + fmt.Sprintf(format, args...) }
	l.text(name("device"), "%s %s %s, %d cores", d.Device, d.Architecture, strings.Join(d.Families, " "), d.Cores)
	l.text(name("compiler"), "%s", d.Compiler)
	l.text(name("cases"), "%d, %d wrong, %d not run %s", d.Cases, len(d.Failures), d.Skipped, d.Error)
	if d.Limits != nil {
		l.text(name("limits"), "%+v", *d.Limits)
	}
	if d.Lanes != nil {
		l.text(name("lanes"), "%q", d.Lanes)
	}
	for _, p := range d.Pipelines {
		l.text(name("%s", p.Kernel), "%d threads, %d bytes of threadgroup memory, precompiled: %v", p.MaxThreads, p.MemoryBytes, p.Precompiled)
		l.figure(name("%s compiling", p.Kernel), "ms", p.CompileMS)
	}
	t := d.Times
	if t == nil {
		l.text(name("times"), "not measured: %s", d.NotMeasured)
		return
	}
	for _, probe := range slices.Sorted(maps.Keys(t.Rates)) {
		l.figure(name("%s", probe), "a second", t.Rates[probe])
	}
	l.figure(name("one more dispatch"), "µs", t.DispatchUS)
	l.figure(name("a list of an empty kernel"), "µs", t.ListUS)
	l.figure(name("an empty list"), "µs", t.EmptyUS)
	for i := range t.Shapes {
		s := &t.Shapes[i]
		if best, ok := s.Best(); ok {
			l.text(name("%s best variant", s), "%s", best.Name)
		}
		for _, v := range s.Variants {
			l.figure(name("%s %s", s, v.Name), "µs", v.US)
		}
	}
}

// String names the operation: "gemm 512x1152x384".
func (s *Shape) String() string { return fmt.Sprintf("%s %dx%dx%d", s.Kernel, s.Rows, s.N, s.K) }
