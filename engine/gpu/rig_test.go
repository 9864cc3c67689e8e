package gpu_test

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/engine/reference"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// A rig is one checkpoint on a simulated device, and the same on the reference backend.
type rig struct {
	config    weights.Config
	plan      *weights.Plan
	gpu       backend.Backend
	reference backend.Backend
	device    *recording
}

// recording is a simulator that keeps the work submitted to it.
type recording struct {
	*sim.Device
	mu      sync.Mutex
	pending []*sim.Pending // guarded by mu
}

// Submit implements metal.Device.
func (r *recording) Submit(list *metal.CommandList) (metal.Pending, error) {
	pending, err := r.Device.Submit(list)
	if work, ok := pending.(*sim.Pending); ok {
		r.mu.Lock()
		r.pending = append(r.pending, work)
		r.mu.Unlock()
	}
	return pending, err
}

// Close leaves the simulator to its opener: a rig's backends take turns with it.
func (r *recording) Close() error { return nil }

// lists returns the number of commands in each list so far, and forgets them.
func (r *rig) lists() []int {
	r.device.mu.Lock()
	defer r.device.mu.Unlock()
	var lengths []int
	for _, pending := range r.device.pending {
		lengths = append(lengths, len(pending.Reports()))
	}
	r.device.pending = nil
	return lengths
}

// reports returns the reports of all passes so far, and forgets them.
func (r *recording) reports() []sim.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []sim.Report
	for _, pending := range r.pending {
		all = append(all, pending.Reports()...)
	}
	r.pending = nil
	return all
}

func newRig(t *testing.T, device sim.Config, checkpoint *weights.Checkpoint, config gpu.Config) *rig {
	t.Helper()
	return newRigOn(t, simtest.Open(t, device), checkpoint, config)
}

// newRigOn is newRig on a device that several rigs share.
func newRigOn(t *testing.T, device *sim.Device, checkpoint *weights.Checkpoint, config gpu.Config) *rig {
	t.Helper()
	r := &rig{config: checkpoint.Config(), device: &recording{Device: device}}
	simtest.CloseLater(t, checkpoint)
	config.Driver = "sim"
	if config.MaxBatchTokens == 0 {
		config.MaxBatchTokens = 4096
	}
	g, err := gpu.Open(func(string) (metal.Device, error) { return r.device, nil }, checkpoint, config)
	if err != nil {
		t.Fatal(err)
	}
	simtest.CloseLater(t, g)
	if r.plan, err = checkpoint.Plan(); err != nil {
		t.Fatal(err)
	}
	oracle, err := reference.New(checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	simtest.CloseLater(t, oracle)
	r.gpu, r.reference = g, oracle
	return r
}

// written opens a checkpoint of weightstest's from a folder, so that it is mapped.
func written(t *testing.T, spec weightstest.Spec) *weights.Checkpoint {
	t.Helper()
	dir := t.TempDir()
	if err := weightstest.Write(dir, spec); err != nil {
		t.Fatal(err)
	}
	checkpoint, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return checkpoint
}

// batch makes up sequences of the given lengths.
func (r *rig) batch(seed uint64, lengths ...int) *backend.Batch {
	var b backend.Batch
	for i, length := range lengths {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		ids, types := make([]int32, length), make([]int32, length)
		for at := range ids {
			ids[at] = int32(random.IntN(r.config.VocabSize))
			types[at] = int32(at * 2 / length % r.config.TypeVocab)
		}
		b.Append(ids, types)
	}
	return &b
}

// forward is b's logits of a batch.
func (r *rig) forward(t *testing.T, b backend.Backend, batch *backend.Batch) []float32 {
	t.Helper()
	out := make([]float32, batch.Sequences()*len(r.config.Labels))
	if err := b.Forward(t.Context(), batch, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// compare runs a batch on both backends; logits may differ by allowed.
func (r *rig) compare(t *testing.T, batch *backend.Batch, allowed float64) {
	t.Helper()
	worst := near(t, r.forward(t, r.gpu, batch), r.forward(t, r.reference, batch), allowed)
	t.Logf("%d sequences, %d tokens: largest difference %.2g of %.2g allowed", batch.Sequences(), batch.Tokens(), worst, allowed)
}

// near compares logits, and returns the largest difference.
func near(t *testing.T, got, want []float32, allowed float64) (worst float64) {
	t.Helper()
	for i := range want {
		difference := float64(got[i]) - float64(want[i])
		if !(difference <= allowed && difference >= -allowed) { // in this form, NaN fails
			t.Errorf("logit %d is %v, want %v: %.0f %% of what is allowed", i, got[i], want[i], 100*max(difference, -difference)/allowed)
		}
		worst = max(worst, difference, -difference)
	}
	return worst
}

// notShort skips, in short mode, a test that takes long and has nothing to race.
func notShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long, and everything in it happens one after another")
	}
}
