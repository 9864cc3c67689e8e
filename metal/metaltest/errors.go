package metaltest

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/metalrank/metalrank/metal"
)

// compile compiles files, from main.metal on, and specialises a kernel.
func (r *rig) compile(tb testing.TB, files fstest.MapFS, kernel string) error {
	tb.Helper()
	source, err := metal.LoadSource(files, "main.metal")
	if err != nil {
		tb.Fatal(err)
	}
	library, err := r.device.NewLibrary(source)
	if err != nil {
		return err
	}
	defer func() { closed(tb, "library", library.Close()) }()
	pipeline, err := library.Pipeline(kernel)
	if err != nil {
		return err
	}
	closed(tb, "pipeline", pipeline.Close())
	return nil
}

func file(lines ...string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(strings.Join(lines, "\n") + "\n")}
}

// testCompileErrors: a compiler's error names the file and the line of its cause, also behind an #include.
func testCompileErrors(t *subtest, r *rig) {
	fine := file("#pragma once", "static float twice(float x) {", "    return 2 * x;", "}")
	wrong := file("#pragma once", "static float twice(float x) {", "    return 2 * undeclared;", "}")
	kernel := func(body string) *fstest.MapFile {
		return file(
			"#include <metal_stdlib>", `#include "folder/twice.h"`, "using namespace metal;", "",
			"kernel void k(device float* y [[buffer(0)]], uint i [[thread_position_in_grid]]) {",
			"    "+body, "}")
	}
	for _, test := range []struct {
		name       string
		main, part *fstest.MapFile
		file       string // empty: compiles
		line       int
	}{
		{"none", kernel("y[i] = twice(y[i]);"), fine, "", 0},
		{"in the main file", kernel("y[i] = thrice(y[i]);"), fine, "main.metal", 6},
		{"in an included file", kernel("y[i] = twice(y[i]);"), wrong, "folder/twice.h", 3},
		{"a missing semicolon", kernel("y[i] = twice(y[i])"), fine, "main.metal", 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := r.compile(t, fstest.MapFS{"main.metal": test.main, "folder/twice.h": test.part}, "k")
			if test.file == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var compile *metal.CompileError
			if !errors.As(err, &compile) {
				t.Fatalf("error %v, want a CompileError", err)
			}
			if compile.File != test.file || compile.Line != test.line {
				t.Errorf("the error is at %s:%d, want %s:%d\n%v", compile.File, compile.Line, test.file, test.line, err)
			}
			if compile.Log == "" {
				t.Error("the error doesn't say what the compiler said")
			}
		})
	}
}

// testPipelineErrors: a kernel that isn't there; and threadgroup memory that no device has.
func testPipelineErrors(t *subtest, r *rig) {
	pipeline, err := r.library.Pipeline("no_such_kernel")
	compile, ok := errors.AsType[*metal.CompileError](err)
	if !ok {
		t.Errorf("unknown kernel: error %v, want a CompileError", err)
	} else if compile.Kernel != "no_such_kernel" {
		t.Errorf("unknown kernel: the error names kernel %q", compile.Kernel)
	}
	if pipeline != nil {
		t.Error("unknown kernel: a pipeline besides the error")
	}

	tooMuch := file(
		"#include <metal_stdlib>", "using namespace metal;",
		"kernel void k(device float* y [[buffer(0)]], uint i [[thread_position_in_grid]]) {",
		"    threadgroup float values[8193];", "    values[i] = y[i];",
		"    threadgroup_barrier(mem_flags::mem_threadgroup);", "    y[i] = values[8192 - i];", "}")
	if err := r.compile(t, fstest.MapFS{"main.metal": tooMuch}, "k"); err == nil {
		t.Errorf("a kernel with 32,772 bytes of threadgroup memory: no error")
	}
}

// testLimits: a dispatch beyond a limit is an error when it is recorded, and leaves the list as it was.
func testLimits(t *subtest, r *rig) {
	values := r.buffer(t, words(1024, func(i int) uint32 { return uint32(i) }))
	good := func() *metal.Dispatch { return r.advance(t, metal.At(values, 0), 1024, 3, 1) }
	info := r.device.Info()
	encoder := metal.NewEncoder(r.device)
	for _, test := range []struct {
		name  string
		spoil func(*metal.Dispatch)
	}{
		{"threads", func(d *metal.Dispatch) {
			d.Threads = metal.Size{X: uint32(d.Pipeline.Info().MaxThreads) + 1}
		}},
		{"threads in three dimensions", func(d *metal.Dispatch) { d.Threads = metal.Size{X: 32, Y: 8, Z: 5} }},
		{"threadgroup memory", func(d *metal.Dispatch) {
			d.ThreadgroupMemory = []int{info.MaxThreadgroupMemoryBytes + 16}
		}},
		{"threadgroup memory besides the kernel's own", func(d *metal.Dispatch) {
			d.Pipeline = r.pipeline(t, "reverse_static")
			d.ThreadgroupMemory = []int{info.MaxThreadgroupMemoryBytes - 4096 + 16}
		}},
		{"offset", func(d *metal.Dispatch) { d.Buffers[1].OffsetBytes = len(values.Bytes()) }},
		{"arguments", func(d *metal.Dispatch) { d.Arguments = make([]byte, metal.MaxArgumentSizeBytes+1) }},
	} {
		dispatch := good()
		test.spoil(dispatch)
		var limit *metal.LimitError
		if err := encoder.Dispatch(dispatch); !errors.As(err, &limit) {
			t.Errorf("%s: error %v, want a LimitError", test.name, err)
		} else if limit.Kernel != dispatch.Pipeline.Info().Kernel || limit.Got <= limit.Limit {
			t.Errorf("%s: unhelpful error: %v", test.name, err)
		}
	}
	if err := encoder.Dispatch(good()); err != nil {
		t.Fatal(err)
	}
	pending, err := encoder.Commit()
	if err != nil {
		t.Fatal(err)
	}
	finish(t, pending)
	if got := word(values.Bytes(), 1023); got != 1023*3+1 {
		t.Errorf("the good dispatch among bad ones made %d, want %d", got, 1023*3+1)
	}
}

// strangeBuffer and strangePipeline belong to no driver.
type strangeBuffer struct{ memory [4096]byte }

func (b *strangeBuffer) Bytes() []byte { return b.memory[:] }
func (*strangeBuffer) Close() error    { return nil }

type strangePipeline struct{}

func (strangePipeline) Info() metal.PipelineInfo {
	return metal.PipelineInfo{Kernel: "strange", MaxThreads: 1024, SIMDWidth: 32}
}
func (strangePipeline) Close() error { return nil }

// testForeign: objects that another device, or another driver, made are refused.
func testForeign(t *subtest, r *rig) {
	other := r.other(t)
	mine := r.buffer(t, make([]byte, 256))
	for _, test := range []struct {
		name     string
		dispatch *metal.Dispatch
	}{
		{"another device's buffer", r.advance(t, metal.At(other.buffer(t, make([]byte, 256)), 0), 1, 1, 1)},
		{"another device's pipeline", other.advance(t, metal.At(mine, 0), 1, 1, 1)},
		{"another driver's buffer", r.advance(t, metal.At(&strangeBuffer{}, 0), 1, 1, 1)},
		{"another driver's pipeline", &metal.Dispatch{
			Pipeline: strangePipeline{}, Buffers: []metal.Binding{1: metal.At(mine, 0)},
			Groups: metal.Size{X: 1}, Threads: metal.Size{X: 1},
		}},
	} {
		encoder := metal.NewEncoder(r.device)
		if err := encoder.Dispatch(test.dispatch); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if _, err := encoder.Commit(); !errors.Is(err, metal.ErrForeign) {
			t.Errorf("%s: error %v, want ErrForeign", test.name, err)
		}
	}
}
