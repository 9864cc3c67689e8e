package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/kernels/selftest"
	"github.com/metalrank/metalrank/kernels/tune"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
)

// shared lends one simulator to many tests: it ignores Close, since an examination closes its device.
type shared struct{ metal.Device }

func (shared) Close() error { return nil }

// simulated returns a Config with a simulator as "sim", and no other driver.
func simulated(t *testing.T, sources fs.FS) *Config {
	t.Helper()
	device := simtest.Open(t, sim.Config{})
	return &Config{
		OpenDevice: func(driver string) (metal.Device, error) {
			if driver != "sim" {
				return nil, fmt.Errorf("%w: none is called %q", metal.ErrNoDevice, driver)
			}
			return shared{device}, nil
		},
		Drivers: []string{"sim"}, Kernels: sources, Progress: func(string) {}, Times: true,
	}
}

// spoilt returns the kernels with old replaced by replacement in one file.
func spoilt(t *testing.T, file, old, replacement string) fs.FS {
	t.Helper()
	files := fstest.MapFS{}
	err := fs.WalkDir(kernels.Files(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(kernels.Files(), path)
		files[path] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	text := string(files[file].Data)
	if strings.Count(text, old) != 1 {
		t.Fatalf("%s has %q %d times, want once", file, old, strings.Count(text, old))
	}
	files[file].Data = []byte(strings.Replace(text, old, replacement, 1))
	return files
}

func TestSoundKernels(t *testing.T) {
	d := examineDriver(t.Context(), simulated(t, kernels.Files()), "sim")
	if d.Error != "" || d.Absent || len(d.Failures) > 0 || d.Skipped > 0 || d.Cases != len(selftest.Cases()) {
		t.Errorf("%+v", d)
	}
	if d.Device != "simulator" || !d.Simulated || !strings.Contains(d.Compiler, "clang") {
		t.Errorf("device %q, simulated %v, compiler %q", d.Device, d.Simulated, d.Compiler)
	}
	if d.NotMeasured != "simulated" || d.Limits != nil || d.Sources != nil || d.Pipelines != nil || d.Times != nil || d.Lanes != nil {
		t.Errorf("figures of the simulator are shown as a device's: %+v", d)
	}
}

// A kernel that gets element 3 of its first row wrong is named, with that element.
func TestBrokenKernel(t *testing.T) {
	last := "H, args.epsilon, lane);\n"
	config := simulated(t, spoilt(t, "norm.metal", last, last+"    if (m == 0 && lane == 0) {\n        y[3] = T(1000);\n    }\n"))
	norms := selftest.Of(selftest.Cases(), "norm.metal")
	config.cases = slices.Concat(norms, selftest.Of(selftest.Cases(), "embed.metal"))
	d := examineDriver(t.Context(), config, "sim")
	if d.Error != "" || len(d.Failures) != len(norms) {
		t.Fatalf("error %q; %d failures, want %d", d.Error, len(d.Failures), len(norms))
	}
	for _, f := range d.Failures {
		if f.File != "norm.metal" || len(f.Kernels) != 1 || !strings.HasPrefix(f.Kernels[0], "norm_f") {
			t.Errorf("blamed: %s %v", f.File, f.Kernels)
		}
		if f.Element == nil || *f.Element != 3 || f.Got != "1000" || f.Wrong != 1 || math.Abs(f.Want) > 100 {
			t.Errorf("%+v", f)
		}
	}
	r := Report{Drivers: []Driver{d}}
	r.judge(&Config{})
	if r.Healthy() || !strings.Contains(r.Faults[0], "norm_f") || !strings.Contains(r.Faults[0], "element 3 is 1000") {
		t.Errorf("faults %.200q", r.Faults)
	}
}

// A file that doesn't compile is reported once for each dtype, with the compiler's words; the others are examined.
func TestKernelThatDoesNotCompile(t *testing.T) {
	const include = `#include "gemm.h"`
	sources := spoilt(t, "head.metal", include, "undeclared;\n"+include)
	text, err := fs.ReadFile(sources, "head.metal")
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(text), "undeclared")
	place := fmt.Sprintf("head.metal:%d", 1+strings.Count(before, "\n"))
	config, heads := simulated(t, sources), selftest.Of(selftest.Cases(), "head.metal")
	config.cases = slices.Concat(heads, selftest.Of(selftest.Cases(), "embed.metal"))
	d := examineDriver(t.Context(), config, "sim")
	if d.Error != "" || len(d.Failures) != 2 || d.Skipped != len(heads)-2 || d.Cases+d.Skipped != len(config.cases) {
		t.Fatalf("error %q; failures %v; %d cases, %d skipped", d.Error, d.Failures, d.Cases, d.Skipped)
	}
	for _, f := range d.Failures {
		if f.File != "head.metal" || f.Element != nil || !strings.Contains(f.Error, place) {
			t.Errorf("%+v", f)
		}
	}
}

// A device that hangs ends the examination when ctx does.
func TestHangingDevice(t *testing.T) {
	config := simulated(t, kernels.Files())
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second/4, errors.New("out of patience"))
	defer cancel()
	open := config.OpenDevice
	config.OpenDevice = func(driver string) (metal.Device, error) {
		device, err := open(driver)
		return hanging{device}, err
	}
	var log bytes.Buffer
	config.Log = &log
	d := examineDriver(ctx, config, "sim")
	if d.Error == "" || d.Cases > 1 {
		t.Errorf("%d cases, error %q", d.Cases, d.Error)
	}
	if lines := strings.Split(log.String(), "\n"); len(lines) < 3 || !strings.Contains(log.String(), "lanes on sim") {
		t.Errorf("the log doesn't say where it hangs: %q", log.String())
	}
}

// hanging is a device on which no submission ends.
type hanging struct{ metal.Device }

func (h hanging) Submit(list *metal.CommandList) (metal.Pending, error) {
	pending, err := h.Device.Submit(list)
	if err != nil {
		return nil, err
	}
	return endless{pending}, nil
}

type endless struct{ metal.Pending }

func (e endless) Wait(ctx context.Context) (metal.Timing, error) {
	<-ctx.Done()
	_, err := e.Pending.Wait(context.WithoutCancel(ctx)) // the buffers must outlive it
	return metal.Timing{}, errors.Join(ctx.Err(), err)
}

// A whole examination without devices: an absent driver is a note, or a fault if it is needed; the CPU is examined.
func TestWithoutDevices(t *testing.T) {
	for _, needed := range [][]string{nil, {"metal"}} {
		config := Config{
			Version: "test", Drivers: []string{"metal"}, Needed: needed,
			OpenDevice: func(string) (metal.Device, error) { return nil, fmt.Errorf("%w: not here", metal.ErrNoDevice) },
		}
		speeds := 0
		if needed == nil { // speed does not depend on needed
			config.SpeedTime, speeds = 50*time.Millisecond, 2
		}
		r, err := Examine(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		if r.Healthy() != (needed == nil) {
			t.Errorf("needed %v: faults %q", needed, r.Faults)
		}
		told := slices.Concat(r.Faults, r.Notes)
		if len(told) != 1 || !strings.Contains(told[0], "not here") {
			t.Errorf("%q", told)
		}
		if r.Latencies != nil || r.Format != Format || r.Before.Build == "" || r.After.Build == "" {
			t.Errorf("latencies %v, format %d, states %+v, %+v", r.Latencies, r.Format, r.Before, r.After)
		}
		if len(r.Goldens) != 2 || len(r.Speeds) != speeds {
			t.Fatalf("%d goldens, %d speeds, want 2 and %d", len(r.Goldens), len(r.Speeds), speeds)
		}
		for i, g := range r.Goldens {
			if !g.Right() || g.Pairs != 36 {
				t.Errorf("%+v", g)
			}
			if speeds > 0 && (g.System != r.Speeds[i].System || r.Speeds[i].Rounds != speedRounds || r.Speeds[i].PairsPerSecond <= 0) {
				t.Errorf("%+v; %+v", g, r.Speeds[i])
			}
		}
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Examine(ctx, Config{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestOlder wants a line for each file and each variable that an older version may have read, and no fault for them.
func TestOlder(t *testing.T) {
	folder := t.TempDir()
	if err := tune.Write(folder, tune.Key{Device: "d", System: "s", Kernels: "of another version"}, nil); err != nil {
		t.Fatal(err)
	}
	report, err := Examine(t.Context(), Config{
		OpenDevice: func(string) (metal.Device, error) { return nil, metal.ErrNoDevice }, TuningFolder: folder, Variables: []string{"METALRANK_GONE"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Older) != 2 || !strings.HasPrefix(report.Older[0], folder) || !strings.HasPrefix(report.Older[1], "METALRANK_GONE: ") {
		t.Errorf("older: %q", report.Older)
	}
}

// A difference that is no finite number is wrong.
func TestGoldenRight(t *testing.T) {
	for _, c := range []struct {
		difference float64
		right      bool
	}{{0, true}, {1, true}, {1.1, false}, {finite(math.NaN()), false}, {finite(math.Inf(1)), false}} {
		g := Golden{Difference: c.difference, Allowed: 1}
		if g.Right() != c.right {
			t.Errorf("%v: %v", c.difference, g.Right())
		}
	}
}
