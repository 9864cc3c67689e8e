package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/weights/builtin"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// hashing is a backend with logits that are a function of each sequence. It may fail.
type hashing struct {
	backend.Backend
	before func() error // nil: nothing; called once a batch
}

// prefixing is hashing that takes batches with prefixes.
type prefixing struct{ hashing }

func (p prefixing) Info() backend.Info {
	info := p.hashing.Info()
	info.Prefixes = true
	return info
}

func (h hashing) Forward(_ context.Context, b *backend.Batch, out []float32) error {
	if h.before != nil {
		if err := h.before(); err != nil {
			return err
		}
	}
	if err := b.Check(backend.Limits{Vocab: math.MaxInt32, Types: math.MaxInt32, Positions: math.MaxInt32}); err != nil {
		return err
	}
	for i := range out {
		start, stop := b.Prefix(i)
		out[i] = hash(b.IDs[start:stop], b.IDs[b.Starts[i]:b.Starts[i+1]])
	}
	return nil
}

// hash is a function of the ids of all parts together.
func hash(parts ...[]int32) float32 {
	h := uint32(2166136261)
	for _, ids := range parts {
		for _, id := range ids {
			h = (h ^ uint32(id)) * 16777619
		}
	}
	return float32(h>>8) / (1 << 20)
}

var (
	errInjected = errors.New("device lost, by a test")
	errReopen   = errors.New("no device, by a test")
)

// Under cancellation, deadlines, overload, failing and panicking batches, and a device that can't always be opened again,
// every call has one answer: its own scores in its own order, or an error that says why.
func TestEveryCallHasOneAnswer(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	var answered, refused, lost atomic.Int64
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		failures := rapid.SampledFrom([]int{0, 3, 20}).Draw(rt, "percent of batches that fail")
		config := Config{
			MaxBatchTokens:        rapid.SampledFrom([]int{1, 64, 512}).Draw(rt, "MaxBatchTokens"),
			MaxQueueTokens:        rapid.SampledFrom([]int{100, 2000, 1 << 20}).Draw(rt, "MaxQueueTokens"),
			MaxConcurrentRequests: rapid.SampledFrom([]int{2, 100}).Draw(rt, "MaxConcurrentRequests"),
			MaxWait:               rapid.SampledFrom([]time.Duration{0, time.Millisecond}).Draw(rt, "MaxWait"),
			Replicas:              rapid.IntRange(1, 2).Draw(rt, "Replicas"),
			TokenCacheBytes:       rapid.SampledFrom([]int{-1, 8 << 10, 1 << 20}).Draw(rt, "TokenCacheBytes"),
		}
		prefixes := rapid.SampledFrom([]int{0, 50, 100}).Draw(rt, "percent of backends that take prefixes")
		var mu sync.Mutex
		random := rand.New(rand.NewPCG(seed, 0))
		roll := func() int {
			mu.Lock()
			defer mu.Unlock()
			return random.IntN(100)
		}
		var opened atomic.Int64
		config.wrap = func(b backend.Backend) (backend.Backend, error) {
			if opened.Add(1) > int64(config.Replicas) && roll() < failures {
				return nil, errors.Join(errReopen, b.Close())
			}
			opened := hashing{b, func() error {
				switch n := roll(); {
				case n < failures:
					return errInjected
				case n < 2*failures:
					panic("by a test")
				case n < 2*failures+30:
					time.Sleep(50 * time.Microsecond)
				}
				return nil
			}}
			if roll() < prefixes {
				return prefixing{opened}, nil
			}
			return opened, nil
		}
		e := openTest(t, weightstest.Tiny(), config)
		e.prefixes = true
		var callers sync.WaitGroup
		for caller := range 12 {
			callers.Go(func() {
				random := rand.New(rand.NewPCG(seed, uint64(caller)+1))
				for range 6 {
					ctx, cancel := context.WithCancel(context.Background())
					switch random.IntN(5) {
					case 0:
						time.AfterFunc(time.Duration(random.IntN(1000))*time.Microsecond, cancel)
					case 1:
						ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(1000))*time.Microsecond)
					}
					pairs := mixedPairs(random.IntN(30))
					options := Options{RawScores: true, Client: fmt.Sprint(caller % 3), Weight: float64(random.IntN(3))}
					got, err := e.Score(ctx, pairs, options)
					cancel()
					switch {
					case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
						lost.Add(1)
					case errors.Is(err, ErrOverloaded):
						refused.Add(1)
					case errors.Is(err, ErrBackend) && failures > 0:
						lost.Add(1)
					case err != nil:
						t.Errorf("a call failed: %v", err)
					default:
						answered.Add(1)
						sequences, err := e.encode(context.Background(), pairs, &options)
						if err != nil {
							t.Error(err)
						}
						for i, s := range sequences {
							if want := float64(hash(s.ids)); got.Values[i] != want {
								t.Errorf("pair %d of %d scores %v, want %v", i, len(pairs), got.Values[i], want)
							}
						}
					}
				}
			})
		}
		callers.Wait()
		if c := e.Counters(); c.UnderWay != 0 || c.QueueTokens != 0 {
			rt.Errorf("%d calls and %d tokens are left", c.UnderWay, c.QueueTokens)
		}
		if err := e.Close(); err != nil {
			rt.Error(err)
		}
	})
	goleak.VerifyNone(t, leaks)
	if answered.Load() == 0 || refused.Load() == 0 || lost.Load() == 0 {
		t.Errorf("%d calls answered, %d refused, %d lost: not all has been tried", answered.Load(), refused.Load(), lost.Load())
	}
}

// A call that is cancelled while it waits costs no device time.
func TestCancelledCallsAreNotRun(t *testing.T) {
	reached, release := make(chan struct{}), make(chan struct{})
	var batches, sequences atomic.Int64
	config := Config{MaxBatchTokens: 1, OnBatch: func(b BatchStats) { batches.Add(1); sequences.Add(int64(b.Sequences)) }}
	config.wrap = wrapped(func(b backend.Backend) backend.Backend {
		return hashing{b, func() error { reached <- struct{}{}; <-release; return nil }}
	})
	e := openTest(t, weightstest.Tiny(), config)
	overlap := e.Info().Backend.Overlap
	first := make(chan error, overlap)
	for range overlap { // the device is busy, and has no room for another batch
		go func() { _, err := e.Score(context.Background(), mixedPairs(1), raw); first <- err }()
		<-reached
	}
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() { _, err := e.Score(ctx, mixedPairs(20), raw); second <- err }()
	for e.Counters().QueueTokens == 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled call: %v", err)
	}
	if c := e.Counters(); c.QueueTokens != 0 || c.Cancelled != 1 {
		t.Errorf("%d tokens wait, %d calls are counted as cancelled", c.QueueTokens, c.Cancelled)
	}
	close(release)
	for range overlap {
		if err := <-first; err != nil {
			t.Error(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if int(sequences.Load()) != overlap || int(batches.Load()) != overlap {
		t.Errorf("%d sequences ran in %d batches, want %d", sequences.Load(), batches.Load(), overlap)
	}
}

// A device that can't be opened again answers at once with the reason, and serves again when it can.
func TestDeviceComesBack(t *testing.T) {
	var broken, absent atomic.Bool
	config := Config{wrap: func(b backend.Backend) (backend.Backend, error) {
		if absent.Load() {
			return nil, errors.Join(errReopen, b.Close())
		}
		return hashing{b, func() error {
			if broken.Load() {
				return errInjected
			}
			return nil
		}}, nil
	}}
	e := openTest(t, weightstest.Tiny(), config)
	broken.Store(true)
	absent.Store(true)
	for _, want := range []error{errInjected, errReopen, errReopen} { // the second waits for the first try to open it
		if _, err := e.Score(t.Context(), mixedPairs(3), raw); !errors.Is(err, want) || !errors.Is(err, ErrBackend) {
			t.Errorf("error %v, want %v", err, want)
		}
	}
	broken.Store(false)
	absent.Store(false)
	for e.Counters().Reopened == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := e.Score(t.Context(), mixedPairs(3), raw); err != nil {
		t.Error(err)
	}
	if c := e.Counters(); c.FailedBatches != 1 || c.Reopened != 1 || c.Requests != 1 || c.Failed != 3 {
		t.Errorf("counters %+v", c)
	}
}

// A call of a few pairs that comes behind thousands is answered long before them.
func TestSmallCallsPassLargeOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []int
		var mu sync.Mutex
		started := make(chan struct{}, 1)
		config := Config{MaxBatchTokens: 256, TokenCacheBytes: -1, wrap: wrapped(func(b backend.Backend) backend.Backend {
			return hashing{b, func() error {
				select {
				case started <- struct{}{}:
				default:
				}
				time.Sleep(200 * time.Microsecond)
				return nil
			}}
		})}
		e := openTest(t, weightstest.Tiny(), config)
		var calls sync.WaitGroup
		var batches [2]int
		call := func(i, pairs int) {
			scores, err := e.Score(t.Context(), mixedPairs(pairs), raw)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			order = append(order, i)
			batches[i] = scores.Stats.Batches
		}
		calls.Go(func() { call(0, 4000) })
		<-started
		calls.Go(func() { call(1, 4) }) // which takes no time of this clock until it is in the queue
		calls.Wait()
		if !slices.Equal(order, []int{1, 0}) {
			t.Errorf("answered in order %v", order)
		}
		if batches[1] > 2 || batches[0] < 50 {
			t.Errorf("the small call took %d batches, the large one %d", batches[1], batches[0])
		}
	})
}

// BenchmarkDispatch measures the cost of scheduling a call of eight pairs, with a backend that computes nothing. Where others
// use the machine, the processor time is what can be compared.
func BenchmarkDispatch(b *testing.B) {
	null := func(b backend.Backend) (backend.Backend, error) { return nothing{b}, nil }
	e, err := Open(b.Context(), Config{Embedded: builtin.Open, MaxConcurrentRequests: 1 << 16, wrap: null})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	sequences, err := e.encode(b.Context(), mixedPairs(8), &Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetParallelism(256)
	b.ResetTimer()
	before := processorTime(b)
	b.RunParallel(func(pb *testing.PB) {
		logits := make([]float32, len(sequences))
		for pb.Next() {
			var stats Stats
			if err := e.dispatcher.run(context.Background(), e, e.newJob(sequences, logits), &stats); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// processorTime is the time that all cores together have spent on the process, in nanoseconds.
func processorTime(b *testing.B) int64 {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

type nothing struct{ backend.Backend }

func (nothing) Forward(context.Context, *backend.Batch, []float32) error { return nil }
