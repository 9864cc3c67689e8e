package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/metalrank/metalrank/cmd/metalrank/doctor"
	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/metal/open"
)

type doctorCommand struct {
	Driver    []string      `help:"Devices whose kernels to examine: ${enum}. Default: metal on macOS, sim elsewhere." enum:"metal,sim" sep:"," placeholder:"D"`
	Full      bool          `help:"Take the longest pairs through the simulator, too: another minute."`
	SpeedTime time.Duration `help:"How long to measure each backend; 0: not at all." default:"2s"`
	Format    string        `help:"How to print: ${enum}." enum:"text,json" default:"text"`
}

// Validate is called by kong.
func (c *doctorCommand) Validate() error {
	if c.SpeedTime < 0 || c.SpeedTime > time.Minute {
		return fmt.Errorf("--speed-time is %v, want 0 to %v", c.SpeedTime, time.Minute)
	}
	drivers := c.config().Drivers
	if c.Full && !slices.Contains(drivers, engine.BackendSim) {
		return fmt.Errorf("--full: it has no effect without --driver=%s", engine.BackendSim)
	}
	return nil
}

// Run is called by kong.
func (c *doctorCommand) Run(ctx context.Context, std streams) error {
	report, err := examine(ctx, c.config(), std.err)
	if err != nil {
		return err
	}
	if c.Format == "json" {
		err = json.MarshalWrite(std.out, report, jsontext.WithIndent("  "))
	} else {
		err = printReport(std.out, report)
	}
	if err == nil && !report.Healthy() {
		err = fmt.Errorf("%d faults were found", len(report.Faults))
	}
	return err
}

func (c *doctorCommand) config() doctor.Config {
	config := doctor.Config{
		Version: version, OpenDevice: open.Device, Drivers: c.Driver, Full: c.Full, SpeedTime: c.SpeedTime,
	}
	if len(config.Drivers) == 0 {
		config.Drivers = []string{engine.BackendSim}
	}
	if len(c.Driver) > 0 {
		config.Needed = c.Driver
	} else if runtime.GOOS == "darwin" {
		config.Drivers, config.Needed = []string{engine.BackendMetal}, []string{engine.BackendMetal}
	}
	return config
}

// examine makes the report. It shows the current step on w, if that is a terminal; mpb checks that.
func examine(ctx context.Context, config doctor.Config, w io.Writer) (*doctor.Report, error) {
	doing := make(chan string, 1)
	container := mpb.New(mpb.WithOutput(w))
	current := "beginning"
	spinner := container.AddSpinner(0, mpb.BarRemoveOnComplete(), mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
		select {
		case current = <-doing:
		default:
		}
		return current
	})))
	config.Progress = func(what string) {
		select { // the newest step replaces one that was not shown
		case <-doing:
		default:
		}
		doing <- what
	}
	report, err := doctor.Examine(ctx, config)
	spinner.Abort(true)
	container.Wait()
	return report, err
}

// mostFaults bounds the faults that a text shows; JSON has all.
const mostFaults = 12

// printReport writes a block of text that can be pasted whole into a report of a fault.
func printReport(w io.Writer, r *doctor.Report) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(table, name+"\t"+format+"\n", args...) }
	row("metalrank", "%s, %s", r.Version, r.Time.Format(time.RFC3339))
	m := r.Machine
	row("machine", "%s; %d cores, %.1f GB; %s, %s", m.CPU, m.Cores, float64(m.MemoryBytes)/1e9, m.OS, m.System)
	if len(m.Features) > 0 {
		row("", "%s", strings.Join(m.Features, " "))
	}
	for _, d := range r.Drivers {
		printDriver(row, &d)
	}
	for i, g := range r.Goldens {
		name := heading(i, "goldens")
		if g.Error != "" {
			row(name, "%s: %s", g.System, oneLine(g.Error))
			continue
		}
		row(name, "%s: %d pairs; largest difference from transformers %.2g of %.2g allowed", g.System, g.Pairs, g.Difference, g.Allowed)
	}
	for i, s := range r.Speeds {
		name := heading(i, "speed")
		if s.Error != "" {
			row(name, "%s: %s", s.System, oneLine(s.Error))
			continue
		}
		row(name, "%s: %.0f pairs/s of %.0f tokens (%.0f to %.0f in %d rounds)", s.System, s.PairsPerSecond, s.TokensPerPair, s.Least, s.Most, s.Rounds)
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

func printDriver(row func(name, format string, args ...any), d *doctor.Driver) {
	if d.Absent {
		row("kernels", "%s: not examined", d.Name)
		return
	}
	row("kernels", "%s: %s", d.Name, strings.Join(append([]string{d.Device}, d.Families...), " "))
	if d.Compiler != "" {
		row("", "built by %s", d.Compiler)
	}
	row("", "%d cases, %d wrong (%.0f s)", d.Cases, len(d.Failures), d.Seconds)
}

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
