package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/metal/sim/simtest"
	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/builtin"
	"github.com/metalrank/metalrank/weights/convert"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// Allowed differences of a logit on Metal: for fp16; for fp32 ten times that of the CPU; and for quantised weights, against
// float64 over the same weights dequantised, half of fp16's.
const (
	halfTolerance      = 2e-2
	floatTolerance     = 1e-3
	quantisedTolerance = 1e-2
)

// openSim opens a model on the simulator. Where there is none the test is skipped, or fails if this is CI.
func openSim(t *testing.T, config Config) *Engine {
	t.Helper()
	config.Backend, config.Embedded = BackendSim, builtin.Open
	e, err := Open(t.Context(), config)
	if errors.Is(err, gpu.ErrNoDevice) && os.Getenv("CI") != "true" {
		t.Skipf("no simulator: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// TestKernelsAgainstTransformers runs the embedded model through the product's own kernels: its short pairs, unless there
// is time for all.
func TestKernelsAgainstTransformers(t *testing.T) {
	notShort(t)
	longest := sampleTokens
	if simtest.Long() {
		longest = 512
	}
	golden := embeddedGoldens(t, longest)
	compareOrder(t, golden, compareGoldens(t, openSim(t, Config{}), golden, halfTolerance))
	if simtest.Long() {
		compareGoldens(t, openSim(t, Config{Precision: PrecisionFP32}), golden, floatTolerance)
	}
}

// TestRandomModelsOnKernels runs small checkpoints with every activation through the kernels, at their full length.
func TestRandomModelsOnKernels(t *testing.T) {
	for _, model := range randomGoldens(t) {
		t.Run(model.Name, func(t *testing.T) {
			compareGoldens(t, openSim(t, Config{Model: model.dir}), model.Pairs, halfTolerance)
			compareGoldens(t, openSim(t, Config{Model: model.dir, Precision: PrecisionFP32}), model.Pairs, floatTolerance)
		})
	}
}

// compareOrder sorts the documents of each golden query by their logits: the order must be transformers'.
func compareOrder(t *testing.T, golden []goldenPair, scores *Scores) {
	t.Helper()
	byQuery := map[string][]int{}
	for i, g := range golden {
		byQuery[g.Query] = append(byQuery[g.Query], i)
	}
	compared := 0
	for query, pairs := range byQuery {
		want, got := slices.Clone(pairs), slices.Clone(pairs)
		slices.SortStableFunc(want, func(a, b int) int { return cmp.Compare(golden[b].Logit, golden[a].Logit) })
		slices.SortStableFunc(got, func(a, b int) int { return cmp.Compare(scores.Row(b)[0], scores.Row(a)[0]) })
		if !slices.Equal(got, want) {
			t.Errorf("query %.40q: pairs in order %v, want %v", query, got, want)
		}
		if len(pairs) > 1 {
			compared++
		}
	}
	if compared < 4 {
		t.Errorf("%d queries have several documents, want at least 4", compared)
	}
}

// TestQuantisedOnKernels converts a MiniLM and a small ModernBERT to 8 and 4 bits, and compares the kernels, which multiply by the
// codes, with float64 over the same weights dequantised.
func TestQuantisedOnKernels(t *testing.T) {
	notShort(t)
	var pairs []Pair
	for _, g := range randomGoldens(t)[0].Pairs { // of a checkpoint with the same words
		if g.Tokens <= 40 && len(pairs) < 8 {
			pairs = append(pairs, Pair{Query: g.Query, Document: g.Document})
		}
	}
	small := weightstest.ModernBERT(3, 128, 192)
	small.Config["local_attention"] = 16
	for i := range 4 {
		spec, bits := []weightstest.Spec{weightstest.MiniLM(2), small}[i/2], []int{8, 4}[i%2]
		tolerance := []float64{quantisedTolerance, halfTolerance}[i/2] // that of fp16 itself, where no norm damps the residual
		t.Run(fmt.Sprintf("%s, %d bits", spec.Name, bits), func(t *testing.T) {
			model := quantised(t, spec, bits)
			got, err := openSim(t, Config{Model: model}).Score(t.Context(), pairs, raw)
			if err != nil {
				t.Fatal(err)
			}
			want, err := openConfig(t, Config{Model: model, Backend: BackendReference}).Score(t.Context(), pairs, raw)
			if err != nil {
				t.Fatal(err)
			}
			worst := 0.0
			for i := range pairs {
				difference := math.Abs(got.Values[i] - want.Values[i])
				if !(difference <= tolerance) { // in this form, NaN fails
					t.Errorf("pair %d: logit %v, want %v", i, got.Values[i], want.Values[i])
				}
				worst = max(worst, difference)
			}
			t.Logf("%d pairs: largest difference %.2g of %.0g allowed", len(pairs), worst, tolerance)
		})
	}
}

// quantised converts a checkpoint; the result is its folder.
func quantised(t *testing.T, spec weightstest.Spec, bits int) string {
	t.Helper()
	files, err := weightstest.Files(spec)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, err := weights.FromMemory("random", files)
	if err != nil {
		t.Fatal(err)
	}
	defer checkpoint.Close()
	folder := filepath.Join(t.TempDir(), "model")
	options := convert.Options{Bits: bits, Scheme: convert.MLX, Float: weights.F16}
	if err := convert.Folder(context.WithoutCancel(t.Context()), checkpoint, folder, options); err != nil {
		t.Fatal(err)
	}
	return folder
}
