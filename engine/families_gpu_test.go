package engine

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/metal/open"
	"github.com/metalrank/metalrank/weights"
)

// onKernels are the families that the kernels run: they have no norm behind a projection of the embeddings.
var onKernels = slices.DeleteFunc(slices.Clone(families), func(name string) bool { return name == "deberta_v2" })

// TestFamiliesOnKernels scores every family through the kernels: as in transformers, in fp32 and in fp16, and to open it the
// self-check must find the CPU's logits.
func TestFamiliesOnKernels(t *testing.T) {
	for _, name := range onKernels {
		t.Run(name, func(t *testing.T) {
			var golden []goldenPair
			readGolden(t, filepath.Join("families", name, "golden.json"), &golden)
			model := filepath.Join("testdata", "families", name)
			compareGoldens(t, openSim(t, Config{Model: model}), golden, halfTolerance)
			compareGoldens(t, openSim(t, Config{Model: model, Precision: PrecisionFP32}), golden, logitTolerance)
		})
	}
}

// onSession opens checkpoints on one simulated device.
func onSession(t *testing.T, full bool) func(c *weights.Checkpoint) (backend.Backend, error) {
	t.Helper()
	session, err := gpu.OpenSession(open.Device, gpu.Config{Driver: BackendSim, Float32: full, MaxBatchTokens: 128})
	if err != nil {
		t.Skipf("no simulator: %v", err)
	}
	t.Cleanup(func() {
		if err := session.Close(); err != nil {
			t.Error(err)
		}
	})
	return func(c *weights.Checkpoint) (backend.Backend, error) { return opened(session.Open(c)) }
}

// A sequence's logits are the same bit for bit alone and among others.
func TestFamiliesAloneOnKernels(t *testing.T) {
	on := onSession(t, false)
	for _, name := range onKernels {
		batch, golden := familyBatch(t, name)
		files := familyFiles(t, name)
		var alone []*backend.Batch
		for i := range golden {
			one := &backend.Batch{}
			one.Append(batch.IDs[batch.Starts[i]:batch.Starts[i+1]], batch.Types[batch.Starts[i]:batch.Starts[i+1]])
			alone = append(alone, one)
		}
		if got, by := forward(t, files, on, batch), forward(t, files, on, alone...); !slices.Equal(by, got) {
			t.Errorf("%s: %v alone, %v together", name, by, got)
		}
	}
}

// Every tensor counts on the kernels, too: of zeros, it changes a logit by more than rounding does, and as the reference says.
func TestFamiliesUseEachTensorOnKernels(t *testing.T) {
	notShort(t)
	on := onSession(t, true)
	for _, name := range []string{"modernbert", "ettin", "gte", "nomic", "deberta_v3"} {
		all, _ := familyBatch(t, name)
		batch := &backend.Batch{}
		for i := range 3 {
			batch.Append(all.IDs[all.Starts[i]:all.Starts[i+1]], all.Types[all.Starts[i]:all.Starts[i+1]])
		}
		files := familyFiles(t, name)
		c, err := weights.FromMemory(name, files)
		if err != nil {
			t.Fatal(err)
		}
		for _, tensor := range c.Tensors() {
			if strings.HasPrefix(tensor.Name, "pooler.") && c.HeadFiles() != nil { // not used where pooling is a module
				continue
			}
			data := tensor.Bytes() // of files
			kept := slices.Clone(data)
			clear(data)
			got, want := forward(t, files, on, batch), forward(t, files, onReference, batch)
			copy(data, kept)
			for i := range got {
				if d := math.Abs(float64(got[i] - want[i])); !(d <= logitTolerance) {
					t.Errorf("%s with %q of zeros: logit %v, want %v", name, tensor.Name, got[i], want[i])
				}
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
