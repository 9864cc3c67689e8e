package metaltest

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/metalrank/metalrank/metal"
)

// patience is how long any piece of work in this suite may take, on a busy machine and in the simulator's slowest
// mode; most take milliseconds.
const patience = 2 * time.Minute

// A rig is a device with the kernels of conformance.metal.
type rig struct {
	open    func(testing.TB) metal.Device
	device  metal.Device
	library metal.Library
}

func newRig(tb testing.TB, open func(testing.TB) metal.Device) *rig {
	tb.Helper()
	r := &rig{open: open, device: open(tb)}
	tb.Cleanup(func() { closed(tb, "device", r.device.Close()) })
	source, err := metal.LoadSource(Files(), "conformance.metal")
	if err != nil {
		tb.Fatal(err)
	}
	if r.library, err = r.device.NewLibrary(source); err != nil {
		tb.Fatalf("conformance.metal: %v", err)
	}
	tb.Cleanup(func() { closed(tb, "library", r.library.Close()) })
	return r
}

// other returns a rig of the same kind with a device of its own, for tests that close it.
func (r *rig) other(tb testing.TB) *rig {
	tb.Helper()
	return newRig(tb, r.open)
}

// buffer returns a buffer with a copy of content, closed when the test ends.
func (r *rig) buffer(tb testing.TB, content []byte) metal.Buffer {
	tb.Helper()
	buffer, err := r.device.NewBuffer(len(content))
	if err != nil {
		tb.Fatalf("buffer of %d bytes: %v", len(content), err)
	}
	tb.Cleanup(func() { closed(tb, "buffer", buffer.Close()) })
	copy(buffer.Bytes(), content)
	return buffer
}

// pipeline specialises a kernel of conformance.metal.
func (r *rig) pipeline(tb testing.TB, kernel string, constants ...metal.Constant) metal.Pipeline {
	tb.Helper()
	pipeline, err := r.library.Pipeline(kernel, constants...)
	if err != nil {
		tb.Fatalf("%s: %v", kernel, err)
	}
	tb.Cleanup(func() { closed(tb, "pipeline", pipeline.Close()) })
	return pipeline
}

// submit submits dispatches as one list, with a barrier before each.
func (r *rig) submit(tb testing.TB, dispatches ...*metal.Dispatch) metal.Pending {
	tb.Helper()
	encoder := metal.NewEncoder(r.device)
	for i, dispatch := range dispatches {
		encoder.Barrier()
		if err := encoder.Dispatch(dispatch); err != nil {
			tb.Fatalf("dispatch %d: %v", i, err)
		}
	}
	pending, err := encoder.Commit()
	if err != nil {
		tb.Fatalf("commit: %v", err)
	}
	return pending
}

// run submits dispatches as one list, with a barrier before each, and waits.
func (r *rig) run(tb testing.TB, dispatches ...*metal.Dispatch) {
	tb.Helper()
	finish(tb, r.submit(tb, dispatches...))
}

// finish waits for work that must succeed.
func finish(tb testing.TB, pending metal.Pending) metal.Timing {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	timing, err := pending.Wait(ctx)
	if err != nil {
		tb.Fatalf("wait: %v", err)
	}
	return timing
}

func closed(tb testing.TB, what string, err error) {
	tb.Helper()
	if err != nil {
		tb.Errorf("%s: close: %v", what, err)
	}
}

// address of a slice's first byte.
func address(b []byte) uintptr { return reflect.ValueOf(b).Pointer() }

// line covers n elements with groups of at most width threads.
func line(n, width int) (groups, threads metal.Size) {
	width = min(n, width)
	return metal.Size{X: uint32((n + width - 1) / width)}, metal.Size{X: uint32(width)}
}
