package kernels

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
)

// TestFitting checks the rule for the choice of a variant.
func TestFitting(t *testing.T) {
	for _, c := range []struct {
		norm        bool
		m, n, cores int
		want        string
	}{
		{false, 3424, 1536, 10, "64x16"},
		{false, 1024, 384, 80, "32x16"}, // 6 x 16 threadgroups of 64 x 64 are too few for 80 cores, and so are 3 x 32 of 32 x 128
		{false, 65, 1536, 10, "8x32"},   // two tiles of 64 would waste half of their rows, three of 32 a third
		{false, 1, 384, 10, "8x32"},
		{true, 3424, 384, 10, "32x32"},
		{true, 512, 384, 10, "16x48"},
		{true, 32, 384, 10, "8x48"},
	} {
		var all []compiled
		for _, v := range (Shape{Norm: c.norm}).listed() {
			if v.fits(Shape{Norm: c.norm}) {
				all = append(all, compiled{Variant: v.Variant})
			}
		}
		if got := all[fitting(all, c.m, c.n, c.cores)].String(); got != c.want {
			t.Errorf("%d x %d on %d cores: %s, want %s", c.m, c.n, c.cores, got, c.want)
		}
	}
	for name, want := range map[string]int{"Apple M2": 10, "Apple M1 Pro": 20, "Apple M4 Max": 40, "Apple M2 Ultra": 80, "simulator": 10} {
		if got := gpuCores(name); got != want {
			t.Errorf("%s: %d cores, want %d", name, got, want)
		}
	}
}

// TestCandidates wants those that exceed a device's threads left out.
func TestCandidates(t *testing.T) {
	for _, c := range []struct {
		shape   Shape
		threads int
		want    bool
	}{
		{Shape{N: 1 << 20}, 128, true}, {Shape{N: 1 << 20}, 96, false}, {Shape{Norm: true, N: 384}, 256, true},
		{Shape{Norm: true, N: 392}, 256, false}, {Shape{Norm: true, N: 576}, 1024, true}, {Shape{Norm: true, N: 584}, 4096, false},
	} {
		got := Candidates(c.shape, metal.Info{MaxThreadsPerGroup: c.threads, MaxThreadgroupMemoryBytes: 32768})
		if (len(got) > 0) != c.want {
			t.Errorf("%+v with %d threads: %v", c.shape, c.threads, got)
		}
	}
}

// TestMemory compares the bytes of threadgroup memory that a variant is said to take with the compiler's.
func TestMemory(t *testing.T) {
	library := Open(simtest.Open(t, sim.Config{}), F16)
	simtest.CloseLater(t, library)
	for _, s := range []Shape{{N: 256, K: 64}, {N: 256, K: 64, Bits: 4}, {N: 256, K: 64, FewRows: true}, {N: 384, K: 64, Norm: true}} {
		linear := Linear{Weights: Matrix{N: s.N, K: s.K, Bits: s.Bits, GroupSize: 32}}
		for _, v := range s.listed() {
			kernel, err := library.compile(s, &linear, v.Variant)
			if err != nil {
				t.Fatal(err)
			}
			if got := kernel.pipeline.Info().ThreadgroupMemoryBytes; got != v.memory(s) {
				t.Errorf("%+v by %s: %d bytes, said to be %d", s, v, got, v.memory(s))
			}
		}
	}
	large := listed{Variant: Variant{Rows: 64, Columns: 32, Simdgroups: 4, Depth: 64, Way: Staged}}
	if err := large.exceeds(Shape{}, metal.Info{MaxThreadsPerGroup: 1024, MaxThreadgroupMemoryBytes: 32768}); err == nil {
		t.Errorf("%d bytes of threadgroup memory fit 32,768", large.memory(Shape{}))
	}
}

// TestFewRows wants splits for products of few rows alone, but for those with a norm.
func TestFewRows(t *testing.T) {
	device := metal.Info{MaxThreadsPerGroup: 1024, MaxThreadgroupMemoryBytes: 32768}
	weights := Matrix{N: 384, K: 384}
	for _, c := range []struct{ few, norm, want bool }{{true, false, true}, {false, false, false}, {true, true, false}} {
		shape := (&Linear{Weights: weights, FewRows: c.few}).Shape(F16, c.norm)
		splits := 0
		for _, v := range Candidates(shape, device) {
			if columns, rows := v.groups(17, 96); v.Split > 0 && (columns != 96/v.Columns || rows != ceilDiv(17, v.Rows)) {
				t.Errorf("%s: %d x %d threadgroups for 17 x 96", v, columns, rows)
			}
			splits += v.Split
		}
		if (splits > 0) != c.want {
			t.Errorf("%+v: %v", shape, Candidates(shape, device))
		}
	}
}

// limited is a device with kernels that may have fewer threads than they want.
type limited struct {
	metal.Device
	threads map[string]int // by a part of the kernel's name
}

type limitedLibrary struct {
	metal.Library
	threads map[string]int
}

type limitedPipeline struct {
	metal.Pipeline
	threads int
}

func (d limited) NewLibrary(source metal.Source) (metal.Library, error) {
	l, err := d.Device.NewLibrary(source)
	return limitedLibrary{l, d.threads}, err
}

func (l limitedLibrary) Pipeline(kernel string, constants ...metal.Constant) (metal.Pipeline, error) {
	p, err := l.Library.Pipeline(kernel, constants...)
	for part, threads := range l.threads {
		if strings.Contains(kernel, part) {
			return limitedPipeline{p, threads}, err
		}
	}
	return p, err
}

func (p limitedPipeline) Info() metal.PipelineInfo {
	info := p.Pipeline.Info()
	info.MaxThreads = p.threads
	return info
}

// TestPin checks which variant a run takes: a layer's own, a pinned one, or one that fits.
func TestPin(t *testing.T) {
	device := simtest.Open(t, sim.Config{})
	linear := Linear{Weights: Matrix{N: 256, K: 64}}
	choice := Choice{Shape: linear.Shape(F16, false), Rows: 64, Variant: "8x32"}
	another := Choice{Shape: choice.Shape, Rows: math.MaxInt, Variant: "32x32"}
	few := choice.Shape
	few.FewRows = true
	split8 := Choice{Shape: few, Rows: 8, Variant: "8x32_split4"}
	split := Choice{Shape: few, Rows: math.MaxInt, Variant: "16x32_split4"}
	for _, c := range []struct {
		name    string
		threads map[string]int
		pinned  []Choice
		variant string // the layer's own
		rows    int
		want    string // "": a LimitError
	}{
		{"the rule", nil, nil, "", 4096, "64x16"},
		{"the rule, without the greatest", map[string]int{"64x16": 96}, nil, "", 4096, "32x32"},
		{"the rule, where nothing fits", map[string]int{"x32": 96, "x16": 96}, nil, "", 4096, ""},
		{"pinned", nil, []Choice{choice}, "", 64, "8x32"},
		{"more rows than pinned", nil, []Choice{choice}, "", 4096, "64x16"},
		{"pinned for more rows", nil, []Choice{another, choice}, "", 65, "32x32"},
		{"pinned, and too large", map[string]int{"32x32": 96}, []Choice{another}, "", 4096, "64x16"},
		{"the layer's", nil, []Choice{another}, "8x32", 4096, "8x32"},
		{"the layer's, and too large", map[string]int{"8x32": 96}, nil, "8x32", 4096, ""},
		{"split", nil, []Choice{split8, split}, "", 4096, "16x32_split4"},
		{"split, few rows", nil, []Choice{split8, split}, "", 8, "8x32_split4"},
		{"split, one too large", map[string]int{"8x32_split4": 96}, []Choice{split8, split}, "", 8, "16x32_split4"},
		{"split, and too large for many rows", map[string]int{"16x32_split4": 96}, []Choice{split8, split}, "", 8, "8x32"},
		{"the layer's split", nil, nil, "8x16_split4", 4096, "8x16_split4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			library := Open(limited{device, c.threads}, F16)
			simtest.CloseLater(t, library)
			if err := library.Pin(c.pinned...); err != nil {
				t.Fatal(err)
			}
			linear := linear
			linear.Variant, linear.FewRows = c.variant, strings.Contains(c.name, "split")
			gemm, err := library.NewGemm(linear)
			if _, ok := errors.AsType[*metal.LimitError](err); ok != (c.want == "") || err != nil && !ok {
				t.Fatal(err)
			}
			if err == nil && gemm.kernel(c.rows).String() != c.want {
				t.Errorf("%d rows take %s, want %s", c.rows, gemm.kernel(c.rows), c.want)
			}
		})
	}
	library := Open(device, F16)
	simtest.CloseLater(t, library)
	if err := library.Pin(Choice{Shape: choice.Shape, Rows: 1, Variant: "7x7"}); err == nil || !strings.Contains(err.Error(), `no variant "7x7"`) {
		t.Errorf("pinned a variant that there is not: %v", err)
	}
	for name, choices := range map[string][]Choice{
		"long runs without": {split8}, "long runs by another": {split8, {Shape: few, Rows: math.MaxInt, Variant: "8x32_split8"}},
		"short runs without": {{Shape: few, Rows: 8, Variant: "8x32"}, split},
	} {
		if err := library.Pin(choices...); err == nil || !strings.Contains(err.Error(), "several orders: ") {
			t.Errorf("pinned a split, %s: %v", name, err)
		}
	}
	if err := library.Pin(Choice{Shape: choice.Shape, Rows: math.MaxInt, Variant: "8x32_split4"}); err == nil || !strings.Contains(err.Error(), "no variant") {
		t.Errorf("pinned a split for a layer of many rows: %v", err)
	}
	linear.Variant = "7x7"
	if _, err := library.NewGemm(linear); err == nil || !strings.Contains(err.Error(), `no variant "7x7"`) {
		t.Errorf("a layer with a variant that there is not: %v", err)
	}
}
