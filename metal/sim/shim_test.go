package sim_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
)

// rig runs the kernels of testdata/shim.metal.
type rig struct {
	device  *sim.Device
	library metal.Library
}

func newRig(t testing.TB, config sim.Config) *rig {
	t.Helper()
	r := &rig{device: simtest.Open(t, config)}
	text, err := os.ReadFile("testdata/shim.metal")
	if err != nil {
		t.Fatal(err)
	}
	if r.library, err = r.device.NewLibrary(metal.Source{Name: "shim.metal", Text: string(text)}); err != nil {
		t.Fatal(err)
	}
	simtest.CloseLater(t, r.library)
	return r
}

// buffer is memory of count zeroed float32s.
func (r *rig) buffer(t testing.TB, count int) (metal.Buffer, []float32) {
	t.Helper()
	b, err := r.device.NewBuffer(4 * count)
	if err != nil {
		t.Fatal(err)
	}
	simtest.CloseLater(t, b)
	clear(b.Bytes())
	return b, unsafe.Slice((*float32)(unsafe.Pointer(&b.Bytes()[0])), count)
}

// run executes one dispatch of a kernel.
func (r *rig) run(t testing.TB, kernel string, constants []metal.Constant, d metal.Dispatch) error {
	t.Helper()
	p, err := r.library.Pipeline(kernel, constants...)
	if err != nil {
		t.Fatal(err)
	}
	simtest.CloseLater(t, p)
	d.Pipeline = p
	e := metal.NewEncoder(r.device)
	if err := e.Dispatch(&d); err != nil {
		t.Fatal(err)
	}
	pending, err := e.Commit()
	if err != nil {
		t.Fatal(err)
	}
	_, err = pending.Wait(context.Background())
	return err
}

func configs() map[string]sim.Config {
	return map[string]sim.Config{"plain": {}, "shuffled": {Seed: 99}, "checked": {Checked: true}}
}

// simdRows returns the results that simd_functions must leave in lane i, row by row; x(i) is lane i's argument.
func simdRows() []func(i int) float64 {
	x := func(i int) float64 { return float64(i + 1) }
	if1 := func(condition bool, a, b float64) float64 {
		if condition {
			return a
		}
		return b
	}
	always := func(v float64) func(int) float64 { return func(int) float64 { return v } }
	prefix := func(i int) float64 { return float64((i + 1) * (i + 2) / 2) }
	quad := func(i int) int { return i &^ 3 }
	return []func(i int) float64{
		always(528), always(32), always(1), always(6), always(32), always(31), always(32),
		prefix, func(i int) float64 { return prefix(i) - x(i) },
		func(i int) float64 { return []float64{1, 2, 6, 24}[min(i, 3)] },
		func(i int) float64 { return x(31 - i) }, func(i int) float64 { return x(i ^ 5) },
		func(i int) float64 { return if1(i < 3, x(i), x(i-3)) }, func(i int) float64 { return if1(i > 28, x(i), x(i+3)) },
		func(i int) float64 { return x((i + 29) % 32) }, func(i int) float64 { return x((i + 3) % 32) },
		func(i int) float64 { return if1(i < 2, -1, x(i-2)) }, func(i int) float64 { return if1(i > 29, -1, x(i+2)) },
		func(i int) float64 { return if1(i%8 > 5, -1, x(i+2)) },
		always(8), always(1), always(0x49249249), always(0), always(1), func(i int) float64 { return if1(i == 0, 1, 0) },
		func(i int) float64 { return float64(4*quad(i) + 10) }, func(i int) float64 { return x(quad(i) + 3) },
		func(i int) float64 { return x(i ^ 1) }, func(i int) float64 { return x(quad(i) + 2) },
		func(i int) float64 { // rounded to eight digits, ties to even
			exact := x(i) * 1.00390625
			unit := math.Ldexp(1, math.Ilogb(exact)-7)
			return math.RoundToEven(exact/unit) * unit
		}, always(1), always(1),
		always(528 + 32*6),
	}
}

func TestSIMDFunctions(t *testing.T) {
	for name, config := range configs() {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, config)
			rows := simdRows()
			buffer, out := r.buffer(t, 32*len(rows))
			err := r.run(t, "simd_functions", nil, metal.Dispatch{
				Buffers: []metal.Binding{metal.At(buffer, 0)}, Groups: metal.Size{X: 1}, Threads: metal.Size{X: 32},
			})
			if err != nil {
				t.Fatal(err)
			}
			for row, want := range rows {
				for lane := range 32 {
					if got := out[row*32+lane]; got != float32(want(lane)) {
						t.Errorf("row %d, lane %d: %v, want %v", row, lane, got, want(lane))
					}
				}
			}
		})
	}
}

func TestLanguage(t *testing.T) {
	want := []float32{
		3, 1, 2, 8, // w.x w.y v.x v.w: v is now 2 1 6 8
		(2 + 1 + 6) * 8, 2*2 + 1 + 5*6, 8 + 9, 9, 44, 1, 0, 2, math.Pi, 12 + 16, 2048, 2, 1,
		8 + 31 + 3, 3, 0xBC, 0.75, 3, -1 + 1 + 2 + 3, 5 + 3, 65504, 1, 1, 3, 2, 5, 10, 3,
	}
	for name, config := range configs() {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, config)
			buffer, out := r.buffer(t, len(want))
			err := r.run(t, "language", nil, metal.Dispatch{
				Buffers: []metal.Binding{metal.At(buffer, 0)}, Groups: metal.Size{X: 1}, Threads: metal.Size{X: 1},
			})
			if err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if out[i] != want[i] {
					t.Errorf("value %d: %v, want %v", i, out[i], want[i])
				}
			}
		})
	}
}

// TestMemory: atomics, threadgroup variables and arguments, function constants and derived constants.
func TestMemory(t *testing.T) {
	for name, config := range configs() {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, config)
			buffer, out := r.buffer(t, 192)
			counter, counted := r.buffer(t, 1)
			total, sum := r.buffer(t, 1)
			d := metal.Dispatch{
				Buffers:           []metal.Binding{metal.At(buffer, 0), metal.At(counter, 0), metal.At(total, 0)},
				ThreadgroupMemory: []int{256}, Groups: metal.Size{X: 3}, Threads: metal.Size{X: 64},
			}
			for _, test := range []struct {
				constants []metal.Constant
				plus      int
			}{
				{[]metal.Constant{metal.Int(0, -3), metal.Bool(1, true)}, -60 + 1},
				{[]metal.Constant{metal.Int(0, 7)}, 14},
			} {
				clear(counter.Bytes())
				clear(total.Bytes())
				if err := r.run(t, "memory", test.constants, d); err != nil {
					t.Fatal(err)
				}
				for i, got := range out {
					tid := i % 64
					if want := 63 - tid + 2*(63-tid) + 63 + test.plus + 2; got != float32(want) {
						t.Fatalf("%v: thread %d: %v, want %d", test.constants, i, got, want)
					}
				}
				if math.Float32bits(counted[0]) != 192 || sum[0] != 96 {
					t.Errorf("counted %d threads and %v halves, want 192 and 96", math.Float32bits(counted[0]), sum[0])
				}
			}
		})
	}
}

func TestPipelineInfo(t *testing.T) {
	r := newRig(t, sim.Config{})
	for _, test := range []struct {
		kernel                  string
		threads, threadgroupMem int
	}{
		{"fill_half", 32, 32}, {"fill_int", 16, 32}, {"language", 1024, 0},
	} {
		p, err := r.library.Pipeline(test.kernel)
		if err != nil {
			t.Fatal(err)
		}
		if i := p.Info(); i.MaxThreads != test.threads || i.ThreadgroupMemoryBytes != test.threadgroupMem || i.Kernel != test.kernel {
			t.Errorf("%+v, want %d threads and %d bytes", i, test.threads, test.threadgroupMem)
		}
		simtest.CloseLater(t, p)
	}
}

// TestConstantErrors: errors that Metal, too, finds when a kernel is specialised.
func TestConstantErrors(t *testing.T) {
	r := newRig(t, sim.Config{})
	for want, constants := range map[string][]metal.Constant{
		"function constant shift (index 0) is not set":    {metal.Bool(1, true)},
		"function constant shift (index 0) is a int, got": {metal.Float(0, 1)},
	} {
		_, err := r.library.Pipeline("memory", constants...)
		var compile *metal.CompileError
		if !errors.As(err, &compile) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", constants, err, want)
		}
	}
}

// TestFaults: a fault that would kill the process ends the dispatch, is reported, and leaves the device usable.
func TestFaults(t *testing.T) {
	for name, config := range configs() {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, config)
			buffer, _ := r.buffer(t, 32)
			for kernel, want := range map[string]string{
				"divides": "division by zero", "diverges": "shim.metal:", "recurses": "stack overflow",
			} {
				err := r.run(t, kernel, nil, metal.Dispatch{
					Buffers: []metal.Binding{metal.At(buffer, 0)}, Groups: metal.Size{X: 2}, Threads: metal.Size{X: 32},
				})
				var exec *metal.ExecError
				if !errors.As(err, &exec) || exec.Kernel != kernel || !strings.Contains(exec.Reason, want) {
					t.Errorf("%s: %v, want %q", kernel, err, want)
				}
			}
			err := r.run(t, "fill_int", nil, metal.Dispatch{
				Buffers: []metal.Binding{metal.At(buffer, 0)}, Groups: metal.Size{X: 1}, Threads: metal.Size{X: 16},
			})
			if err != nil {
				t.Errorf("after the faults: %v", err)
			}
		})
	}
}

// TestCompileErrors: each error names the line of the kernel, and the cause.
func TestCompileErrors(t *testing.T) {
	device := simtest.Open(t, sim.Config{})
	for _, test := range []struct {
		text, want string
		line       int
	}{
		{"kernel void k(device float* x [[buffer(0)]]) {\n  x[0] = metal::no_such(x[1]);\n}", "no_such", 2},
		{"kernel void k(device float* x [[buffer(0)]]) {\n\n  x[0] = metal::simd_sum();\n}", "simd_sum", 3},
		{"kernel void k(device float* x [[stage_in]]) {}", "stage_in", 1},
		{"\nkernel int k() { return 0; }", "must return void", 2},
		{"\n\nvoid f() { threadgroup float t[3]; }", "outside a kernel", 3},
		{"kernel void k() {\n#include \"mine.h\"\n}", "mine.h", 2},
		{"kernel void k(constant int& n [[buffer(0)]]) { n = 1; }", "const", 1},
	} {
		_, err := device.NewLibrary(metal.Source{Name: "k.metal", Text: "#include <metal_stdlib>\n#line 1\n" + test.text})
		var compile *metal.CompileError
		if !errors.As(err, &compile) || compile.File != "k.metal" || compile.Line != test.line || !strings.Contains(compile.Log, test.want) {
			t.Errorf("%q: %v, want %q in line %d", test.text, err, test.want, test.line)
		}
	}
}

// TestCacheShared: builders that start with an empty folder at once all get a device that works.
func TestCacheShared(t *testing.T) {
	folder := t.TempDir()
	var wait sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		wait.Go(func() {
			device, err := sim.Open(sim.Config{CacheDir: folder, Threads: 1})
			if err != nil {
				errs[i] = err
				return
			}
			_, err = device.NewLibrary(metal.Source{Name: "k.metal", Text: "kernel void k() {}"})
			errs[i] = errors.Join(err, device.Close())
		})
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil && !errors.Is(err, metal.ErrNoDevice) {
		t.Fatal(err)
	}
}

// TestNoCompiler: the error names the compiler to install.
func TestNoCompiler(t *testing.T) {
	_, err := sim.Open(sim.Config{Compiler: "no-such-compiler"})
	if !errors.Is(err, metal.ErrNoDevice) || !strings.Contains(fmt.Sprint(err), "clang-19") {
		t.Errorf("%v, want metal.ErrNoDevice and what to install", err)
	}
}

// TestSubmitAllocations: a list costs a few allocations, however many dispatches it has.
func TestSubmitAllocations(t *testing.T) {
	r := newRig(t, sim.Config{Threads: 1})
	buffer, _ := r.buffer(t, 32)
	p, err := r.library.Pipeline("fill_int")
	if err != nil {
		t.Fatal(err)
	}
	simtest.CloseLater(t, p)
	e := metal.NewEncoder(r.device)
	d := metal.Dispatch{
		Pipeline: p, Buffers: []metal.Binding{metal.At(buffer, 0)}, Groups: metal.Size{X: 1}, Threads: metal.Size{X: 16},
	}
	allocations := testing.AllocsPerRun(20, func() {
		for range 60 {
			if err := e.Dispatch(&d); err != nil {
				t.Fatal(err)
			}
		}
		pending, err := e.Commit()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pending.Wait(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("%v allocations for 60 dispatches", allocations)
	if allocations > 4 {
		t.Errorf("%v allocations, want at most 4: the pending list, its channel, its reports", allocations)
	}
}

// TestFastMath: fast variants err by what Metal's specification allows (table 8.2), now upwards and now downwards, and not by
// more; and precise ones by less than one unit in the last place.
func TestFastMath(t *testing.T) {
	const count = 256
	r := newRig(t, sim.Config{})
	in, x := r.buffer(t, count)
	for i := range x {
		x[i] = float32(i-count/2)/8 + 1.0/32
	}
	ofExp := func(x float64) float64 { return 3 + math.Floor(math.Abs(2*x)) }
	constant := func(n float64) func(float64) float64 { return func(float64) float64 { return n } }
	functions := []struct {
		name  string
		exact func(float64) float64
		ulps  func(float64) float64 // allowed
	}{
		{"exp", math.Exp, ofExp},
		{"exp2", math.Exp2, ofExp},
		{"rsqrt", func(x float64) float64 { return 1 / math.Abs(x) }, constant(2)},
		{"log", func(x float64) float64 { return math.Log(x * x) }, func(x float64) float64 {
			if x*x < 0.5 || x*x > 2 {
				return 3
			}
			return 0x1p-21 / ulp(math.Log(x*x))
		}},
		{"1 / x", func(x float64) float64 { return 1 / x }, constant(1)},
		{"3 / x", func(x float64) float64 { return 3 / x }, constant(2.5)},
		// (t - 1) / (t + 1) with t = exp(2 x): t's error, two roundings of its size, and the division's.
		{"tanh", math.Tanh, func(x float64) float64 {
			relative := (ofExp(2*x) + 2) * 0x1p-23 * 2 * math.Exp(2*x) / math.Pow(math.Exp(2*x)+1, 2)
			return relative/ulp(math.Tanh(x)) + 4
		}},
		{"precise exp", math.Exp, constant(0)},
	}
	out, got := r.buffer(t, len(functions)*count)
	if err := r.run(t, "accuracies", nil, metal.Dispatch{
		Buffers: []metal.Binding{metal.At(in, 0), metal.At(out, 0)}, Groups: metal.Size{X: 1}, Threads: metal.Size{X: count},
	}); err != nil {
		t.Fatal(err)
	}
	for row, f := range functions {
		above, below := 0, 0
		for i, x := range x {
			exact := f.exact(float64(x))
			off, allowed := (float64(got[row*count+i])-exact)/ulp(exact), f.ulps(float64(x))
			if math.Abs(off) > allowed+1 { // the library's own result may be off by one, too
				t.Errorf("%s at %v is %v, off by %.1f units in the last place, want at most %.1f", f.name, x, got[row*count+i], off, allowed)
			}
			if allowed >= 1 && f.name != "tanh" && math.Abs(off) < math.Floor(allowed)-1 {
				t.Errorf("%s at %v is off by %.1f units in the last place, want the worst, %.1f", f.name, x, off, allowed)
			}
			if off > 0.5 {
				above++
			}
			if off < -0.5 {
				below++
			}
		}
		if f.ulps(1) > 1 && (above < count/8 || below < count/8) {
			t.Errorf("%s is %d times above and %d times below the exact result of %d", f.name, above, below, count)
		}
	}
}

// ulp returns the distance of neighbouring floats at x.
func ulp(x float64) float64 {
	_, exponent := math.Frexp(x)
	return math.Ldexp(1, exponent-24)
}
