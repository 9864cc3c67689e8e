// Package doctor examines a machine: whether every kernel computes correct results on every device, whether the embedded
// model scores as transformers does, the properties of the devices, and the times of kernels and backends.
//
// It must not print anything, nor know which devices there are: the caller opens them, and shows the Report.
package doctor

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/metalrank/metalrank/internal/machine"
	"github.com/metalrank/metalrank/internal/record"
	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/kernels/selftest"
	"github.com/metalrank/metalrank/kernels/tune"
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
	// Times measures the kernels of each device that is not simulated.
	Times bool
	// Idle is how long the machine idles before each request of which the latency is measured. None: no latency is measured.
	Idle []time.Duration
	// Validate is a command that prints the Report of a driver "metal" as JSON. It runs in an environment that makes Metal
	// validate each call. None: it isn't run.
	Validate []string
	// TuningFolder keeps variants of kernels. "": none.
	TuningFolder string
	// Variables are environment variables that should be settings of the program and that it doesn't know.
	Variables []string
	// Progress is called with the name of each step. May be nil.
	Progress func(what string)
	// Log gets a line for each step and each result, at once, so that the end of the process leaves it. May be nil.
	Log io.Writer

	cases []selftest.Case // for tests; nil: selftest.Cases
}

// Format is the version of Report's JSON.
const Format = 1

// A Report holds the results of an examination. A part that could not be done has the reason in its Error.
type Report struct {
	Format     int            `json:"format"` // Format
	Version    string         `json:"version"`
	Time       time.Time      `json:"time"`
	Machine    record.Machine `json:"machine"`
	Before     machine.State  `json:"state_before"`
	After      machine.State  `json:"state_after"`
	Drivers    []Driver       `json:"drivers"`
	Goldens    []Golden       `json:"goldens"`
	Speeds     []Speed        `json:"speeds,omitempty"`
	Latencies  []Latency      `json:"latencies,omitempty"`
	Validation *Validation    `json:"validation,omitempty"`
	// Older lists files and variables of older versions, which have no effect, and says what to do about each.
	Older []string `json:"older,omitempty"`
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
	r := &Report{
		Format: Format, Version: config.Version, Time: begin.UTC().Truncate(time.Second),
		Machine: machine.Describe(), Before: machine.CurrentState(),
	}
	config.logf("metalrank %s on %+v, %+v", r.Version, r.Machine, r.Before)
	for _, driver := range config.Drivers {
		r.Drivers = append(r.Drivers, examineDriver(ctx, &config, driver))
	}
	r.Goldens = config.goldens(ctx, r.Drivers)
	if config.SpeedTime > 0 {
		r.Speeds = config.speeds(ctx, r.Drivers)
	}
	if len(config.Idle) > 0 && slices.ContainsFunc(r.Drivers, func(d Driver) bool { return d.real() }) {
		r.Latencies = config.latencies(ctx, r.Drivers)
	}
	r.After = machine.CurrentState()
	if len(config.Validate) > 0 {
		r.Validation = config.validate(ctx)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.Older = config.older()
	r.judge(&config)
	r.Seconds = time.Since(begin).Seconds()
	config.logf("%d faults", len(r.Faults))
	return r, nil
}

// older lists the files and variables of older versions.
func (c *Config) older() (older []string) {
	hash, err := tune.HashKernels(c.Kernels)
	var files []string
	if err == nil && c.TuningFolder != "" {
		files, err = tune.Outdated(c.TuningFolder, hash)
	}
	if err != nil {
		older = append(older, err.Error())
	}
	for _, path := range files {
		older = append(older, path+": variants of another version's kernels; this version doesn't read it: remove it")
	}
	for _, name := range c.Variables {
		older = append(older, name+": no setting of this version has this name: see metalrank manual, and the changes in CHANGELOG.md")
	}
	return older
}

// step announces a step.
func (c *Config) step(format string, args ...any) {
	c.Progress(fmt.Sprintf(format, args...))
	c.logf(format, args...)
}

// logf writes a line to Log.
func (c *Config) logf(format string, args ...any) {
	if c.Log != nil {
		line := strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
		_, _ = io.WriteString(c.Log, time.Now().Format("15:04:05.000 ")+line+"\n") // the examination is worth more than its log
	}
}
