package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"time"

	"github.com/alecthomas/kong"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/cmd/metalrank/doctor"
	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/metal/open"
)

type doctorCommand struct {
	Driver    []string      `help:"Devices whose kernels to examine: ${enum}. Default: metal on macOS, sim elsewhere." enum:"metal,sim" sep:"," placeholder:"D"`
	Full      bool          `help:"Take the longest pairs through the simulator, too: another minute."`
	SpeedTime time.Duration `help:"How long to measure each backend; 0: not at all." default:"2s"`
	Skip      []string      `help:"Parts to leave out: ${enum}. times: of kernels and tiles on a GPU. latency: after 2 s and 10 s without a request. validation: the kernels again under Metal's validation layers." enum:"times,latency,validation" sep:"," placeholder:"PART"`
	Format    string        `help:"How to print: ${enum}. JSON has everything, and --compare reads it." enum:"text,json" default:"text"`
	Log       string        `help:"File that gets a line for each step at once, so that it says where the process ended. Default: doctor.log in metalrank's cache folder." type:"path" placeholder:"FILE"`
	Compare   []string      `help:"Report in JSON to compare this machine with; with two, they are compared, and nothing is examined." sep:"," placeholder:"FILE"`
}

// idleTimes are the pauses before requests of which the latency is measured.
var idleTimes = []time.Duration{2 * time.Second, 10 * time.Second}

// Validate is called by kong.
func (c *doctorCommand) Validate() error {
	if c.SpeedTime < 0 || c.SpeedTime > time.Minute {
		return fmt.Errorf("--speed-time is %v, want 0 to %v", c.SpeedTime, time.Minute)
	}
	drivers := c.config().Drivers
	if c.Full && !slices.Contains(drivers, engine.BackendSim) {
		return fmt.Errorf("--full: it has no effect without --driver=%s", engine.BackendSim)
	}
	if len(c.Compare) > 2 {
		return fmt.Errorf("--compare has %d files, want one or two", len(c.Compare))
	}
	if len(c.Compare) > 0 && c.Format == "json" {
		return errors.New("--compare prints text: --format=json has no effect")
	}
	return nil
}

// Run is called by kong.
func (c *doctorCommand) Run(ctx context.Context, std streams, parsed *kong.Context) error {
	reports := make([]*doctor.Report, len(c.Compare), 2)
	for i, path := range c.Compare {
		var err error
		if reports[i], err = readReport(path); err != nil {
			return err
		}
	}
	if len(reports) == 2 {
		return printDifferences(std.out, reports[0], reports[1])
	}
	report, err := c.examine(ctx, std, unknownVariables(ctx, parsed.Model, os.Environ()))
	if err != nil {
		return err
	}
	switch {
	case len(reports) == 1:
		err = printDifferences(std.out, reports[0], report)
	case c.Format == "json":
		err = json.MarshalWrite(std.out, report, jsontext.WithIndent("  "), json.Deterministic(true))
	default:
		err = printReport(std.out, report)
	}
	if err == nil && !report.Healthy() {
		err = fmt.Errorf("%d faults were found", len(report.Faults))
	}
	return err
}

func readReport(path string) (*doctor.Report, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	report, err := doctor.Read(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return report, nil
}

// examine makes the report with a log.
func (c *doctorCommand) examine(ctx context.Context, std streams, unknown []string) (_ *doctor.Report, err error) {
	config := c.config()
	config.TuningFolder, config.Variables = engine.TuningFolder(), unknown
	path := c.Log
	if path == "" {
		folder, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("%w; say where with --log", err)
		}
		path = filepath.Join(folder, "metalrank", "doctor.log")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, fmt.Errorf("%w; say where with --log", err)
		}
	}
	log, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("--log: %w", err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	config.Log = log
	fmt.Fprintf(std.err, "each step is written to %s\n", path)
	return examine(ctx, config, std.err)
}

// otherVariables are read without being flags.
var otherVariables = []string{apiKeysVariable, "METALRANK_CPU", "METALRANK_METALLIB", "METALRANK_CLANG", "METALRANK_TEST_LONG", "METALRANK_SIGN", "METALRANK_NOTARY"}

// unknownVariables returns the variables with the programs' prefix that neither metalrank nor metalrank-bulk reads.
func unknownVariables(ctx context.Context, app *kong.Application, environment []string) []string {
	var manual []byte // of metalrank-bulk; empty where it is not installed
	if path, err := findBulk(); err == nil {
		manual, _ = exec.CommandContext(ctx, path, "manual").Output()
	}
	return slices.DeleteFunc(cli.UnknownVariables(app, cli.Environment, environment), func(name string) bool {
		return slices.Contains(otherVariables, name) || regexp.MustCompile(`\b`+regexp.QuoteMeta(name)+`\b`).Match(manual)
	})
}

func (c *doctorCommand) config() doctor.Config {
	config := doctor.Config{
		Version: cli.CurrentBuild().Version, OpenDevice: open.Device, Drivers: c.Driver, Full: c.Full, SpeedTime: c.SpeedTime,
		Times: !slices.Contains(c.Skip, "times"),
	}
	if !slices.Contains(c.Skip, "latency") {
		config.Idle = idleTimes
	}
	if len(config.Drivers) == 0 {
		config.Drivers = []string{engine.BackendSim}
	}
	if len(c.Driver) > 0 {
		config.Needed = c.Driver
	} else if runtime.GOOS == "darwin" {
		config.Drivers, config.Needed = []string{engine.BackendMetal}, []string{engine.BackendMetal}
	}
	if program, err := os.Executable(); err == nil && runtime.GOOS == "darwin" && slices.Contains(config.Drivers, engine.BackendMetal) &&
		!slices.Contains(c.Skip, "validation") {
		config.Validate = []string{
			program, "doctor", "--driver=" + engine.BackendMetal, "--speed-time=0", "--skip=times,latency,validation", "--format=json",
			"--log=" + os.DevNull,
		}
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
