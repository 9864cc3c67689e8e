package darwin

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/metalrank/metalrank/metal"
)

func TestSubmitFlattensTheList(t *testing.T) {
	b := newBench(t)
	second := newPipeline(t, b.device, "second")
	other := newBuffer(t, b.device, 64)
	e := metal.NewEncoder(b.device)
	for _, d := range []*metal.Dispatch{
		{
			Pipeline: b.pipeline, Arguments: []byte{1, 2, 3}, ArgumentsIndex: 0,
			Buffers: []metal.Binding{{}, metal.At(b.buffer, 16), metal.At(other, 0)},
			Groups:  metal.Size{X: 2, Y: 3, Z: 4}, Threads: metal.Size{X: 32},
		},
		{
			Pipeline: second, Arguments: []byte{4}, ArgumentsIndex: 15,
			Buffers: []metal.Binding{metal.At(other, 63)}, ThreadgroupMemory: []int{16, 32, 48, 64},
			Groups: metal.Size{X: 5}, Threads: metal.Size{X: 8, Y: 8, Z: 2},
		},
	} {
		if err := e.Dispatch(d); err != nil {
			t.Fatal(err)
		}
		e.Barrier()
	}
	must[metal.Pending](t)(e.Commit())

	list := b.metal.flying[0]
	want := []command{
		{
			pipeline: b.pipeline.address, argumentsSize: 3, groups: [3]uint32{2, 3, 4}, threads: [3]uint32{32, 1, 1},
			buffers: [metal.MaxBuffers]binding{1: {b.buffer.address, 16}, 2: {other.address, 0}},
		},
		{
			pipeline: second.address, argumentsOffset: 16, argumentsSize: 1, argumentsIndex: 15, barrier: 1,
			groups: [3]uint32{5, 1, 1}, threads: [3]uint32{8, 8, 2},
			buffers: [metal.MaxBuffers]binding{{other.address, 63}}, threadgroupMemory: [4]uint32{16, 32, 48, 64},
		},
	}
	if diff := cmp.Diff(want, list.commands, cmp.AllowUnexported(command{}, binding{})); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	arguments := append([]byte{1, 2, 3}, append(make([]byte, 13), 4)...)
	if diff := cmp.Diff(arguments, list.arguments); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
}

func TestSubmitErrors(t *testing.T) {
	b := newBench(t)
	other := newBench(t)
	closed := newBuffer(t, b.device, 16)
	closeNow(t, closed)
	closedPipeline := newPipeline(t, b.device, "closed")
	closeNow(t, closedPipeline)
	for name, c := range map[string]struct {
		list *metal.CommandList
		want error
	}{
		"no pipeline":      {listOf(1, nil), metal.ErrForeign},
		"other's pipeline": {listOf(1, other.pipeline), metal.ErrForeign},
		"other's buffer":   {listOf(1, b.pipeline, b.buffer, other.buffer), metal.ErrForeign},
		"foreign pipeline": {listOf(1, foreign{}, b.buffer), metal.ErrForeign},
		"foreign buffer":   {listOf(1, b.pipeline, foreign{}), metal.ErrForeign},
		"closed buffer":    {listOf(1, b.pipeline, b.buffer, closed), metal.ErrClosed},
		"closed pipeline":  {listOf(1, closedPipeline, b.buffer), metal.ErrClosed},
	} {
		pending, err := b.device.Submit(c.list)
		if pending != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v; want nil and %v", name, pending, err, c.want)
		}
	}
	if n := b.metal.count("submit"); n != 0 {
		t.Errorf("native got %d of these lists, want none", n)
	}
	closeNow(t, b.buffer)
	if n := b.metal.releases(b.buffer.object); n != 1 {
		t.Errorf("the buffer was released %d times at its Close, want once: no list holds it", n)
	}
}

// foreign is a pipeline and a buffer of some other driver.
type foreign struct{ metal.Buffer }

func (foreign) Info() metal.PipelineInfo { return metal.PipelineInfo{} }

func TestSubmitThatMetalRefuses(t *testing.T) {
	b := newBench(t)
	b.metal.refuse["submit"] = &nativeError{text: "no command buffer"}
	pending, err := b.device.Submit(b.list(2))
	var failure *metal.ExecError
	if pending != nil || !errors.As(err, &failure) || failure.Reason != "no command buffer" {
		t.Errorf("Submit: %v, %v; want nil and an ExecError with the reason", pending, err)
	}
	closeNow(t, b.buffer)
	if n := b.metal.releases(b.buffer.object); n != 1 {
		t.Errorf("the buffer was released %d times at its Close, want once: no list holds it", n)
	}
}

func TestFailedWorkIsAnError(t *testing.T) {
	b := newBench(t)
	first := must[metal.Pending](t)(b.device.Submit(b.list(1)))
	second := must[metal.Pending](t)(b.device.Submit(b.list(1)))
	b.metal.endList(0, &nativeError{code: 3, text: "address 0"}, 1, 2)
	b.metal.endList(0, nil, 2, 3)
	_, err := first.Wait(t.Context())
	want := &metal.ExecError{Code: 3, Reason: "page fault: address 0", Transient: true}
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Errorf("first list (-want +got):\n%s", diff)
	}
	if timing, err := second.Wait(t.Context()); err != nil || timing.Elapsed() != time.Second {
		t.Errorf("second list: %v, %v; want one second and no error", timing, err)
	}
	if _, err := b.device.Submit(b.list(1)); err != nil {
		t.Errorf("Submit after a fault: %v, want none: the device is still there", err)
	}
}

func TestLostDeviceRefusesWork(t *testing.T) {
	b := newBench(t)
	var pending []metal.Pending
	for range 2 {
		pending = append(pending, must[metal.Pending](t)(b.device.Submit(b.list(1))))
	}
	b.metal.endList(0, &nativeError{code: deviceRemoved, text: "gone"}, 0, 0)
	b.metal.endList(0, &nativeError{code: accessRevoked, text: "ignored"}, 0, 0)
	var failure *metal.ExecError
	for i, p := range pending {
		if _, err := p.Wait(t.Context()); !errors.As(err, &failure) || !failure.Lost {
			t.Errorf("list %d: %v, want an ExecError that says lost", i, err)
		}
	}
	_, err := b.device.Submit(b.list(1))
	if !errors.As(err, &failure) || !failure.Lost || failure.Code != deviceRemoved {
		t.Errorf("Submit: %v, want the first ExecError", err)
	}
	if n := b.metal.count("submit"); n != 2 {
		t.Errorf("native got %d lists, want the 2 from before", n)
	}
}

func TestListsMayEndInAnyOrder(t *testing.T) {
	b := newBench(t)
	var pending []metal.Pending
	for range 3 {
		pending = append(pending, must[metal.Pending](t)(b.device.Submit(b.list(1))))
	}
	for i, at := range []int{2, 0, 0} { // the third, the first, the second
		b.metal.endList(at, nil, float64(i+1), float64(i+2))
	}
	for i, want := range []time.Duration{2 * time.Second, 3 * time.Second, time.Second} {
		if timing, err := pending[i].Wait(t.Context()); err != nil || timing.Start != want {
			t.Errorf("list %d: started at %v, %v; want %v", i, timing.Start, err, want)
		}
	}
}

func TestListMayEndInsideSubmit(t *testing.T) {
	b := newBench(t)
	b.metal.atOnce = true
	p := must[metal.Pending](t)(b.device.Submit(b.list(1)))
	timing, err := p.Wait(t.Context())
	if want := (metal.Timing{Start: time.Second, End: 2 * time.Second}); timing != want || err != nil {
		t.Errorf("Wait: %v, %v; want %v", timing, err, want)
	}
}

func TestSubmitEmptyList(t *testing.T) {
	b := newBench(t)
	p := must[metal.Pending](t)(b.device.Submit(&metal.CommandList{}))
	b.metal.endAll()
	if _, err := p.Wait(t.Context()); err != nil {
		t.Errorf("Wait: %v", err)
	}
}

// TestSubmitToAFullQueue: a full queue blocks Submit until an earlier list ends. That end must not need a lock that
// Submit holds.
func TestSubmitToAFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.metal.depth = 2
		const lists = 6
		go func() {
			for range lists {
				if _, err := b.device.Submit(b.list(1)); err != nil {
					t.Errorf("Submit: %v", err)
				}
			}
		}()
		for i := range lists {
			synctest.Wait()
			if got, want := b.metal.inFlight(), min(2, lists-i); got != want {
				t.Errorf("after %d lists %d are in flight, want %d", i, got, want)
			}
			b.metal.endList(0, nil, 1, 2)
		}
	})
}

// TestManyGoroutines does all at once, for the race detector: submitting, ending in any order on any thread, closing,
// waiting.
func TestManyGoroutines(t *testing.T) {
	b := newBench(t)
	b.metal.depth = 3
	var submitters, enders sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		enders.Go(func() {
			for {
				b.metal.endList(rand.IntN(1+b.metal.inFlight()), nil, 1, 2)
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for range 4 {
		submitters.Go(func() {
			for range 200 {
				own := newBufferOf(t, b.device, 16)
				p, err := b.device.Submit(listOf(3, b.pipeline, b.buffer, own))
				closeNow(t, own)
				if err != nil {
					t.Errorf("Submit: %v", err)
					return
				}
				if _, err := p.Wait(t.Context()); err != nil {
					t.Errorf("Wait: %v", err)
				}
				if n := b.metal.releases(own.object); n != 1 {
					t.Errorf("a closed buffer was released %d times by the end of its list, want once", n)
				}
			}
		})
	}
	submitters.Wait()
	close(stop)
	enders.Wait()
	if n := b.metal.count("submit"); n != 800 {
		t.Errorf("native got %d lists, want 800", n)
	}
}

// newBufferOf is newBuffer without a cleanup, which would keep every buffer in memory.
func newBufferOf(t testing.TB, d *device, sizeBytes int) *buffer {
	t.Helper()
	return must[metal.Buffer](t)(d.NewBuffer(sizeBytes)).(*buffer)
}

// TestListHoldsOnce: a list holds a resource once, even if it names it several times; the next list holds it again.
func TestListHoldsOnce(t *testing.T) {
	b := newBench(t)
	for range 2 {
		must[metal.Pending](t)(b.device.Submit(b.list(5)))
	}
	if b.buffer.holders != 3 || b.pipeline.holders != 3 {
		t.Errorf("%d and %d hold the buffer and the pipeline, want 3: the owner and two lists", b.buffer.holders, b.pipeline.holders)
	}
	b.metal.endAll()
	if b.buffer.holders != 1 || b.pipeline.holders != 1 {
		t.Errorf("%d and %d hold the buffer and the pipeline after the end, want 1", b.buffer.holders, b.pipeline.holders)
	}
}

// TestReusedSubmissionForgets: an ended list must not keep its resources from the garbage collector.
func TestReusedSubmissionForgets(t *testing.T) {
	b := newBench(t)
	must[metal.Pending](t)(b.device.Submit(b.list(4)))
	closeNow(t, b.buffer)
	b.metal.endAll()
	s := b.device.free[0]
	for _, r := range slices.Concat(s.held[:cap(s.held)], s.unheld[:cap(s.unheld)]) {
		if r != nil {
			t.Fatal("a submission at rest still points to a resource")
		}
	}
	if s.pending != nil {
		t.Error("a submission at rest still points to its Pending")
	}
}

func TestWaitGivesUpWithItsContext(t *testing.T) {
	b := newBench(t)
	p := must[metal.Pending](t)(b.device.Submit(b.list(1)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v, want %v", err, context.Canceled)
	}
	b.metal.endAll()
	for range 2 {
		if timing, err := p.Wait(ctx); err != nil || timing.Elapsed() != time.Second {
			t.Errorf("Wait after the end: %v, %v; want one second, whatever the context", timing, err)
		}
	}
}

func TestManyWaitForOneList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		p := must[metal.Pending](t)(b.device.Submit(b.list(1)))
		var waiters sync.WaitGroup
		for range 5 {
			waiters.Go(func() {
				if timing, err := p.Wait(t.Context()); err != nil || timing.Start != time.Second {
					t.Errorf("Wait: %v, %v; want a start at one second", timing, err)
				}
			})
		}
		synctest.Wait()
		b.metal.endAll()
		waiters.Wait()
	})
}

func TestTimingOf(t *testing.T) {
	for _, c := range []struct {
		start, end float64
		want       metal.Timing
	}{
		{1.5, 1.75, metal.Timing{Start: 1500 * time.Millisecond, End: 1750 * time.Millisecond}},
		{2, 2, metal.Timing{Start: 2 * time.Second, End: 2 * time.Second}},
		{0, 0, metal.Timing{}}, // some systems report this
		{0, 5, metal.Timing{}},
		{5, 0, metal.Timing{}},
		{5, 4, metal.Timing{}},
	} {
		if got := timingOf(c.start, c.end); got != c.want {
			t.Errorf("timingOf(%v, %v) is %v, want %v", c.start, c.end, got, c.want)
		}
	}
}
