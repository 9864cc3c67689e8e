package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/kernels/selftest"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
)

// caseTime is how long one case may take. They take milliseconds; the first of a kernel also compiles it, which takes
// the simulator some seconds on a slow machine.
const caseTime = time.Minute

// Driver is the result of the kernels' cases on a device.
type Driver struct {
	Name      string   `json:"name"`             // "metal", "sim"
	Absent    bool     `json:"absent,omitempty"` // there is no such device, and Error says why
	Device    string   `json:"device,omitempty"`
	Families  []string `json:"families,omitempty"`
	Compiler  string   `json:"compiler,omitempty"`
	Simulated bool     `json:"simulated,omitempty"`
	// NotMeasured says why there are no Limits, Sources, Pipelines and Times: those of a simulated device say nothing about
	// any real one.
	NotMeasured  string     `json:"not_measured,omitempty"`
	Architecture string     `json:"architecture,omitempty"` // "applegpu_g13s"
	Cores        int        `json:"gpu_cores,omitempty"`    // 0: not known
	Limits       *Limits    `json:"limits,omitempty"`
	Sources      []Source   `json:"sources,omitempty"`
	Pipelines    []Pipeline `json:"pipelines,omitempty"`
	Times        *Times     `json:"times,omitempty"`
	// Lanes is the layout of 8 x 8 matrices where it is not the expected one, as selftest.Lanes returns it. Nil: it is.
	Lanes []string `json:"lanes,omitempty"`
	// Cases were run, each twice: in buffers that end where their operand does, and among guard words.
	Cases    int       `json:"cases"`
	Skipped  int       `json:"skipped,omitempty"` // cases of a file that did not compile
	Failures []Failure `json:"failures,omitempty"`
	Limited  []Limited `json:"limited,omitempty"` // cases that ask for more than the device has
	Error    string    `json:"error,omitempty"`   // why the rest was not run
	Seconds  float64   `json:"seconds"`
}

// real says whether there is a device that is not simulated.
func (d *Driver) real() bool { return !d.Absent && !d.Simulated }

// Limits are those of a device.
type Limits struct {
	MaxThreads       int  `json:"max_threads"` // in a threadgroup
	ThreadgroupBytes int  `json:"threadgroup_memory_bytes"`
	BufferBytes      int  `json:"buffer_bytes"`
	WorkingSetBytes  int  `json:"working_set_bytes"`
	PageBytes        int  `json:"page_bytes"`
	ExecutionWidth   int  `json:"execution_width"`
	UnifiedMemory    bool `json:"unified_memory"`
}

// Limited is a limit of the device that cases exceed.
type Limited struct {
	Kernel  string `json:"kernel"`
	Cases   int    `json:"cases"`
	Error   string `json:"error"`   // of the first
	Instead string `json:"instead"` // operations that a model runs
}

// Failure is a case that has a wrong answer, or that did not run.
type Failure struct {
	Case    string   `json:"case"`
	File    string   `json:"file"`              // "gemm.metal"
	Kernels []string `json:"kernels,omitempty"` // that it launched
	Layout  string   `json:"buffers"`           // "exact" or "guarded"
	Error   string   `json:"error"`
	// Where elements are wrong: the worst of them, and how many there are.
	Element          *int    `json:"element,omitempty"`
	Got              string  `json:"got,omitempty"` // as text: it may be NaN
	Want             float64 `json:"want,omitempty"`
	PercentOfAllowed float64 `json:"percent_of_allowed,omitempty"` // -1: infinite
	Wrong            int     `json:"wrong,omitempty"`
	Elements         int     `json:"elements,omitempty"`
}

// String names the kernel and, if there is one, the worst element.
func (f Failure) String() string {
	where := f.File
	if len(f.Kernels) > 0 {
		where = strings.Join(f.Kernels, ", ") + " (" + f.File + ")"
	}
	if f.Element == nil {
		return fmt.Sprintf("%s: %s: %s", where, f.Case, f.Error)
	}
	return fmt.Sprintf("%s: %s, %s buffers: element %d is %s, want %g; %d of %d elements are wrong",
		where, f.Case, f.Layout, *f.Element, f.Got, f.Want, f.Wrong, f.Elements)
}

// layouts are the buffer layouts in which each case is run.
var layouts = []struct {
	name   string
	layout problem.Layout
}{{"exact", problem.Exact}, {"guarded", problem.Guarded}}

// examineDriver runs every case on a device.
func examineDriver(ctx context.Context, config *Config, name string) (d Driver) {
	d.Name = name
	begin := time.Now()
	defer func() { d.Seconds = time.Since(begin).Seconds() }()
	config.step("opening %s", name)
	device, err := config.OpenDevice(name)
	if err != nil {
		d.Absent, d.Error = errors.Is(err, metal.ErrNoDevice), err.Error()
		return d
	}
	info := device.Info()
	d.Device, d.Families, d.Compiler, d.Simulated = info.Name, info.Families, info.Compiler, info.Simulated
	d.Architecture, d.Cores = info.Architecture, info.Cores
	if d.Simulated {
		d.NotMeasured = "simulated"
	} else {
		d.Limits = &Limits{
			MaxThreads: info.MaxThreadsPerGroup, ThreadgroupBytes: info.MaxThreadgroupMemoryBytes, BufferBytes: info.MaxBufferSizeBytes,
			WorkingSetBytes: info.WorkingSetSizeBytes, PageBytes: info.PageSizeBytes, ExecutionWidth: info.SIMDWidth,
			UnifiedMemory: info.UnifiedMemory,
		}
	}
	config.logf("%+v", info)
	run := d.run
	if unsupported := info.Unsupported(); unsupported != nil { // its compiler may crash, too
		run = func(context.Context, *Config, metal.Device) error { return unsupported }
	}
	if err := errors.Join(run(ctx, config, device), device.Close()); err != nil {
		d.Error = err.Error()
		config.logf("%s: %v", name, err)
	}
	return d
}

// run is examineDriver with an open device. An error ends it before all cases were run.
func (d *Driver) run(ctx context.Context, config *Config, device metal.Device) (err error) {
	observed := &observed{Device: device, config: config, simulated: d.Simulated}
	defer func() { d.Sources, d.Pipelines = observed.sources, observed.pipelines }()
	config.step("lanes on %s", d.Name)
	if d.Lanes, err = selftest.Lanes(ctx, observed); err != nil {
		return fmt.Errorf("lanes: %w", err)
	}
	if d.Lanes != nil {
		config.logf("lanes: %q", d.Lanes)
	}
	watched := &selftest.Watched{Device: observed}
	libraries := map[kernels.DType]*kernels.Library{}
	for _, dtype := range []kernels.DType{kernels.F16, kernels.F32} {
		libraries[dtype] = kernels.OpenFiles(watched, dtype, config.Kernels)
	}
	defer func() {
		for _, library := range libraries {
			err = errors.Join(err, library.Close())
		}
	}()
	broken := map[string]bool{} // files that do not compile, with their dtype
	cases := config.cases
	if cases == nil {
		cases = selftest.Cases()
	}
	for i := range cases {
		c := &cases[i]
		build := c.File + " " + c.DType.String()
		if broken[build] {
			d.Skipped++
			continue
		}
		config.step("kernels on %s: case %d of %d: %s", d.Name, i+1, len(cases), c.Name)
		failure, err := runCase(ctx, watched, libraries[c.DType], c)
		d.Cases++
		if limit, ok := errors.AsType[*metal.LimitError](err); ok {
			config.logf("%v", limit)
			d.limit(limit)
			continue
		}
		if failure != nil {
			config.logf("%v", failure)
			d.Failures = append(d.Failures, *failure)
		}
		if _, ok := errors.AsType[*metal.CompileError](err); ok {
			broken[build] = true
		} else if err != nil {
			return err
		}
	}
	if config.Times && !d.Simulated {
		d.Times = config.measure(ctx, observed, libraries[kernels.F16], probeThreads, shapesOf(device.Info(), timedHidden, timedRows))
	}
	return nil
}

// limit notes a limit that a case exceeds.
func (d *Driver) limit(err *metal.LimitError) {
	i := slices.IndexFunc(d.Limited, func(l Limited) bool { return l.Kernel == err.Kernel })
	if i < 0 {
		instead := "a model that needs it is refused, or computed by the CPU with --backend=auto"
		if strings.HasPrefix(err.Kernel, "gemm_norm") {
			instead = "models get gemm and norm instead"
		}
		i, d.Limited = len(d.Limited), append(d.Limited, Limited{Kernel: err.Kernel, Error: err.Error(), Instead: instead})
	}
	d.Limited[i].Cases++
}

// runCase runs a case in each layout, to the first that fails. An error says that the device cannot go on, that the kernel
// could not be built, or, a *metal.LimitError, that the device cannot have it.
func runCase(ctx context.Context, device *selftest.Watched, library *kernels.Library, c *selftest.Case) (*Failure, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, caseTime, fmt.Errorf("%s: %s has not ended within %v", c.File, c.Name, caseTime))
	defer cancel()
	for _, l := range layouts {
		_, err := c.Run(ctx, device, library, l.layout)
		launched := device.Take()
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		failure := newFailure(c, l.name, launched, err)
		if _, ok := errors.AsType[*metal.CompileError](err); ok {
			return failure, err
		}
		if _, ok := errors.AsType[*metal.LimitError](err); ok {
			return nil, err
		}
		return failure, nil
	}
	return nil, nil
}

func newFailure(c *selftest.Case, layout string, launched []string, err error) *Failure {
	f := &Failure{Case: c.Name, File: c.File, Kernels: launched, Layout: layout, Error: err.Error()}
	if answer, ok := errors.AsType[*problem.AnswerError](err); ok {
		f.Element, f.Got, f.Want = &answer.Index, fmt.Sprint(answer.Got), answer.Want
		f.Wrong, f.Elements, f.PercentOfAllowed = answer.Wrong, answer.Count, finite(answer.PercentOfAllowed)
	}
	return f
}
