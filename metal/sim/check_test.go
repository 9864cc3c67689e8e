package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/metalrank/metalrank/metal"
)

// ended are the kinds of findings that end a dispatch.
var ended = []Kind{
	ReadOnly, Misaligned, ArrayIndex, OutOfBounds, DivisionByZero, Divergence,
}

// bench is a device with the library of testdata/defects.metal, and two buffers of 512 floats: out, fresh for every
// dispatch, and in, which holds 0, 1, 2, ….
type bench struct {
	device  *Device
	library metal.Library
	in      metal.Buffer
}

func newBench(t *testing.T, config Config) *bench {
	t.Helper()
	clang(t)
	device, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/defects.metal")
	if err != nil {
		t.Fatal(err)
	}
	library, err := device.NewLibrary(metal.Source{Name: "defects.metal", Text: string(text)})
	if err != nil {
		t.Fatal(err)
	}
	in := floats(t, device, 512)
	b := &bench{device, library, in}
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), library.Close(), device.Close()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// floats returns a buffer that holds 0, 1, 2, ….
func floats(t *testing.T, device metal.Device, count int) metal.Buffer {
	t.Helper()
	buffer, err := device.NewBuffer(4 * count)
	if err != nil {
		t.Fatal(err)
	}
	for i := range count {
		binary.LittleEndian.PutUint32(buffer.Bytes()[4*i:], math.Float32bits(float32(i)))
	}
	return buffer
}

func (b *bench) buffer(t *testing.T, sizeBytes int) metal.Buffer {
	t.Helper()
	buffer, err := b.device.NewBuffer(sizeBytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := buffer.Close(); err != nil {
			t.Error(err)
		}
	})
	return buffer
}

// dispatch completes d: the kernel over 2 groups of 256 threads, from in to a fresh buffer, where d says nothing else.
func (b *bench) dispatch(t *testing.T, kernel string, d metal.Dispatch) metal.Dispatch {
	t.Helper()
	pipeline, err := b.library.Pipeline(kernel)
	if err != nil {
		t.Fatal(err)
	}
	d.Pipeline = pipeline
	if d.Groups.X == 0 {
		d.Groups = metal.Size{X: 2}
	}
	if d.Threads.X == 0 {
		d.Threads = metal.Size{X: 256}
	}
	if d.Buffers == nil {
		d.Buffers = []metal.Binding{metal.At(b.buffer(t, 2048), 0), metal.At(b.in, 0)}
	}
	return d
}

// run executes dispatches as one list, and returns their reports and the error of Wait.
func (b *bench) run(t *testing.T, barrier bool, dispatches ...metal.Dispatch) ([]Report, error) {
	t.Helper()
	encoder := metal.NewEncoder(b.device)
	for i := range dispatches {
		if err := encoder.Dispatch(&dispatches[i]); err != nil {
			t.Fatal(err)
		}
		if barrier {
			encoder.Barrier()
		}
	}
	pending, err := encoder.Commit()
	if err != nil {
		t.Fatal(err)
	}
	_, err = pending.Wait(context.Background())
	return pending.(*Pending).Reports(), err
}

// kernels returns the kernels of testdata/defects.metal, each with the kinds of findings that its lines want.
func kernels(t *testing.T) map[string]map[int]string {
	t.Helper()
	text, err := os.ReadFile("testdata/defects.metal")
	if err != nil {
		t.Fatal(err)
	}
	start := regexp.MustCompile(`^kernel void (\w+)\(`)
	found := map[string]map[int]string{}
	kernel := ""
	for i, line := range strings.Split(string(text), "\n") {
		if match := start.FindStringSubmatch(line); match != nil {
			kernel = match[1]
			found[kernel] = map[int]string{}
		}
		if _, kinds, ok := strings.Cut(line, "// want: "); ok {
			found[kernel][i+1] = kinds
		}
	}
	if len(found) < 30 {
		t.Fatalf("found %d kernels, want at least 30", len(found))
	}
	return found
}

// needs returns the fields of a kernel's dispatch that differ from the usual ones.
func needs(kernel string) metal.Dispatch {
	if kernel == "argument_too_small" {
		return metal.Dispatch{ThreadgroupMemory: []int{1008}}
	}
	return metal.Dispatch{}
}

// TestDefects runs every kernel with a defect in several orders of its threads: each time there is a finding, of the
// right kind, at the right line.
func TestDefects(t *testing.T) {
	all := kernels(t)
	for _, seed := range []uint64{0, 1, 2, 3} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			b := newBench(t, Config{Checked: true, Seed: seed})
			for kernel, want := range all {
				if !strings.HasPrefix(kernel, "right_") {
					t.Run(kernel, func(t *testing.T) { b.mustFind(t, kernel, want) })
				}
			}
		})
	}
}

// mustFind runs a kernel and compares its findings with the kinds that its lines want.
func (b *bench) mustFind(t *testing.T, kernel string, want map[int]string) {
	t.Helper()
	reports, err := b.run(t, true, b.dispatch(t, kernel, needs(kernel)))
	if len(reports) != 1 || len(reports[0].Findings) == 0 {
		t.Fatalf("no finding, error %v; want %v", err, want)
	}
	stops := false
	seen := map[string]bool{}
	for _, f := range reports[0].Findings {
		if place := fmt.Sprint(f.Kind, f.Line); seen[place] {
			t.Errorf("a second %s at line %d", f.Kind, f.Line)
		} else {
			seen[place] = true
		}
		if f.File != "defects.metal" || !strings.Contains(want[f.Line], string(f.Kind)) || f.Kernel != kernel {
			t.Errorf("%v; want %v", f, want)
		}
		stops = stops || slices.Contains(ended, f.Kind)
	}
	var failed *metal.ExecError
	if stops != errors.As(err, &failed) {
		t.Errorf("findings %v, error %v", reports[0].Findings, err)
	}
}

// TestNoFalseAlarm runs every right kernel in 50 orders of its threads.
func TestNoFalseAlarm(t *testing.T) {
	all := kernels(t)
	seeds := 50
	if testing.Short() {
		seeds = 5
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			b := newBench(t, Config{Checked: true, Seed: seed})
			for kernel := range all {
				if !strings.HasPrefix(kernel, "right_") {
					continue
				}
				reports, err := b.run(t, true, b.dispatch(t, kernel, metal.Dispatch{}))
				if err != nil {
					t.Errorf("%s: %v", kernel, err)
				}
				for _, f := range reports[0].Findings {
					t.Error(f)
				}
			}
		})
	}
}

// TestOrderOfDispatches has two dispatches write the same buffer.
func TestOrderOfDispatches(t *testing.T) {
	b := newBench(t, Config{Checked: true})
	first := b.dispatch(t, "right_bounds", metal.Dispatch{})
	second := b.dispatch(t, "right_vector", metal.Dispatch{Buffers: first.Buffers})
	reports, err := b.run(t, false, first, second)
	if err != nil {
		t.Fatal(err)
	}
	if len(reports[0].Findings) != 0 {
		t.Errorf("the first of two dispatches: %v", reports[0].Findings)
	}
	if len(reports[1].Findings) != 1 || reports[1].Findings[0].Kind != Race {
		t.Errorf("the second of two dispatches without a Barrier: %v, want a race", reports[1].Findings)
	} else if f := reports[1].Findings[0]; !strings.Contains(f.Message, "dispatch 0") || !strings.Contains(f.Message, "defects.metal:") {
		t.Errorf("%v: does not name the other dispatch and its line", f)
	}
	if reports, err = b.run(t, true, first, second); err != nil || len(reports[1].Findings) != 0 {
		t.Errorf("two dispatches with a Barrier: %v, %v", reports[1].Findings, err)
	}
}

// TestBoundOffset has a binding begin within its buffer: bytes before the binding are out of bounds.
func TestBoundOffset(t *testing.T) {
	b := newBench(t, Config{Checked: true})
	in := floats(t, b.device, 1024)
	defer in.Close()
	for _, test := range []struct {
		kernel string
		offset int
		want   string
	}{
		{"read_before_start", 2048, "4 before its 2048 bytes"},
		{"read_past_end", 2048, "4 past its 2048 bytes"},
		{"read_past_end", 2044, ""},
	} {
		d := b.dispatch(t, test.kernel, metal.Dispatch{})
		d.Buffers[1] = metal.At(in, test.offset)
		reports, err := b.run(t, true, d)
		switch {
		case test.want == "":
			if err != nil || len(reports[0].Findings) != 0 {
				t.Errorf("%s from byte %d: %v, %v", test.kernel, test.offset, reports[0].Findings, err)
			}
		case len(reports[0].Findings) != 1 || !strings.Contains(reports[0].Findings[0].Message, test.want):
			t.Errorf("%s from byte %d: %v, %v; want %q", test.kernel, test.offset, reports[0].Findings, err, test.want)
		case reports[0].Findings[0].Buffer != 1:
			t.Errorf("%v: buffer %d, want 1", reports[0].Findings[0], reports[0].Findings[0].Buffer)
		}
	}
}

// TestCallersMemory has a kernel read past and write memory of the caller's.
func TestCallersMemory(t *testing.T) {
	b := newBench(t, Config{Checked: true})
	page := b.device.Info().PageSizeBytes
	// A page more than the buffer has: otherwise the memory behind the buffer may be a kernel's stacks or code, which
	// the kernel may touch.
	memory, err := syscall.Mmap(-1, 0, 2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(memory) //nolint:errcheck // the end of a test
	buffer, err := b.device.NewBufferNoCopy(memory[:page])
	if err != nil {
		t.Fatal(err)
	}
	defer buffer.Close()
	for _, test := range []struct {
		kernel string
		index  int
		offset int
		want   Kind
	}{
		{"right_bounds", 1, page - 2048, ""},
		{"read_past_end", 1, page - 2048, OutOfBounds},
		{"right_bounds", 0, 0, ReadOnly},
	} {
		d := b.dispatch(t, test.kernel, metal.Dispatch{})
		d.Buffers[test.index] = metal.At(buffer, test.offset)
		reports, err := b.run(t, true, d)
		if test.want == "" {
			if err != nil || len(reports[0].Findings) != 0 {
				t.Errorf("%s: %v, %v", test.kernel, reports[0].Findings, err)
			}
			continue
		}
		if err == nil || len(reports[0].Findings) != 1 || reports[0].Findings[0].Kind != test.want {
			t.Errorf("%s: %v, %v; want %s", test.kernel, reports[0].Findings, err, test.want)
		}
	}
}

// TestUninitialised: a read of host data that looks like poison, NaN or -1, is no finding; a read of memory that was
// poisoned again is one.
func TestUninitialised(t *testing.T) {
	b := newBench(t, Config{Checked: true})
	in := b.buffer(t, 2048)
	for i := range in.Bytes() {
		in.Bytes()[i] = 0xFF
	}
	d := b.dispatch(t, "right_bounds", metal.Dispatch{})
	d.Buffers[1] = metal.At(in, 0)
	reports, err := b.run(t, true, d)
	if err != nil || len(reports[0].Findings) != 0 {
		t.Errorf("memory full of 0xFF: %v, %v", reports[0].Findings, err)
	}
	in.(*Buffer).Poison(1024, 512)
	reports, err = b.run(t, true, d)
	if err != nil || len(reports[0].Findings) != 1 || reports[0].Findings[0].Kind != Uninitialised {
		t.Fatalf("poisoned memory: %v, %v", reports[0].Findings, err)
	}
	if f := reports[0].Findings[0]; f.Count != 128 || f.ByteOffset < 1024 || f.ByteOffset >= 1536 || f.Buffer != 1 {
		t.Errorf("%v: buffer %d from byte %d, want 128 times in buffer 1 from byte 1024 on", f, f.Buffer, f.ByteOffset)
	}
}

// TestSameFindings: a seed determines findings to the last byte.
func TestSameFindings(t *testing.T) {
	find := func(seed uint64, kernel string) []Finding {
		b := newBench(t, Config{Checked: true, Seed: seed, Threads: 4})
		reports, err := b.run(t, true, b.dispatch(t, kernel, metal.Dispatch{}))
		if err != nil {
			t.Fatal(err)
		}
		return reports[0].Findings
	}
	for _, kernel := range []string{"missing_barrier", "groups_write_one_place", "matrix_without_barrier"} {
		for _, seed := range []uint64{0, 5} {
			if one, two := find(seed, kernel), find(seed, kernel); !reflect.DeepEqual(one, two) {
				t.Errorf("%s, seed %d: %v, then %v", kernel, seed, one, two)
			}
		}
	}
}

// TestUnsetVariables: a thread that computes with variables that it never set gets NaN, not values that an earlier
// kernel left behind.
func TestUnsetVariables(t *testing.T) {
	b := newBench(t, Config{Checked: true})
	library, err := b.device.NewLibrary(metal.Source{Name: "unset.metal", Text: `
#include <metal_stdlib>
using namespace metal;
kernel void unset(device float *out, const device float *in, uint i [[thread_position_in_grid]]) {
    float sum[2];
    simdgroup_float8x8 a, b, c;
    simdgroup_load(a, in, 8);
    simdgroup_load(b, in, 8);
    simdgroup_multiply_accumulate(c, a, b, c);
    out[i] = (sum[i % 2] += in[i], sum[i % 2]);
    out[512 + i] = c.thread_elements()[0];
}`})
	if err != nil {
		t.Fatal(err)
	}
	defer library.Close()
	pipeline, err := library.Pipeline("unset")
	if err != nil {
		t.Fatal(err)
	}
	defer pipeline.Close()
	d := b.dispatch(t, "right_bounds", metal.Dispatch{})
	d.Pipeline = pipeline
	out := b.buffer(t, 4096)
	d.Buffers[0] = metal.At(out, 0)
	if _, err := b.run(t, true, d); err != nil {
		t.Fatal(err)
	}
	for i := range 1024 {
		if got := math.Float32frombits(binary.LittleEndian.Uint32(out.Bytes()[4*i:])); !math.IsNaN(float64(got)) {
			t.Fatalf("float %d is %v, want NaN", i, got)
		}
	}
}
