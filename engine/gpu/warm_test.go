package gpu_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/sim/simtest"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// quick is a GPU that computes nothing, at once, and writes down what it is asked.
type quick struct {
	sets bool // the system has residency sets

	mu   sync.Mutex
	kept []bool // guarded by mu: calls of KeepResident
	ran  int    // guarded by mu: lists
}

func (q *quick) Info() metal.Info {
	return metal.Info{
		Name: "Apple M0", Families: []string{metal.OldestFamily}, SIMDWidth: 32, MaxThreadsPerGroup: 1024,
		MaxThreadgroupMemoryBytes: 32 << 10, MaxBufferSizeBytes: 1 << 30, PageSizeBytes: 1 << 14,
	}
}
func (q *quick) NewBuffer(sizeBytes int) (metal.Buffer, error) {
	return memory(make([]byte, sizeBytes)), nil
}
func (q *quick) NewBufferNoCopy(data []byte) (metal.Buffer, error) { return memory(data), nil }
func (q *quick) NewLibrary(metal.Source) (metal.Library, error)    { return library{}, nil }
func (q *quick) Close() error                                      { return nil }
func (q *quick) Submit(*metal.CommandList) (metal.Pending, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ran++
	return done{}, nil
}

func (q *quick) KeepResident(keep bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.kept = append(q.kept, keep)
	return q.sets
}

// taken returns what was asked so far, and forgets it.
func (q *quick) taken() (kept []bool, ran int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	kept, ran = q.kept, q.ran
	q.kept, q.ran = nil, 0
	return kept, ran
}

type memory []byte

func (m memory) Bytes() []byte { return m }
func (m memory) Close() error  { return nil }

type library struct{}

func (library) Pipeline(kernel string, _ ...metal.Constant) (metal.Pipeline, error) {
	return pipeline(kernel), nil
}
func (library) Close() error { return nil }

type pipeline string

func (p pipeline) Info() metal.PipelineInfo {
	return metal.PipelineInfo{Kernel: string(p), MaxThreads: 1024, SIMDWidth: 32}
}
func (pipeline) Close() error { return nil }

type done struct{}

func (done) Wait(context.Context) (metal.Timing, error) { return metal.Timing{}, nil }

// TestKeepWarm: after a pass, the device is kept ready for KeepWarm, and then left alone; a pass in between makes it longer.
func TestKeepWarm(t *testing.T) {
	const beat, keep = 500 * time.Millisecond, 10 * time.Second
	const beats = int(keep/beat) - 1
	checkpoint := written(t, weightstest.Tiny())
	simtest.CloseLater(t, checkpoint)
	var batch backend.Batch
	batch.Append([]int32{1, 2}, []int32{0, 1})
	for _, sets := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			q := &quick{sets: sets}
			b, err := gpu.Open(func(string) (metal.Device, error) { return q, nil }, checkpoint,
				gpu.Config{Driver: "metal", MaxBatchTokens: 64, KeepWarm: keep})
			if err != nil {
				t.Fatal(err)
			}
			forward := func() {
				t.Helper()
				if err := b.Forward(t.Context(), &batch, make([]float32, 1)); err != nil {
					t.Fatal(err)
				}
			}
			// expect waits, and wants so many passes of requests, beats, of which some come so soon after a pass that they
			// run none, and the end or not.
			expect := func(after time.Duration, passes, beats, soon int, ended bool) {
				t.Helper()
				time.Sleep(after)
				synctest.Wait()
				kept, ran := q.taken()
				if !sets {
					passes += beats - soon
				}
				want := slices.Repeat([]bool{true}, beats)
				if ended {
					want = append(want, false)
				}
				if !slices.Equal(kept, want) || ran != passes {
					t.Errorf("sets %v: in %v KeepResident %v and %d passes, want %v and %d", sets, after, kept, ran, want, passes)
				}
			}
			expect(time.Minute, 0, 0, 0, false) // not before the first pass
			forward()
			expect(time.Minute, 1, beats, 0, true)
			forward()
			expect(keep/2+beat/2, 1, (beats+1)/2, 0, false)
			forward()
			expect(time.Minute, 1, beats+1, 1, true)
			forward()
			expect(beat/2, 1, 0, 0, false)
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			expect(time.Minute, 0, 0, 0, false)
		})
	}
}
