package metal_test

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/metalrank/metalrank/metal"
)

// TestConstants: the types are those of Apple's MTLDataType, and the bits those of the value.
func TestConstants(t *testing.T) {
	for _, test := range []struct{ got, want metal.Constant }{
		{metal.Bool(1, false), metal.Constant{Index: 1, Type: 53, Bits: 0}},
		{metal.Bool(2, true), metal.Constant{Index: 2, Type: 53, Bits: 1}},
		{metal.Int(3, -2), metal.Constant{Index: 3, Type: 29, Bits: 0xFFFFFFFE}},
		{metal.Uint(4, math.MaxUint32), metal.Constant{Index: 4, Type: 33, Bits: 0xFFFFFFFF}},
		{metal.Float(5, -0.5), metal.Constant{Index: 5, Type: 3, Bits: 0xBF000000}},
		{metal.Float(65535, float32(math.Inf(1))), metal.Constant{Index: 65535, Type: 3, Bits: 0x7F800000}},
	} {
		if test.got != test.want {
			t.Errorf("constant %+v, want %+v", test.got, test.want)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{&metal.CompileError{Kernel: "k", File: "k.metal", Line: 7, Log: "no such thing"},
			"metal: kernel k: k.metal:7: no such thing"},
		{&metal.CompileError{File: "k.metal", Line: 7, Log: "no such thing"}, "metal: library: k.metal:7: no such thing"},
		{&metal.CompileError{Kernel: "k", Log: "constant 3 is unset"}, "metal: kernel k: constant 3 is unset"},
		{&metal.LimitError{Kernel: "k", What: "threads in a threadgroup", Got: 2048, Limit: 1024},
			"metal: k: 2048 threads in a threadgroup, the limit is 1024"},
		{&metal.LimitError{What: "bytes in a buffer", Got: 11, Limit: 10}, "metal: 11 bytes in a buffer, the limit is 10"},
		{&metal.ExecError{Kernel: "k", Reason: "page fault"}, "metal: k: execution failed: page fault"},
		{&metal.ExecError{Reason: "device lost", Lost: true}, "metal: execution failed: device lost"},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("%T says\n%s, want\n%s", test.err, got, test.want)
		}
	}
}

// TestErrorsAs: callers find the typed errors behind wrapping.
func TestErrorsAs(t *testing.T) {
	wrapped := fmt.Errorf("kernels: gemm: %w", &metal.LimitError{Kernel: "gemm", Got: 2, Limit: 1})
	var limit *metal.LimitError
	if !errors.As(wrapped, &limit) || limit.Kernel != "gemm" {
		t.Errorf("%v: not found as a LimitError", wrapped)
	}
	sentinels := []error{metal.ErrClosed, metal.ErrUnaligned, metal.ErrForeign, metal.ErrNoDevice}
	for i, a := range sentinels {
		for j, b := range sentinels {
			if errors.Is(fmt.Errorf("x: %w", a), b) != (i == j) {
				t.Errorf("%v is %v", a, b)
			}
		}
	}
}

func TestElapsed(t *testing.T) {
	pending, err := (&fakeDevice{}).Submit(&metal.CommandList{})
	if err != nil {
		t.Fatal(err)
	}
	timing, err := pending.Wait(t.Context())
	if err != nil || timing.Elapsed() != 2*time.Millisecond {
		t.Errorf("elapsed %v, error %v, want 2ms", timing.Elapsed(), err)
	}
	if (metal.Timing{}).Elapsed() != 0 {
		t.Error("a driver that can't tell has an elapsed time")
	}
}
