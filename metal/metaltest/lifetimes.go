package metaltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/metalrank/metalrank/metal"
)

// testCloseWhileBusy: objects may be closed while submitted work uses them; closing the device waits for the work.
func testCloseWhileBusy(t *subtest, r *rig) {
	other := r.other(t)
	values, err := other.device.NewBuffer(4)
	if err != nil {
		t.Fatal(err)
	}
	copy(values.Bytes(), words(1, func(int) uint32 { return 1 }))
	result := other.buffer(t, make([]byte, 4))
	pipeline, err := other.library.Pipeline("busy")
	if err != nil {
		t.Fatal(err)
	}
	work := other.busy(t, metal.At(values, 0), r.busyRounds())
	work.Pipeline = pipeline
	pending := other.submit(t, work, other.copy(t, metal.At(result, 0), metal.At(values, 0), 4))
	closed(t, "buffer", values.Close())
	closed(t, "pipeline", pipeline.Close())
	closed(t, "library", other.library.Close())
	for range 20 { // closed memory must not be reused while work uses it
		other.buffer(t, make([]byte, 4))
	}
	finish(t, pending)
	if got, want := word(result.Bytes(), 0), xorshift(1, r.busyRounds()); got != want {
		t.Errorf("work on closed buffers made %#x, want %#x", got, want)
	}

	again := r.other(t)
	input := again.buffer(t, words(1, func(int) uint32 { return 1 }))
	pending = again.submit(t, again.busy(t, metal.At(input, 0), r.busyRounds()))
	closed(t, "device", again.device.Close())
	finish(t, pending) // it has ended: Close waited
}

// testCloseNoCopy: the memory is the caller's again when Close of its buffer returns: the work that reads it has ended.
func testCloseNoCopy(t *subtest, r *rig) {
	memory := alignedPages(1, r.device.Info().PageSizeBytes)
	copy(memory, pattern(len(memory)))
	buffer, err := r.device.NewBufferNoCopy(memory)
	if err != nil {
		t.Fatal(err)
	}
	values := r.buffer(t, words(1, func(int) uint32 { return 1 }))
	to := r.buffer(t, make([]byte, len(memory)))
	pending := r.submit(t,
		r.busy(t, metal.At(values, 0), r.busyRounds()),
		r.copy(t, metal.At(to, 0), metal.At(buffer, 0), len(memory)))
	closed(t, "buffer", buffer.Close())
	clear(memory)
	finish(t, pending)
	if !bytes.Equal(to.Bytes(), pattern(len(memory))) {
		t.Error("the device read the caller's memory after Close")
	}
}

// testCloseTwice: everything may be closed twice, and returns ErrClosed when used.
func testCloseTwice(t *subtest, r *rig) {
	other := r.other(t)
	source, err := metal.LoadSource(Files(), "reduce.metal")
	if err != nil {
		t.Fatal(err)
	}
	buffer, live := other.buffer(t, make([]byte, 64)), other.buffer(t, make([]byte, 64))
	pipeline := other.pipeline(t, "advance")
	for range 2 {
		closed(t, "buffer", buffer.Close())
		closed(t, "pipeline", pipeline.Close())
	}
	if got := buffer.Bytes(); got != nil {
		t.Errorf("a closed buffer has %d bytes", len(got))
	}
	for name, spoil := range map[string]func(*metal.Dispatch){
		"buffer":   func(d *metal.Dispatch) { d.Buffers[1] = metal.At(buffer, 0) },
		"pipeline": func(d *metal.Dispatch) { d.Pipeline = pipeline },
	} {
		encoder := metal.NewEncoder(other.device)
		dispatch := other.advance(t, metal.At(live, 0), 1, 1, 1)
		spoil(dispatch)
		err := encoder.Dispatch(dispatch)
		if err == nil {
			_, err = encoder.Commit()
		}
		if err == nil {
			t.Errorf("a dispatch with a closed %s: no error", name)
		}
	}
	unsubmitted := metal.NewEncoder(other.device)
	if err := unsubmitted.Dispatch(other.advance(t, metal.At(live, 0), 1, 1, 1)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		closed(t, "library", other.library.Close())
	}
	if _, err := other.library.Pipeline("advance"); !errors.Is(err, metal.ErrClosed) {
		t.Errorf("a pipeline from a closed library: error %v, want ErrClosed", err)
	}
	for range 2 {
		closed(t, "device", other.device.Close())
	}

	use := map[string]func() error{
		"NewBuffer": func() error { _, err := other.device.NewBuffer(4); return err },
		"NewBufferNoCopy": func() error {
			_, err := other.device.NewBufferNoCopy(alignedPages(1, r.device.Info().PageSizeBytes))
			return err
		},
		"NewLibrary": func() error { _, err := other.device.NewLibrary(source); return err },
		"Submit":     func() error { _, err := unsubmitted.Commit(); return err },
	}
	for name, call := range use {
		if err := call(); !errors.Is(err, metal.ErrClosed) {
			t.Errorf("%s of a closed device: error %v, want ErrClosed", name, err)
		}
	}
}

// testGoroutines: many goroutines make buffers and pipelines, and submit, at the same time.
func testGoroutines(t *subtest, r *rig) {
	const goroutines, rounds, n = 8, 12, 200
	failures := make(chan error, goroutines)
	var all sync.WaitGroup
	for g := range uint32(goroutines) {
		all.Go(func() {
			for round := range uint32(rounds) {
				if err := r.oneRound(t.Context(), n, g+3, round); err != nil {
					failures <- fmt.Errorf("goroutine %d, round %d: %w", g, round, err)
					return
				}
			}
		})
	}
	all.Wait()
	close(failures)
	for err := range failures {
		t.Error(err)
	}
}

// oneRound does everything once: a buffer, a pipeline, two dispatches, a wait.
func (r *rig) oneRound(ctx context.Context, n int, factor, addend uint32) (err error) {
	buffer, err := r.device.NewBuffer(4 * n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, buffer.Close()) }()
	copy(buffer.Bytes(), words(n, func(i int) uint32 { return uint32(i) }))
	pipeline, err := r.library.Pipeline("advance")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pipeline.Close()) }()
	groups, threads := line(n, 64)
	dispatch := metal.Dispatch{
		Pipeline: pipeline, Arguments: pack(stepArgs{uint32(n), factor, addend}),
		Buffers: []metal.Binding{1: metal.At(buffer, 0)}, Groups: groups, Threads: threads,
	}
	encoder := metal.NewEncoder(r.device)
	for range 2 {
		encoder.Barrier()
		if err := encoder.Dispatch(&dispatch); err != nil {
			return err
		}
	}
	pending, err := encoder.Commit()
	if err != nil {
		return err
	}
	if _, err := pending.Wait(ctx); err != nil {
		return err
	}
	for i := range n {
		if got, want := word(buffer.Bytes(), i), (uint32(i)*factor+addend)*factor+addend; got != want {
			return fmt.Errorf("word %d is %d, want %d", i, got, want)
		}
	}
	return nil
}

// testKeepResident: keeping buffers resident, or no longer, changes no result; a closed device keeps nothing.
func testKeepResident(t *subtest, r *rig) {
	other := r.other(t)
	for _, keep := range []bool{true, true, false, true} {
		first, second := other.device.KeepResident(keep), other.device.KeepResident(keep)
		if first != second {
			t.Error("KeepResident is true at one time and false at another")
		}
		from := other.buffer(t, words(3, func(i int) uint32 { return uint32(i + 7) }))
		to := other.buffer(t, make([]byte, 12))
		finish(t, other.submit(t, other.copy(t, metal.At(to, 0), metal.At(from, 0), 12)))
		if !bytes.Equal(to.Bytes(), from.Bytes()) {
			t.Errorf("KeepResident(%v): copied %v, want %v", keep, to.Bytes(), from.Bytes())
		}
	}
	closed(t, "device", other.device.Close())
	if other.device.KeepResident(true) {
		t.Error("a closed device keeps buffers resident")
	}
}
