package selftest_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/kernels/selftest"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/metaltest"
	"github.com/metalrank/metalrank/metal/open"
	"github.com/metalrank/metalrank/metal/problem"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
)

// libraries opens the kernels in each dtype, closed when the test ends.
func libraries(tb testing.TB, device metal.Device) map[kernels.DType]*kernels.Library {
	tb.Helper()
	all := map[kernels.DType]*kernels.Library{}
	for _, d := range []kernels.DType{kernels.F16, kernels.F32} {
		all[d] = kernels.Open(device, d)
		simtest.CloseLater(tb, all[d])
	}
	return all
}

// TestCases runs every case: among guard words, and in buffers that end where their operand does. Together they must run
// every variant of every kernel, with as many threads as it states: one that no case picks is not tested.
func TestCases(t *testing.T) {
	threads := &threadCounter{Device: simtest.Open(t, sim.Config{})}
	device := &selftest.Watched{Device: threads}
	launched := map[stated]int{}
	cases, ran := selftest.Cases(), 0
	runCases(t, device, cases, func(c *selftest.Case) {
		ran++
		key := stated{c.File, threads.stated}
		launched[key] = max(launched[key], threads.launched)
	})
	if ran < len(cases) { // -run chose among them
		return
	}
	if other, err := selftest.Lanes(t.Context(), device); err != nil || other != nil {
		t.Errorf("lanes hold %q, error %v", other, err)
	}
	checkThreads(t, launched)
	checkNames(t, device.Take())
}

// TestCasesOfMetal runs every case on this machine's GPU, and asks it for its lanes.
func TestCasesOfMetal(t *testing.T) {
	device, err := open.Device("metal")
	if errors.Is(err, metal.ErrNoDevice) && (runtime.GOOS != "darwin" || os.Getenv("CI") != "true") {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	metaltest.SkipUnsupported(t, device)
	simtest.CloseLater(t, device)
	if other, err := selftest.Lanes(t.Context(), device); err != nil || other != nil {
		t.Errorf("lanes hold %q, error %v", other, err)
	}
	runCases(t, device, selftest.Cases(), func(*selftest.Case) {})
}

// runCases runs cases, and calls done after each.
func runCases(t *testing.T, device metal.Device, cases []selftest.Case, done func(*selftest.Case)) {
	t.Helper()
	library := libraries(t, device)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			for layout, name := range map[problem.Layout]string{problem.Exact: "exact", problem.Guarded: "guarded"} {
				if _, err := c.Run(t.Context(), device, library[c.DType], layout); err != nil {
					t.Errorf("%s buffers: %v", name, err)
				}
			}
			done(&c)
		})
	}
}

// stated is the most threads that kernels of a file say they may have.
type stated struct {
	file    string
	threads int
}

// checkThreads wants kernels to state the most threads that they are launched with: a compiler that knows them can give each of
// them more registers.
func checkThreads(t *testing.T, launched map[stated]int) {
	t.Helper()
	for by, most := range launched {
		if by.threads != most {
			t.Errorf("%s: at most %d threads are launched, its max_total_threads_per_threadgroup is %d", by.file, most, by.threads)
		}
	}
}

// checkNames wants the names of all kernels among those that ran.
func checkNames(t *testing.T, ran []string) {
	t.Helper()
	text := regexp.MustCompile(`(?:INSTANTIATE\(|host_name\()"(\w+)"`)
	files, err := fs.Glob(kernels.Files(), "*.metal")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := fs.ReadFile(kernels.Files(), file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range text.FindAllStringSubmatch(string(source), -1) {
			if !slices.Contains(ran, match[1]) {
				t.Errorf("%s: no case runs %s", file, match[1])
			}
		}
	}
}

// TestChecked runs a fixed share of the cases, in a long test all, in checked mode, out of order: no findings.
func TestChecked(t *testing.T) {
	device := simtest.Open(t, sim.Config{Checked: true, Seed: 5})
	library := libraries(t, device)
	cases := selftest.Cases()
	if !simtest.Long() {
		cases = selftest.Share(cases)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) { check(t, device, library, &c) })
	}
}

// check runs a case in buffers without any slack, and reports findings.
func check(t *testing.T, device metal.Device, library map[kernels.DType]*kernels.Library, c *selftest.Case) {
	t.Helper()
	pending, err := c.Run(t.Context(), device, library[c.DType], problem.Exact)
	if err != nil {
		t.Errorf("%s: %v", c.Name, err)
	}
	if pending == nil {
		return // nothing ran, and err says why
	}
	for _, f := range simtest.Findings(t, pending) {
		t.Errorf("%s: %v", c.Name, f)
	}
}

// TestRandom runs random cases in checked mode, more of them in a long test: no findings, right answers.
func TestRandom(t *testing.T) {
	count := 200
	if simtest.Long() {
		count = 5000
	}
	device := simtest.Open(t, sim.Config{Checked: true, Seed: 7})
	library := libraries(t, device)
	for i := range count {
		c := selftest.Random(uint64(i))
		check(t, device, library, &c)
		if t.Failed() {
			t.Fatalf("case %d of %d", i, count)
		}
	}
}

// TestLanes asks the device how lanes hold matrices: all kernels take that for granted.
func TestLanes(t *testing.T) {
	device := simtest.Open(t, sim.Config{})
	if other, err := selftest.Lanes(t.Context(), device); err != nil || other != nil {
		t.Errorf("lanes hold %q, error %v", other, err)
	}
}

// transposing is a device that loads matrices with elements of a size transposed.
type transposing struct {
	metal.Device
	size int
}

func (d transposing) NewLibrary(source metal.Source) (metal.Library, error) {
	load := fmt.Sprintf("simdgroup_load(m, a, side, ulong2(0), sizeof(T) == %d)", d.size)
	source.Text = strings.ReplaceAll(source.Text, "simdgroup_load(m, a, side)", load)
	return d.Device.NewLibrary(source)
}

// TestOtherLanes: a layout that differs for one of the types is noticed.
func TestOtherLanes(t *testing.T) {
	device := simtest.Open(t, sim.Config{})
	for size, name := range map[int]string{2: "f16", 4: "f32"} {
		other, err := selftest.Lanes(t.Context(), transposing{device, size})
		if len(other) != 32 || err != nil || !strings.HasPrefix(other[1], name+" lane 1: ") {
			t.Errorf("matrices of %s are transposed: %q, %v", name, other, err)
		}
	}
}

// BenchmarkCases measures the simulator, and says nothing about a GPU.
func BenchmarkCases(b *testing.B) {
	device := simtest.Open(b, sim.Config{})
	library := libraries(b, device)
	for _, c := range selftest.Shapes(kernels.F16, 128) {
		b.Run(c.Name, func(b *testing.B) {
			for b.Loop() {
				pending, err := c.Run(b.Context(), device, library[c.DType], problem.Exact)
				if err != nil {
					b.Fatal(err)
				}
				timing, err := pending.Wait(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(c.FLOPs/timing.Elapsed().Seconds()/1e9, "GFLOP/s")
			}
		})
	}
}

// threadCounter notes the threads of the dispatch that was submitted last.
type threadCounter struct {
	metal.Device
	launched int // in a threadgroup
	stated   int // that the kernel says it may have
}

func (c *threadCounter) Submit(list *metal.CommandList) (metal.Pending, error) {
	last := &list.Commands[len(list.Commands)-1]
	c.launched, c.stated = int(last.Threads.Count()), last.Pipeline.Info().MaxThreads
	return c.Device.Submit(list)
}
