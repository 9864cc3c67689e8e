package doctor

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/kernels/selftest"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/peaks"
)

// gpu is the simulator, which says of itself that it is a GPU, with another limit, other lanes, and times that are made up.
type gpu struct {
	metal.Device

	name       string                                      // "": "Apple M9"
	maxThreads int                                         // of each pipeline
	source     func(metal.Source) metal.Source             // nil: as it is
	took       func(list *metal.CommandList) time.Duration // nil: the simulator's time
}

func (g *gpu) Info() metal.Info {
	info := g.Device.Info()
	info.Name, info.Architecture, info.Cores, info.Simulated = cmp.Or(g.name, "Apple M9"), "applegpu_g99s", 7, false
	info.Families = []string{metal.OldestFamily}
	return info
}

func (g *gpu) NewLibrary(source metal.Source) (metal.Library, error) {
	if g.source != nil {
		source = g.source(source)
	}
	library, err := g.Device.NewLibrary(source)
	return gpuLibrary{library, g.maxThreads}, err
}

type gpuLibrary struct {
	metal.Library

	maxThreads int
}

func (l gpuLibrary) Pipeline(kernel string, constants ...metal.Constant) (metal.Pipeline, error) {
	pipeline, err := l.Library.Pipeline(kernel, constants...)
	if err != nil {
		return nil, err
	}
	return &gpuPipeline{pipeline, l.maxThreads}, nil
}

type gpuPipeline struct {
	metal.Pipeline

	maxThreads int
}

func (p *gpuPipeline) Info() metal.PipelineInfo {
	info := p.Pipeline.Info()
	info.MaxThreads, info.Precompiled = p.maxThreads, true
	return info
}

func (g *gpu) Submit(list *metal.CommandList) (metal.Pending, error) {
	bare := *list
	bare.Commands = slices.Clone(list.Commands)
	for i := range bare.Commands {
		if p, ok := bare.Commands[i].Pipeline.(*gpuPipeline); ok {
			bare.Commands[i].Pipeline = p.Pipeline
		}
	}
	pending, err := g.Device.Submit(&bare)
	if err != nil || g.took == nil {
		return pending, err
	}
	return timed{pending, g.took(list)}, nil
}

type timed struct {
	metal.Pending

	took time.Duration
}

func (t timed) Wait(ctx context.Context) (metal.Timing, error) {
	_, err := t.Pending.Wait(ctx)
	return metal.Timing{Start: time.Second, End: time.Second + t.took}, err
}

// withGPU returns a Config with a gpu as "metal".
func withGPU(t *testing.T, change func(*gpu)) *Config {
	t.Helper()
	config := simulated(t, kernels.Files())
	device, err := config.OpenDevice("sim")
	if err != nil {
		t.Fatal(err)
	}
	config.OpenDevice = func(string) (metal.Device, error) {
		g := &gpu{Device: device, maxThreads: 1024}
		change(g)
		return g, nil
	}
	config.Times, config.cases = false, selftest.Of(selftest.Share(selftest.Cases()), "gemm_norm.metal")
	return config
}

// A device's limits and pipelines are in the report. A kernel that asks for more threads than the device has is a note that
// names its replacement, and no fault.
func TestLimitedDevice(t *testing.T) {
	config := withGPU(t, func(g *gpu) { g.maxThreads = 128 })
	r := Report{Drivers: []Driver{examineDriver(t.Context(), config, "metal")}}
	d := &r.Drivers[0]
	if d.Error != "" || len(d.Failures) > 0 || len(d.Limited) == 0 {
		t.Fatalf("error %q, failures %v, limited %v", d.Error, d.Failures, d.Limited)
	}
	if d.Architecture != "applegpu_g99s" || d.Cores != 7 || d.Limits == nil || d.Limits.MaxThreads != 1024 || d.NotMeasured != "" {
		t.Errorf("%+v", d)
	}
	if len(d.Sources) != 3 || len(d.Pipelines) < 3 { // lanes, and gemm_norm in two types
		t.Fatalf("sources %v, pipelines %v", d.Sources, d.Pipelines)
	}
	for _, p := range d.Pipelines {
		if p.MaxThreads != 128 || p.Width != 32 || p.Specialised == 0 || !p.Precompiled || p.CompileMS < p.LongestMS {
			t.Errorf("%+v", p)
		}
	}
	r.judge(&Config{})
	if !r.Healthy() {
		t.Errorf("faults %q", r.Faults)
	}
	if !slices.ContainsFunc(r.Notes, func(n string) bool {
		return strings.Contains(n, "gemm_norm") && strings.Contains(n, "the limit is 128") && strings.Contains(n, "gemm and norm instead")
	}) {
		t.Errorf("notes %q", r.Notes)
	}
}

// A virtual machine's device is described, and no kernel is compiled on it.
func TestVirtualDevice(t *testing.T) {
	d := examineDriver(t.Context(), withGPU(t, func(g *gpu) { g.name = "Apple Paravirtual device" }), "metal")
	if !strings.Contains(d.Error, "Apple Paravirtual device is not supported") || d.Cases > 0 || d.Limits == nil || d.Sources != nil {
		t.Errorf("%+v", d)
	}
}

// Other lanes are a fault, the worst, with the map; and the cases run.
func TestOtherLanes(t *testing.T) {
	config := withGPU(t, func(g *gpu) {
		g.source = func(s metal.Source) metal.Source {
			if s.Name == "lanes.metal" {
				s.Text = strings.ReplaceAll(s.Text, "y[2 * lane]", "y[2 * (lane ^ 1)]")
			}
			return s
		}
	})
	r := Report{Drivers: []Driver{examineDriver(t.Context(), config, "metal")}, Goldens: []Golden{{System: "x", Error: "bad"}}}
	d := &r.Drivers[0]
	if len(d.Lanes) != 64 || d.Lanes[1] != "f16 lane 1: 0,0 0,3" || d.Lanes[32] != "f32 lane 0: 0,2 0,1" || d.Cases == 0 || d.Error != "" {
		t.Errorf("%d cases, error %q, lanes %q", d.Cases, d.Error, d.Lanes)
	}
	r.judge(&Config{})
	if len(r.Faults) != 2 || !strings.Contains(r.Faults[0], "lanes") {
		t.Errorf("faults %q", r.Faults)
	}
}

// The quickest variant is found in any order; its share of the roof follows from the peaks.
func TestTimes(t *testing.T) {
	config := withGPU(t, func(g *gpu) {
		g.took = func(list *metal.CommandList) time.Duration {
			each := 20 * time.Millisecond // of a probe: enough not to be repeated
			for i := range list.Commands {
				switch kernel := list.Commands[i].Pipeline.Info().Kernel; {
				case strings.HasSuffix(kernel, "_32x32"):
					each = 50 * time.Microsecond
				case strings.Contains(kernel, "_nt_") || strings.HasPrefix(kernel, "attention") || kernel == "nothing":
					each = 100 * time.Microsecond
				}
			}
			return time.Duration(len(list.Commands)) * each
		}
	})
	device, err := config.OpenDevice("metal")
	if err != nil {
		t.Fatal(err)
	}
	library := kernels.Open(device, kernels.F16)
	defer func() {
		if err := library.Close(); err != nil {
			t.Error(err)
		}
	}()
	shapes := shapesOf(device.Info(), []int{64}, []int{8})
	times := config.measure(t.Context(), device, library, 256, shapes)
	if times.Error != "" || len(times.Shapes) != 6 || times.LeftOut != 0 {
		t.Fatalf("%+v", times)
	}
	s := &times.Shapes[0]
	if best, ok := s.Best(); !ok || best.Name != "32x32" || best.US != 50 {
		t.Errorf("best %+v of %+v", best, s)
	}
	flops, bytes := 2*8*192*64., 2*(8*64+192*64+8*192)+4*192.
	roof := min(times.Rates[peaks.Matrices], flops/bytes*times.Rates[peaks.Copy])
	if want := 100 * flops / 50e-6 / roof; s.PercentOfRoof < 0.999*want || s.PercentOfRoof > 1.001*want {
		t.Errorf("%g %% of the roof, want %g", s.PercentOfRoof, want)
	}
	d := Driver{Times: times}
	choices := d.Choices()
	if want := (kernels.Choice{Shape: kernels.Shape{N: 192, K: 64}, Rows: math.MaxInt, Variant: "32x32"}); len(choices) != 5 || choices[0] != want {
		t.Errorf("choices %+v", choices)
	}
	if !choices[3].Norm || times.DispatchUS != 100 || times.EmptyUS <= 0 {
		t.Errorf("choices %+v, a dispatch %g us, an empty list %g us", choices, times.DispatchUS, times.EmptyUS)
	}
}

// Latencies are those of each GPU and of the CPU, after each pause; a GPU that fails says why.
func TestLatencies(t *testing.T) {
	config := Config{
		Idle: []time.Duration{time.Millisecond, 2 * time.Millisecond}, Progress: func(string) {},
		OpenDevice: func(string) (metal.Device, error) { return nil, metal.ErrNoDevice },
	}
	all := config.latencies(t.Context(), []Driver{{Name: "metal"}, {Name: "sim", Simulated: true}})
	if len(all) != 2 || all[0].System != "metal fp16" || all[1].System != "cpu fp32" {
		t.Fatalf("%+v", all)
	}
	if l := all[0]; !strings.Contains(l.Error, "no device") || l.HotMS != 0 {
		t.Errorf("%+v", l)
	}
	if l := all[1]; l.Error != "" || l.HotMS <= 0 || len(l.Idle) != 2 || l.Idle[1].MS <= 0 || l.Idle[1].Seconds != 0.002 || l.Pairs != latencyPairs {
		t.Errorf("%+v", l)
	}
}
