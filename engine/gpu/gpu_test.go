package gpu_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/backend/backendtest"
	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// Allowed differences of logits from float64: for fp16, and for fp32 ten times the tolerance of the goldens on the CPU.
const (
	halfAllowed  = 2e-2
	floatAllowed = 1e-3
)

// specs are checkpoints of other sizes: those of weightstest, and some that take other ways through the kernels.
func specs() []weightstest.Spec {
	all := weightstest.Specs()
	one := all[0]
	one.Name, one.Hidden, one.Heads, one.Layers, one.FeedForward = "one layer, odd sizes", 40, 2, 1, 72
	wide := all[0]
	wide.Name, wide.Hidden, wide.Heads, wide.Layers, wide.FeedForward = "wider than a threadgroup's rows", 1544, 193, 1, 16
	half := all[1]
	half.Name, half.Hidden, half.Heads, half.Layers = "heads of 64, mapped in place", 128, 2, 2
	return append(all, one, wide, half)
}

func TestAgainstReference(t *testing.T) {
	notShort(t)
	for _, spec := range specs() {
		for _, full := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, float32 %v", spec.Name, full), func(t *testing.T) {
				r := newRig(t, sim.Config{}, written(t, spec), gpu.Config{Float32: full})
				allowed := halfAllowed
				if full {
					allowed = floatAllowed
				}
				r.compare(t, r.batch(2, 1), allowed)
				if spec.Hidden < 1000 { // the reference takes its time
					r.compare(t, r.batch(1, 1, 2, 7, 8, 9, 31, 33, spec.MaxPositions, 5), allowed)
				}
			})
		}
	}
}

// TestLengths runs sequences of all lengths in one batch: far more tokens than a slot has memory for.
func TestLengths(t *testing.T) {
	notShort(t)
	spec := weightstest.Specs()[0]
	spec.Hidden, spec.Heads, spec.FeedForward, spec.MaxPositions = 32, 1, 64, 512
	spec.TokenizerKeys = nil
	r := newRig(t, sim.Config{}, written(t, spec), gpu.Config{MaxBatchTokens: 64})
	var lengths []int
	for length := 1; length <= 512; length++ {
		if length <= 66 || length >= 511 || simtest.Long() || length%64 <= 1 {
			lengths = append(lengths, length)
		}
	}
	r.compare(t, r.batch(3, lengths...), halfAllowed)
}

// TestBatching checks that a sequence's logits are the same bits alone, among others, and in any order, with all tiles that
// the sizes of the batches lead to.
func TestBatching(t *testing.T) {
	notShort(t)
	spec := weightstest.Specs()[2] // three labels
	r := newRig(t, sim.Config{Seed: 3}, written(t, spec), gpu.Config{})
	lengths := make([]int, 20)
	for i := range lengths {
		lengths[i] = 1 + i*37%80
	}
	whole := r.batch(4, lengths...)
	want := r.forward(t, r.gpu, whole)
	labels := spec.Labels
	one := func(i int) (ids, types []int32) {
		begin, end := whole.Starts[i], whole.Starts[i+1]
		return whole.IDs[begin:end], whole.Types[begin:end]
	}
	var reversed backend.Batch
	for i := range slices.Backward(lengths) {
		reversed.Append(one(i))
	}
	backwards := r.forward(t, r.gpu, &reversed)
	for i := range lengths {
		var alone backend.Batch
		alone.Append(one(i))
		expected := want[i*labels : (i+1)*labels]
		if got := r.forward(t, r.gpu, &alone); !slices.Equal(got, expected) {
			t.Errorf("sequence %d of %d tokens: %v alone, %v among others", i, lengths[i], got, expected)
		}
		at := (len(lengths) - 1 - i) * labels
		if got := backwards[at : at+labels]; !slices.Equal(got, expected) {
			t.Errorf("sequence %d of %d tokens: %v in a permuted batch, %v before", i, lengths[i], got, expected)
		}
	}
}

// TestChecked runs whole passes in checked mode: no dispatch reads memory that it should not, or that another one writes
// without a barrier between.
func TestChecked(t *testing.T) {
	notShort(t)
	for i, spec := range specs() {
		t.Run(spec.Name, func(t *testing.T) {
			if spec.Hidden > 1000 && !simtest.Long() {
				t.Skip("takes half a minute: in a long test only")
			}
			r := newRig(t, sim.Config{Checked: true, Seed: 11}, written(t, spec), gpu.Config{Float32: i%2 == 1})
			r.forward(t, r.gpu, r.batch(5, 1, 9, 33, 8))
			r.forward(t, r.gpu, r.batch(6, 40, 2)) // the same memory again
			for _, report := range r.device.reports() {
				for _, f := range report.Findings {
					t.Error(f)
				}
			}
		})
	}
}

func TestContract(t *testing.T) {
	spec := weightstest.Specs()[1]
	r := newRig(t, sim.Config{}, written(t, spec), gpu.Config{})
	limits := backend.Limits{Vocab: r.config.VocabSize, Types: r.config.TypeVocab, Positions: r.config.MaxPositions}
	backendtest.Contract(t, r.gpu, backendtest.Model{Limits: limits, Labels: len(r.config.Labels)})
}

func TestErrors(t *testing.T) {
	if _, err := gpu.Open(nil, nil, gpu.Config{Driver: "sim"}); !errors.Is(err, gpu.ErrNoDevice) {
		t.Errorf("without a driver: %v", err)
	}
	broken := errors.New("broken")
	if _, err := gpu.Open(func(string) (metal.Device, error) { return nil, broken }, nil, gpu.Config{}); !errors.Is(err, broken) {
		t.Errorf("with a broken driver: %v", err)
	}
	spec := weightstest.Specs()[0]
	spec.Hidden, spec.Heads = 136, 1 // heads larger than the kernels take
	device := simtest.Open(t, sim.Config{})
	checkpoint := written(t, spec)
	simtest.CloseLater(t, checkpoint)
	_, err := gpu.Open(func(string) (metal.Device, error) { return device, nil }, checkpoint, gpu.Config{})
	if _, ok := errors.AsType[*backend.UnsupportedError](err); !ok || !strings.Contains(err.Error(), "heads of 136 values") {
		t.Errorf("a head of 136: %v", err)
	}
}

// TestNonFinite: a value that is not finite never becomes a number again on its way to the logits; nor, in half precision,
// does a value too large for it.
func TestNonFinite(t *testing.T) {
	notShort(t)
	device := simtest.Open(t, sim.Config{})
	for _, full := range []bool{false, true} {
		beyond := float32(1e6) // biases are float32, the sums with them are stored as half
		if full {
			beyond = 3e38
		}
		t.Run(fmt.Sprintf("float32 %v", full), func(t *testing.T) {
			backendtest.NonFinite(t, beyond, func(t *testing.T, spec weightstest.Spec) (backend.Backend, backendtest.Model) {
				t.Helper()
				r := newRigOn(t, device, written(t, spec), gpu.Config{Float32: full, MaxBatchTokens: 32})
				limits := backend.Limits{Vocab: r.config.VocabSize, Types: r.config.TypeVocab, Positions: r.config.MaxPositions}
				return r.gpu, backendtest.Model{Limits: limits, Labels: len(r.config.Labels)}
			})
		})
	}
}
