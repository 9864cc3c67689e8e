package metaltest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/metalrank/metalrank/metal"
)

// advance makes values = values*factor + addend in n words.
func (r *rig) advance(tb testing.TB, to metal.Binding, n int, factor, addend uint32) *metal.Dispatch {
	tb.Helper()
	groups, threads := line(n, 64)
	return &metal.Dispatch{
		Pipeline: r.pipeline(tb, "advance"), Arguments: pack(stepArgs{uint32(n), factor, addend}),
		Buffers: []metal.Binding{1: to}, Groups: groups, Threads: threads,
	}
}

// sumOfAll makes each of n words the sum of n others.
func (r *rig) sumOfAll(tb testing.TB, to, from metal.Binding, n int) *metal.Dispatch {
	tb.Helper()
	groups, threads := line(n, 32)
	return &metal.Dispatch{
		Pipeline: r.pipeline(tb, "sum_of_all"), Arguments: pack(countArgs{uint32(n)}),
		Buffers: []metal.Binding{1: to, 2: from}, Groups: groups, Threads: threads,
	}
}

// busy keeps one thread of the device at work on a word, for rounds of a few instructions each.
func (r *rig) busy(tb testing.TB, to metal.Binding, rounds int) *metal.Dispatch {
	tb.Helper()
	return &metal.Dispatch{
		Pipeline: r.pipeline(tb, "busy"), Arguments: pack(stepArgs{Count: 1, Factor: uint32(rounds)}),
		Buffers: []metal.Binding{1: to}, Groups: metal.Size{X: 1}, Threads: metal.Size{X: 1},
	}
}

// busyRounds is a number of rounds of busy that takes tens of milliseconds in one thread. A GPU's thread is some ten times
// slower than the simulator's, and macOS ends work that keeps the display waiting.
func (r *rig) busyRounds() int {
	if r.device.Info().Simulated {
		return 20_000_000
	}
	return 2_000_000
}

// xorshift returns the value that busy makes of a word.
func xorshift(value uint32, rounds int) uint32 {
	for range rounds {
		value ^= value << 13
		value ^= value >> 17
		value ^= value << 5
	}
	return value
}

// testBarriers: a dispatch after a barrier sees all that earlier ones wrote, in any thread.
func testBarriers(t *subtest, r *rig) {
	const n = 500
	index := func(i int) uint32 { return uint32(i) }
	values, sums := r.buffer(t, words(n, index)), r.buffer(t, make([]byte, 4*n))
	var list []*metal.Dispatch
	want := make([]uint32, n)
	for i := range want {
		want[i] = uint32(i)
	}
	for round := range uint32(10) {
		list = append(list,
			r.advance(t, metal.At(values, 0), n, 3+round, 7),
			r.sumOfAll(t, metal.At(sums, 0), metal.At(values, 0), n),
			r.advance(t, metal.At(sums, 0), n, 5, round),
			r.sumOfAll(t, metal.At(values, 0), metal.At(sums, 0), n))
		var sum uint32
		for _, value := range want {
			sum += value*(3+round) + 7
		}
		for i := range want {
			want[i] = n * (sum*5 + round)
		}
	}
	r.run(t, list...)
	for i := range want {
		if got := word(values.Bytes(), i); got != want[i] {
			t.Fatalf("word %d is %d, want %d", i, got, want[i])
		}
	}
}

// testNoBarriers: independent dispatches need no barriers.
func testNoBarriers(t *subtest, r *rig) {
	const n, dispatches = 100, 60
	values := r.buffer(t, words(n*dispatches, func(i int) uint32 { return uint32(i) }))
	encoder := metal.NewEncoder(r.device)
	for i := range dispatches {
		if err := encoder.Dispatch(r.advance(t, metal.At(values, 4*n*i), n, uint32(i), 1)); err != nil {
			t.Fatal(err)
		}
	}
	pending, err := encoder.Commit()
	if err != nil {
		t.Fatal(err)
	}
	finish(t, pending)
	for i := range n * dispatches {
		if got, want := word(values.Bytes(), i), uint32(i)*uint32(i/n)+1; got != want {
			t.Fatalf("word %d is %d, want %d", i, got, want)
		}
	}
}

// testSubmissionOrder: lists execute in the order of their submission; waiting for the last is enough.
func testSubmissionOrder(t *subtest, r *rig) {
	const n, lists = 300, 20
	values := r.buffer(t, words(n, func(i int) uint32 { return uint32(i) }))
	want := func(i int) uint32 {
		value := uint32(i)
		for k := range uint32(lists) {
			value = (value*(2*k+3)+k)*7 + 1
		}
		return value
	}
	var last metal.Pending
	for k := range uint32(lists) {
		last = r.submit(t,
			r.advance(t, metal.At(values, 0), n, 2*k+3, k),
			r.advance(t, metal.At(values, 0), n, 7, 1))
	}
	finish(t, last)
	for i := range n {
		if got := word(values.Bytes(), i); got != want(i) {
			t.Fatalf("word %d is %d, want %d", i, got, want(i))
		}
	}
}

// testEmptyList: a list without dispatches ends like any other.
func testEmptyList(t *subtest, r *rig) {
	finish(t, r.submit(t))
}

// testWait: when its context ends, Wait returns and the work goes on; Wait may be called again, and by several
// goroutines at once.
func testWait(t *subtest, r *rig) {
	values := r.buffer(t, words(1, func(int) uint32 { return 1 }))
	pending := r.submit(t, r.busy(t, metal.At(values, 0), r.busyRounds()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pending.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("wait with a cancelled context: error %v, want %v", err, context.Canceled)
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Microsecond)
	defer cancel()
	if _, err := pending.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("wait for a microsecond: error %v, want %v", err, context.DeadlineExceeded)
	}

	const waiters = 4
	timings := make(chan metal.Timing, waiters)
	for range waiters {
		go func() {
			timing, err := pending.Wait(context.Background())
			if err != nil {
				t.Errorf("wait: %v", err)
			}
			timings <- timing
		}()
	}
	first := finish(t, pending)
	for range waiters {
		if timing := <-timings; timing != first {
			t.Errorf("two Waits for the same work: %v and %v", first, timing)
		}
	}
	if got, want := word(values.Bytes(), 0), xorshift(1, r.busyRounds()); got != want {
		t.Errorf("the work was left unfinished: %#x, want %#x", got, want)
	}
}

// testTiming: device times, where there are any, fit in the time that passed on the host, and lists don't overlap.
func testTiming(t *subtest, r *rig) {
	values := r.buffer(t, words(1, func(int) uint32 { return 1 }))
	begin := time.Now()
	first := r.submit(t, r.busy(t, metal.At(values, 0), r.busyRounds()/4))
	second := r.submit(t, r.busy(t, metal.At(values, 0), r.busyRounds()/4))
	one, two := finish(t, first), finish(t, second)
	passed := time.Since(begin)
	if one == (metal.Timing{}) && two == (metal.Timing{}) {
		t.Skip("this driver can't tell device times")
	}
	if one.Elapsed() <= 0 || two.Elapsed() <= 0 {
		t.Errorf("the device worked for %v and %v", one.Elapsed(), two.Elapsed())
	}
	if total := one.Elapsed() + two.Elapsed(); total > passed+passed/10 { // clocks may differ a little
		t.Errorf("the device worked for %v within %v", total, passed)
	}
	if two.Start < one.End {
		t.Errorf("the second list began at %v, before the first one's end at %v", two.Start, one.End)
	}
}
