package engine

import (
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/cpu"
	"github.com/metalrank/metalrank/engine/reference"
	"github.com/metalrank/metalrank/weights"
)

// families are the tiny random checkpoints of engine/testdata/families, written by transformers and sentence-transformers
// with their tokenizers; see tools/model/golden/families.py.
var families = []string{
	"electra", "roberta", "xlm_roberta", "distilbert", "camembert", "modernbert", "modernbert_cls", "ettin", "modular_bert",
	"jina_v2", "gte", "nomic", "jina_v1", "albert", "deberta_v3", "deberta_v2",
}

// They score as in transformers.
func TestFamiliesAgainstTransformers(t *testing.T) {
	for _, name := range families {
		for _, backend := range []string{BackendReference, BackendCPU} {
			t.Run(name+"/"+backend, func(t *testing.T) {
				var golden []goldenPair
				readGolden(t, filepath.Join("families", name, "golden.json"), &golden)
				if len(golden) != 9 {
					t.Fatalf("%d pairs, want 9", len(golden))
				}
				e := openConfig(t, Config{Model: filepath.Join("testdata", "families", name), Backend: backend})
				if got := e.Info().MaxLength; got != 40 {
					t.Errorf("max length %d, want 40", got)
				}
				compareGoldens(t, e, golden, logitTolerance)
			})
		}
	}
}

// familyFiles reads a family's files, those of its modules among them.
func familyFiles(t *testing.T, name string) map[string][]byte {
	t.Helper()
	return readFolder(t, filepath.Join("testdata", "families", name))
}

// familyBatch is the golden pairs of a family.
func familyBatch(t *testing.T, name string) (*backend.Batch, []goldenPair) {
	t.Helper()
	var golden []goldenPair
	readGolden(t, filepath.Join("families", name, "golden.json"), &golden)
	e := openConfig(t, Config{Model: filepath.Join("testdata", "families", name), Backend: BackendReference})
	pairs := make([]Pair, len(golden))
	for i, g := range golden {
		pairs[i] = Pair{Query: g.Query, Document: g.Document}
	}
	sequences, err := e.encode(t.Context(), pairs, &Options{})
	if err != nil {
		t.Fatal(err)
	}
	batch := &backend.Batch{}
	for _, s := range sequences {
		batch.Append(s.ids, s.types)
	}
	return batch, golden
}

// forward runs a batch on a backend of files.
func forward(t *testing.T, files map[string][]byte, open func(*weights.Checkpoint) (backend.Backend, error), batches ...*backend.Batch) []float32 {
	t.Helper()
	c, err := weights.FromMemory("family", files)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var all []float32
	for _, batch := range batches {
		out := make([]float32, batch.Sequences()*len(c.Config().Labels))
		if err := b.Forward(t.Context(), batch, out); err != nil {
			t.Fatal(err)
		}
		all = append(all, out...)
	}
	return all
}

func onReference(c *weights.Checkpoint) (backend.Backend, error) { return opened(reference.New(c)) }

// Every tensor counts: of zeros, it changes a logit by more than rounding does.
func TestFamiliesUseEachTensor(t *testing.T) {
	notShort(t)
	for _, name := range families {
		t.Run(name, func(t *testing.T) {
			batch, _ := familyBatch(t, name)
			files := familyFiles(t, name)
			useEachTensor(t, name, files, batch, func(c *weights.Checkpoint, tensor string) bool {
				// A key's bias adds the same to all scores of a query. A pooler is not used where pooling is a module.
				return strings.HasSuffix(tensor, "key.bias") || strings.HasSuffix(tensor, "k_lin.bias") ||
					strings.HasSuffix(tensor, "pos_key_proj.bias") ||
					strings.HasPrefix(tensor, "pooler.") && c.HeadFiles() != nil
			})
		})
	}
}

// useEachTensor sets one tensor of a checkpoint to zeros after another, but for unseen ones, and wants another logit each time.
func useEachTensor(
	t *testing.T, name string, files map[string][]byte, batch *backend.Batch, unseen func(c *weights.Checkpoint, tensor string) bool,
) {
	t.Helper()
	want := forward(t, files, onReference, batch)
	c, err := weights.FromMemory(name, files)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, tensor := range c.Tensors() {
		if unseen(c, tensor.Name) {
			continue
		}
		data := tensor.Bytes() // of files
		kept := slices.Clone(data)
		clear(data)
		worst := farthest(forward(t, files, onReference, batch), want)
		copy(data, kept)
		if worst < logitTolerance {
			t.Errorf("%q of zeros changes no logit by more than %.2g", tensor.Name, worst)
		}
	}
}

// On every variant of the CPU: fp32 as transformers, int8 and bf16 in nearly the same order; and a sequence's logits are
// the same bit for bit alone, among others, and on several workers.
func TestFamiliesOnCPU(t *testing.T) {
	for _, name := range families {
		batch, golden := familyBatch(t, name)
		files := familyFiles(t, name)
		var want []float32
		for _, g := range golden {
			for _, v := range g.Logits {
				want = append(want, float32(v))
			}
		}
		var alone []*backend.Batch
		for i := range golden {
			one := &backend.Batch{}
			one.Append(batch.IDs[batch.Starts[i]:batch.Starts[i+1]], batch.Types[batch.Starts[i]:batch.Starts[i+1]])
			alone = append(alone, one)
		}
		for _, v := range cpu.Variants() {
			for precision, tolerance := range map[cpu.Precision]float64{cpu.FP32: logitTolerance, cpu.Int8: 0.6, cpu.BF16: 0.6} {
				t.Run(name+"/"+v.Name+"/"+string(precision), func(t *testing.T) {
					if !v.Available {
						t.Skipf("this machine lacks %s", v.Needs)
					}
					on := func(workers int) func(c *weights.Checkpoint) (backend.Backend, error) {
						return func(c *weights.Checkpoint) (backend.Backend, error) {
							return opened(cpu.New(c, cpu.Options{Variant: v.Name, Precision: precision, Workers: workers}))
						}
					}
					got := forward(t, files, on(1), batch)
					worst := 0.0
					for i := range want {
						worst = max(worst, math.Abs(float64(got[i]-want[i])))
					}
					if !(worst <= tolerance) {
						t.Errorf("a logit differs by %.2g, allowed is %.2g", worst, tolerance)
					}
					t.Logf("largest difference %.2g", worst)
					for _, workers := range []int{1, 3} {
						if by := forward(t, files, on(workers), alone...); !slices.Equal(by, got) {
							t.Errorf("%d workers: %v alone, %v together", workers, by, got)
						}
					}
				})
			}
		}
	}
}

// The same weights in a pytorch_model.bin give the same scores.
func TestPickledCheckpoint(t *testing.T) {
	files := familyFiles(t, "distilbert")
	delete(files, "model.safetensors")
	maps.Copy(files, familyFiles(t, "distilbert_pickle"))
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var golden []goldenPair
	readGolden(t, filepath.Join("families", "distilbert", "golden.json"), &golden)
	compareGoldens(t, openConfig(t, Config{Model: dir}), golden, logitTolerance)
}
