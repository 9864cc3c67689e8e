package cpu

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/backend/backendtest"
	"github.com/metalrank/metalrank/engine/reference"
	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/builtin"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// The embedded model is compared with transformers in engine/goldens_test.go. These tests compare every variant and
// precision with the float64 reference, on models with ragged sizes, and check the contract of a Backend.

func checkpoint(t testing.TB, spec weightstest.Spec) *weights.Checkpoint {
	t.Helper()
	dir := t.TempDir()
	if err := weightstest.Write(dir, spec); err != nil {
		t.Fatal(err)
	}
	c, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func open(t testing.TB, c *weights.Checkpoint, options Options) *Backend {
	t.Helper()
	b, err := New(c, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// each calls f for every variant that this machine has, at every precision that the variant has.
func each(t *testing.T, f func(t *testing.T, options Options)) {
	t.Helper()
	for _, v := range Variants() {
		for _, precision := range []Precision{FP32, Int8, BF16} {
			t.Run(v.Name+"/"+string(precision), func(t *testing.T) {
				if !v.Available {
					t.Skipf("this machine lacks %s", v.Needs)
				}
				if precision == BF16 && findKernels(v.Name).bf16.run == nil {
					t.Skipf("%s has no %s", v.Name, precision)
				}
				f(t, Options{Variant: v.Name, Precision: precision})
			})
		}
	}
}

func modelOf(c weights.Config) backendtest.Model {
	limits := backend.Limits{Vocab: c.VocabSize, Types: c.TypeVocab, Positions: c.MaxPositions}
	return backendtest.Model{Limits: limits, Labels: len(c.Labels)}
}

func specs() []weightstest.Spec { return append(weightstest.Specs(), weightstest.Tiny()) }

// The tolerance at fp32 is that of goldens_test.go. The others are coarse on purpose: these models are random and up to
// four times more sensitive than a trained one; how far trained scores move is in docs/measurements.md.
var tolerances = map[Precision]float64{FP32: 1e-4, BF16: 0.15, Int8: 0.3}

func TestAgainstReference(t *testing.T) {
	for _, spec := range specs() {
		c := checkpoint(t, spec)
		model := modelOf(c.Config())
		oracle, err := reference.New(c)
		if err != nil {
			t.Fatal(err)
		}
		lengths := []int{}
		for _, n := range []int{1, 2, 3, 15, 16, 17, 31, 33, 48, 64} {
			if n <= model.Positions {
				lengths = append(lengths, n)
			}
		}
		batch := model.Batch(lengths...)
		want := model.Forward(t, oracle, batch)
		t.Run(spec.Name, func(t *testing.T) {
			each(t, func(t *testing.T, options Options) {
				t.Helper()
				got := model.Forward(t, open(t, c, options), batch)
				worst, at := 0.0, 0
				for i := range want {
					if d := math.Abs(float64(got[i]) - float64(want[i])); !(d <= worst) {
						worst, at = d, i
					}
				}
				if tolerance := tolerances[options.Precision]; !(worst <= tolerance) {
					t.Errorf("logit %d is %v, want %v: %.0f %% of the allowance", at, got[at], want[at], 100*worst/tolerance)
				} else {
					t.Logf("largest difference %.2g", worst)
				}
			})
		})
	}
}

// A sequence's logits are the same bit for bit with any neighbours, and on any number of workers.
func TestSequencesDoNotMix(t *testing.T) {
	each(t, func(t *testing.T, options Options) {
		t.Helper()
		c := checkpoint(t, weightstest.Specs()[1])
		config := c.Config()
		var alone [][]float32
		lengths := []int{1, 90, 2, 37, 5, 100, 64, 3, 37, 77, 16, 15, 17}
		for _, workers := range []int{1, 2, 3, 7} {
			options.Workers = workers
			b := open(t, c, options)
			for i, length := range lengths {
				got := modelOf(c.Config()).Forward(t, b, modelOf(config).Batch(length))
				if workers == 1 {
					alone = append(alone, got)
				} else if !slices.Equal(got, alone[i]) {
					t.Errorf("%d workers: %d tokens: %v, on one worker %v", workers, length, got, alone[i])
				}
			}
			for _, times := range []int{1, 9} {
				together := modelOf(c.Config()).Forward(t, b, modelOf(config).Batch(slices.Repeat(lengths, times)...))
				for i := range together {
					if want := alone[i%len(lengths)][0]; together[i] != want {
						t.Errorf("%d workers: sequence %d of %d: %v, alone %v", workers, i, len(together), together[i], want)
					}
				}
			}
		}
	})
}

func TestOptions(t *testing.T) {
	c := checkpoint(t, weightstest.Tiny())
	for _, test := range []struct {
		options Options
		want    string
	}{
		{Options{Precision: "fp8"}, `Precision is "fp8"`},
		{Options{Variant: "mmx"}, `variant is "mmx", want one of`},
		{Options{Workers: -1}, "Workers is -1"},
		{Options{Workers: maxWorkers + 1}, "want 0 to 1024"},
	} {
		if _, err := New(c, test.options); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: error %v, want %q", test.options, err, test.want)
		}
	}
	t.Setenv(VariantEnv, "portable")
	if info := open(t, c, Options{Precision: BF16}).Info(); info.DType != "float32" || !strings.Contains(info.Device, "fp32 and not bf16") {
		t.Errorf("bf16 without tile registers: %s on %q, want float32 and why", info.DType, info.Device)
	}
	info := open(t, c, Options{}).Info()
	if !strings.Contains(info.Device, "portable kernels") || !strings.Contains(info.Device, VariantEnv) {
		t.Errorf("with %s=portable, the device is %q", VariantEnv, info.Device)
	}
	i := slices.IndexFunc(info.Dispatch, func(d backend.Dispatch) bool { return d.Operation == "variant" })
	if i < 0 || info.Dispatch[i].Kernel != "portable" || !strings.Contains(info.Dispatch[i].Why, VariantEnv+"=portable") {
		t.Errorf("with %s=portable, the table is %q", VariantEnv, info.Dispatch)
	}
}

func TestContract(t *testing.T) {
	each(t, func(t *testing.T, options Options) {
		t.Helper()
		options.Workers = 3 // chunks are cut by sequences, and by rows
		c := checkpoint(t, weightstest.Specs()[0])
		backendtest.Contract(t, open(t, c, options), modelOf(c.Config()))
	})
}

func TestForwardDoesNotAllocate(t *testing.T) {
	c := checkpoint(t, weightstest.Specs()[0])
	b := open(t, c, Options{Workers: 2})
	for _, batch := range []*backend.Batch{modelOf(c.Config()).Batch(60), modelOf(c.Config()).Batch(slices.Repeat([]int{9, 31, 60}, 40)...)} {
		out := make([]float32, batch.Sequences())
		ctx := t.Context()
		for range overlap { // each place for a call learns its sizes once
			modelOf(c.Config()).Forward(t, b, batch)
		}
		if n := testing.AllocsPerRun(20, func() {
			if err := b.Forward(ctx, batch, out); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%d sequences: %v allocations", batch.Sequences(), n)
		}
	}
}

func BenchmarkForward(b *testing.B) {
	c, err := builtin.Open()
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for _, precision := range []Precision{FP32, Int8, BF16} {
		for _, length := range []int{32, 128, 512} {
			b.Run(fmt.Sprintf("%s/tokens=%d", precision, length), func(b *testing.B) {
				model, err := New(c, Options{Precision: precision})
				if err != nil {
					b.Skip(err)
				}
				defer model.Close()
				batch := modelOf(c.Config()).Batch(slices.Repeat([]int{length}, 4096/length)...)
				out := make([]float32, batch.Sequences())
				for b.Loop() {
					if err := model.Forward(b.Context(), batch, out); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(batch.Sequences())*float64(b.N)/b.Elapsed().Seconds(), "pairs/s")
			})
		}
	}
}

// A value that is not finite never becomes a number again on its way to the logits.
func TestNonFinite(t *testing.T) {
	each(t, func(t *testing.T, options Options) {
		t.Helper()
		options.Workers = 1
		backendtest.NonFinite(t, 3e38, func(t *testing.T, spec weightstest.Spec) (backend.Backend, backendtest.Model) {
			t.Helper()
			c := checkpoint(t, spec)
			return open(t, c, options), modelOf(c.Config())
		})
	})
}
