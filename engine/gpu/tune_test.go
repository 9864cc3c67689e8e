package gpu_test

import (
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// compiling is a simulator that counts the pipelines that are made.
type compiling struct {
	*recording
	pipelines atomic.Int64
}

type compilingLibrary struct {
	metal.Library
	pipelines *atomic.Int64
}

func (d *compiling) NewLibrary(source metal.Source) (metal.Library, error) {
	library, err := d.recording.NewLibrary(source)
	return compilingLibrary{library, &d.pipelines}, err
}

func (l compilingLibrary) Pipeline(kernel string, constants ...metal.Constant) (metal.Pipeline, error) {
	l.pipelines.Add(1)
	return l.Library.Pipeline(kernel, constants...)
}

// smallestFirst is a clock by which variants of 8 rows are the fastest.
func smallestFirst(pending metal.Pending, _ metal.Timing, _ time.Duration) float64 {
	all := pending.(*sim.Pending).Reports()
	if strings.Contains(all[0].Kernel, "_nt_8x") {
		return float64(len(all))
	}
	return 2 * float64(len(all))
}

// TestTune opens a model without an earlier outcome, and with one: then, only variants that are chosen are
// compiled and nothing is timed. The logits are the same bits.
func TestTune(t *testing.T) {
	device := &compiling{recording: &recording{Device: simtest.Open(t, sim.Config{})}}
	checkpoint := written(t, weightstest.Tiny())
	simtest.CloseLater(t, checkpoint)
	tuning := gpu.Tuning{Folder: t.TempDir(), System: "test", Budget: time.Hour, Clock: smallestFirst}
	r := &rig{config: checkpoint.Config(), device: device.recording}
	batch := r.batch(1, 5, 14, 16)

	open := func(tuning *gpu.Tuning) (logits []float32, outcome gpu.Tuned, kernels []string, pipelines int64) {
		t.Helper()
		before := device.pipelines.Load()
		session, err := gpu.OpenSession(func(string) (metal.Device, error) { return device, nil }, gpu.Config{Driver: "sim", MaxBatchTokens: 64, Tuning: tuning})
		if err != nil {
			t.Fatal(err)
		}
		if err := session.LoadTuning(); err != nil {
			t.Fatal(err)
		}
		b, err := session.Open(checkpoint)
		if err != nil {
			t.Fatal(err)
		}
		if outcome, err = b.Tune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if outcome.Elapsed > 0 {
			if outcome.Path, err = session.KeepTuning(); err != nil {
				t.Fatal(err)
			}
		}
		pipelines = device.pipelines.Load() - before
		device.reports()
		logits = r.forward(t, b, batch)
		for _, report := range device.reports() {
			kernels = append(kernels, report.Kernel)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if err := session.Close(); err != nil {
			t.Fatal(err)
		}
		return logits, outcome, kernels, pipelines
	}
	large := func(kernels []string) bool {
		return slices.ContainsFunc(kernels, func(k string) bool { return strings.Contains(k, "_nt_") && !strings.Contains(k, "_nt_8x") })
	}

	want, _, _, untuned := open(nil)
	first, outcome, kernels, _ := open(&tuning)
	if outcome.Products == 0 || outcome.Missing != 0 || large(kernels) {
		t.Errorf("first: %+v, runs %v", outcome, kernels)
	}
	second, again, kernels, tuned := open(&tuning)
	if again != (gpu.Tuned{}) || large(kernels) || tuned >= untuned {
		t.Errorf("second: %+v, runs %v, compiles %d pipelines, %d without tuning", again, kernels, tuned, untuned)
	}
	if !slices.Equal(first, want) || !slices.Equal(second, want) {
		t.Errorf("logits %v and %v, without tuning %v", first, second, want)
	}
	tuning.Again = true
	if _, again, _, _ := open(&tuning); again.Products != outcome.Products {
		t.Errorf("again: %+v, want %d products", again, outcome.Products)
	}
	tuning.Again, tuning.System = false, "another"
	if _, other, _, _ := open(&tuning); other.Products != outcome.Products || other.Path == outcome.Path {
		t.Errorf("on another system: %+v, want %d products and another file", other, outcome.Products)
	}

	// A simulated device without a clock of the caller's is not tuned.
	if _, none, _, _ := open(&gpu.Tuning{Folder: tuning.Folder, System: "none"}); none != (gpu.Tuned{}) {
		t.Errorf("simulated: %+v", none)
	}

	// A file that is damaged is told of, and then replaced.
	if err := os.WriteFile(outcome.Path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	tuning.System = "test"
	session, err := gpu.OpenSession(func(string) (metal.Device, error) { return device, nil }, gpu.Config{Driver: "sim", MaxBatchTokens: 64, Tuning: &tuning})
	if err != nil {
		t.Fatal(err)
	}
	simtest.CloseLater(t, session)
	if err := session.LoadTuning(); err == nil || !strings.Contains(err.Error(), outcome.Path) {
		t.Errorf("damaged: %v", err)
	}
	b, err := session.Open(checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	simtest.CloseLater(t, b)
	if outcome, err := b.Tune(t.Context()); err != nil || outcome.Products == 0 {
		t.Errorf("damaged: %+v, %v", outcome, err)
	}
	if _, err := session.KeepTuning(); err != nil {
		t.Error(err)
	}
	if err := session.LoadTuning(); err != nil {
		t.Errorf("replaced: %v", err)
	}
}

// TestTuneOnceInASession: what a search leaves out for want of time is for the next session, and not for the next backend.
func TestTuneOnceInASession(t *testing.T) {
	device := simtest.Open(t, sim.Config{})
	checkpoint := written(t, weightstest.Tiny())
	simtest.CloseLater(t, checkpoint)
	tuning := &gpu.Tuning{Folder: t.TempDir(), System: "test", Budget: time.Nanosecond, Clock: smallestFirst}
	var known int
	for range 2 {
		session, err := gpu.OpenSession(func(string) (metal.Device, error) { return &recording{Device: device}, nil },
			gpu.Config{Driver: "sim", MaxBatchTokens: 64, Tuning: tuning})
		if err != nil {
			t.Fatal(err)
		}
		simtest.CloseLater(t, session)
		if err := session.LoadTuning(); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			b, err := session.Open(checkpoint)
			if err != nil {
				t.Fatal(err)
			}
			simtest.CloseLater(t, b)
			outcome, err := b.Tune(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if first := i == 0; first != (outcome.Products == 1) || first != (outcome.Missing > 0) {
				t.Errorf("%d products were known, backend %d: %+v", known, i, outcome)
			}
		}
		if _, err := session.KeepTuning(); err != nil {
			t.Fatal(err)
		}
		known++
	}
}

// splitFirst is a clock by which variants that split K are the fastest.
func splitFirst(pending metal.Pending, _ metal.Timing, _ time.Duration) float64 {
	all := pending.(*sim.Pending).Reports()
	if strings.Contains(all[0].Kernel, "_split") {
		return float64(len(all))
	}
	return 2 * float64(len(all))
}

// TestSplit has the tuner choose variants that split K for the last layer. Logits are right, the same bits alone and in a batch, and
// the pass has no more dispatches.
func TestSplit(t *testing.T) {
	spec := weightstest.Tiny()
	r := newRig(t, sim.Config{}, written(t, spec), gpu.Config{MaxBatchTokens: 512, Tuning: &gpu.Tuning{Budget: time.Hour, Clock: splitFirst}})
	batch := r.batch(1, 5, 14, 16, 1, 3, 7, 9, 11, 2, 6, 8, 4)
	r.forward(t, r.gpu, batch)
	before := len(r.device.reports())
	if _, err := r.gpu.(*gpu.Backend).Tune(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.device.reports()
	tuned := r.forward(t, r.gpu, batch)
	split := 0
	reports := r.device.reports()
	for i := range reports {
		if strings.Contains(reports[i].Kernel, "_split") {
			split++
		}
	}
	if split != 2 || len(reports) != before { // queries, and into the feed-forward; the others have a norm
		t.Errorf("%d of %d dispatches split K, want 2 of %d", split, len(reports), before)
	}
	near(t, tuned, r.forward(t, r.reference, batch), halfAllowed)
	labels := len(tuned) / batch.Sequences()
	for i := range batch.Sequences() {
		var alone backend.Batch
		alone.Append(batch.IDs[batch.Starts[i]:batch.Starts[i+1]], batch.Types[batch.Starts[i]:batch.Starts[i+1]])
		if got := r.forward(t, r.gpu, &alone); !slices.Equal(got, tuned[i*labels:(i+1)*labels]) {
			t.Errorf("sequence %d: %v alone, %v among others", i, got, tuned[i*labels:(i+1)*labels])
		}
	}
}
