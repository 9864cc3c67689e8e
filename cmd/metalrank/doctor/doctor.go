// Package doctor examines a machine: whether every kernel computes correct results on every device, whether the embedded
// model scores as transformers does, and how quick the backends are beside one another.
//
// It must not print anything, nor know which devices there are: the caller opens them, and shows the Report.
package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/metalrank/metalrank/internal/machine"
	"github.com/metalrank/metalrank/internal/record"
	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
)

// Config selects the parts to examine.
type Config struct {
	// Version is the program's, for the Report.
	Version string
	// OpenDevice opens the device of each of Drivers; metal/open.Device does it.
	OpenDevice func(driver string) (metal.Device, error)
	// Drivers are names that OpenDevice takes: "metal", "sim". One that has no device is noted as absent.
	Drivers []string
	// Needed are the Drivers that must have a device: "metal" on a Mac. If one has none, that is a fault.
	Needed []string
	// Kernels are the sources to examine. Nil: kernels.Files.
	Kernels fs.FS
	// Full takes the long pairs of the goldens through the simulator, too, which takes a minute; without it, those of at
	// most shortTokens tokens.
	Full bool
	// SpeedTime is how long each backend is measured. 0: not at all.
	SpeedTime time.Duration
	// Progress is called with the name of each step. May be nil.
	Progress func(what string)
}

// A Report holds the results of an examination. A part that could not be done has the reason in its Error.
type Report struct {
	Version string         `json:"version"`
	Time    time.Time      `json:"time"`
	Machine record.Machine `json:"machine"`
	Drivers []Driver       `json:"drivers"`
	Goldens []Golden       `json:"goldens"`
	Speeds  []Speed        `json:"speeds,omitempty"`
	// Notes name parts that were left out, or are missing without harm.
	Notes []string `json:"notes,omitempty"`
	// Faults name all that is wrong, worst first; none: all is well.
	Faults  []string `json:"faults,omitempty"`
	Seconds float64  `json:"seconds"`
}

// Healthy says whether there are no faults.
func (r *Report) Healthy() bool { return len(r.Faults) == 0 }

// Examine makes a Report, which has all faults of the machine. The error is ctx's.
func Examine(ctx context.Context, config Config) (*Report, error) {
	if config.Kernels == nil {
		config.Kernels = kernels.Files()
	}
	if config.Progress == nil {
		config.Progress = func(string) {}
	}
	begin := time.Now()
	r := &Report{Version: config.Version, Time: begin.UTC().Truncate(time.Second), Machine: machine.Describe()}
	for _, driver := range config.Drivers {
		r.Drivers = append(r.Drivers, examineDriver(ctx, &config, driver))
	}
	r.Goldens = config.goldens(ctx, r.Drivers)
	if config.SpeedTime > 0 {
		r.Speeds = config.speeds(ctx, r.Drivers)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.judge(&config)
	r.Seconds = time.Since(begin).Seconds()
	return r, nil
}

// judge collects faults and notes.
func (r *Report) judge(config *Config) {
	fault := func(format string, args ...any) { r.Faults = append(r.Faults, fmt.Sprintf(format, args...)) }
	note := func(format string, args ...any) { r.Notes = append(r.Notes, fmt.Sprintf(format, args...)) }
	for _, d := range r.Drivers {
		switch {
		case d.Absent && slices.Contains(config.Needed, d.Name):
			fault("%s: %s", d.Name, d.Error)
		case d.Absent:
			note("%s was not examined: %s", d.Name, d.Error)
		case d.Error != "":
			fault("%s: %s", d.Name, d.Error)
		}
		for _, f := range d.Failures {
			fault("%s: %s", d.Name, f)
		}
		if d.Skipped > 0 {
			note("%s: %d further cases of the kernels that failed to build were not run", d.Name, d.Skipped)
		}
	}
	for _, g := range r.Goldens {
		switch {
		case g.Error != "":
			fault("%s: %s", g.System, g.Error)
		case !g.Right():
			fault("%s: the embedded model's logits are off by up to %.3g, %.3g allowed; worst: pair %d, %q with %q",
				g.System, g.Difference, g.Allowed, g.Worst, g.WorstQuery, g.WorstDocument)
		}
		if g.LeftOut > 0 {
			note("%s: %d of %d pairs were left out; --full takes them, too", g.System, g.LeftOut, g.LeftOut+g.Pairs)
		}
	}
	for _, s := range r.Speeds {
		if s.Error != "" {
			fault("%s: %s", s.System, s.Error)
		}
	}
}
