package cpu

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/backend/backendtest"
	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/engine/reference"
	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// decoder is a model of two layers, 2 heads of 128 that share their keys, and a down-projection of two parts at int8.
func decoder(t *testing.T) (*weights.Checkpoint, backendtest.Model) {
	t.Helper()
	c := checkpoint(t, weightstest.Qwen3(2, 64, partTerms+100))
	model := modelOf(c.Config())
	model.Types = 1
	return c, model
}

// behind makes sequences of random tokens, groups of which come behind a prefix, and the same with their prefixes repeated. rows
// are the places of the sequences, and of the prefixes, in the first batch.
func behind(m backendtest.Model, groups ...[]int) (shared, repeated *backend.Batch, rows []int) {
	shared, repeated = &backend.Batch{}, &backend.Batch{}
	for _, lengths := range groups {
		all := m.Batch(lengths...)
		prefix := all.IDs[:lengths[0]]
		at := shared.Sequences()
		for i := range lengths {
			ids := all.IDs[all.Starts[i]:all.Starts[i+1]]
			rows = append(rows, shared.Sequences())
			if i == 0 {
				shared.Append(ids, make([]int32, len(ids)))
				repeated.Append(ids, make([]int32, len(ids)))
				continue
			}
			shared.AppendAfter(at, ids, make([]int32, len(ids)))
			whole := slices.Concat(prefix, ids)
			repeated.Append(whole, make([]int32, len(whole)))
		}
	}
	return shared, repeated, rows
}

func TestDecoderAgainstReference(t *testing.T) {
	c, model := decoder(t)
	oracle, err := reference.New(c)
	if err != nil {
		t.Fatal(err)
	}
	batch := model.Batch(1, 2, 3, 13, 14, 15, 16, 17, 31, 33, 64, 65, 130)
	want := model.Forward(t, oracle, batch)
	each(t, func(t *testing.T, options Options) {
		t.Helper()
		got := model.Forward(t, open(t, c, options), batch)
		worst := 0.0
		for i := range want {
			worst = max(worst, math.Abs(float64(got[i])-float64(want[i])))
		}
		if tolerance := tolerances[options.Precision]; !(worst <= tolerance) {
			t.Errorf("a logit differs by %.2g, allowed is %.2g", worst, tolerance)
		}
		t.Logf("largest difference %.2g", worst)
	})
}

// Behind prefixes, sequences have the bits of the repeated text: short and long ones, in chunks that one prefix does not fill
// and in several of the same prefix.
func TestDecoderBehindPrefixes(t *testing.T) {
	c, model := decoder(t)
	shared, repeated, rows := behind(model, []int{70, 30, 100, 1, 64, 58}, []int{1, 5}, []int{900, 40, 7}, []int{15, 300, 17}, []int{64, 1, 63})
	each(t, func(t *testing.T, options Options) {
		t.Helper()
		for _, workers := range []int{1, 3} {
			options.Workers = workers
			b := open(t, c, options)
			if !b.Info().Prefixes {
				t.Fatal("the backend takes no prefixes")
			}
			want := model.Forward(t, b, repeated)
			for _, tokens := range []int{sharedTokens, 150, 1} {
				for range overlap {
					call := <-b.calls
					call.plan.shared = tokens
					b.calls <- call
				}
				got := model.Forward(t, b, shared)
				for i, row := range rows {
					if got[row] != want[i] {
						t.Errorf("%d workers, chunks of %d: sequence %d: %v behind a prefix, %v repeated", workers, tokens, row, got[row], want[i])
					}
				}
			}
		}
	})
}

// A prefix is refused for a model whose tokens see later ones, and where prefix and sequence together exceed the model's positions.
func TestPrefixesRefused(t *testing.T) {
	c, model := decoder(t)
	batch := &backend.Batch{}
	batch.Append(make([]int32, model.Positions), make([]int32, model.Positions))
	batch.AppendAfter(0, []int32{1}, []int32{0})
	batch.Positions[model.Positions] = 0
	err := open(t, c, Options{}).Forward(t.Context(), batch, make([]float32, 2))
	if err == nil || !strings.Contains(err.Error(), "8193 tokens with its prefix, the model has 8192 positions") {
		t.Errorf("too long with its prefix: %v", err)
	}
	c = checkpoint(t, weightstest.Tiny())
	model = modelOf(c.Config())
	batch, _, _ = behind(model, []int{3, 4})
	b := open(t, c, Options{})
	if err := b.Forward(t.Context(), batch, make([]float32, 2)); err == nil || !strings.Contains(err.Error(), "prefixes") || b.Info().Prefixes {
		t.Errorf("a model that is not causal: %v", err)
	}
}

// With any prefixes, every sequence is in a chunk behind its prefix, and only a sequence and its prefix make a chunk too large.
func TestPlanOfPrefixes(t *testing.T) {
	p := plan{workers: 2, shared: 300}
	rapid.Check(t, func(t *rapid.T) {
		batch := &backend.Batch{}
		for range rapid.IntRange(1, 60).Draw(t, "sequences") {
			ids := make([]int32, rapid.IntRange(1, 250).Draw(t, "tokens"))
			prefix := rapid.IntRange(-1, batch.Sequences()-1).Draw(t, "prefix")
			if prefix >= 0 && batch.Prefixes != nil && batch.Prefixes[prefix] >= 0 {
				prefix = -1
			}
			batch.AppendAfter(prefix, ids, ids)
		}
		if batch.Prefixes == nil {
			return
		}
		p.make(batch.Starts, batch.Prefixes)
		length := func(i int32) int { return int(batch.Starts[i+1] - batch.Starts[i]) }
		seen := make([]int, batch.Sequences())
		for _, c := range p.chunks {
			tokens := 0
			for i, s := range c.sequences {
				seen[s]++
				tokens += length(s)
				if at := batch.Prefixes[s]; at >= 0 && !slices.Contains(c.sequences[:i], at) {
					t.Fatalf("sequence %d is not behind its prefix %d: %v", s, at, c.sequences)
				}
				if slices.Contains(c.sequences[:i], s) {
					t.Fatalf("sequence %d is twice in %v", s, c.sequences)
				}
			}
			if tokens != c.tokens || tokens > p.shared && len(c.sequences) > 2 {
				t.Fatalf("a chunk of %d tokens says %d, at most %d: %v", tokens, c.tokens, p.shared, c.sequences)
			}
		}
		for s, n := range seen {
			if n == 0 || n > 1 && !slices.Contains(batch.Prefixes, int32(s)) {
				t.Fatalf("sequence %d is in %d chunks", s, n)
			}
		}
	})
}

// Causal attention makes half of the scores, and a batch behind a prefix computes the prefix once.
func TestDecoderWork(t *testing.T) {
	c, model := decoder(t)
	b := open(t, c, Options{Workers: 2})
	work := func(batch *backend.Batch) (all, attention float64) {
		p, err := b.Profile(t.Context(), batch, make([]float32, batch.Sequences()))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range p.Spans {
			if all += float64(s.FLOPs); s.Name == cost.Attention && s.Layer == 0 {
				attention += float64(s.FLOPs)
			}
		}
		return all, attention
	}
	const tokens, width = 1000, 2 * 128
	if _, got := work(model.Batch(tokens)); got != 4*width*tokens*(tokens+1)/2 {
		t.Errorf("attention of %d tokens takes %g operations", tokens, got)
	}
	shared, repeated, _ := behind(model, slices.Concat([]int{70}, slices.Repeat([]int{100}, 32)))
	with, _ := work(shared)
	without, _ := work(repeated)
	if part := with / without; part > 0.65 {
		t.Errorf("behind a prefix the work is %.2f of that without, want at most 0.65", part)
	}
}

// A table of embeddings that is left in its file gives the same bits as in memory, and an error once the file has changed.
func TestWordsInFile(t *testing.T) {
	dir := t.TempDir()
	if err := weightstest.Write(dir, weightstest.Qwen3(1, 64, 64)); err != nil {
		t.Fatal(err)
	}
	c, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	plan, err := c.Plan()
	if err != nil {
		t.Fatal(err)
	}
	inMemory, inFile := open(t, c, Options{}), open(t, c, Options{})
	if inFile.words.file, err = c.OpenTable(plan.Embeddings.Words); err != nil {
		t.Fatal(err)
	}
	model := modelOf(c.Config())
	batch := model.Batch(5, 40)
	if want, got := model.Forward(t, inMemory, batch), model.Forward(t, inFile, batch); !slices.Equal(got, want) {
		t.Errorf("%v from the file, %v from memory", got, want)
	}
	if err := os.Truncate(filepath.Join(dir, "model.safetensors"), 100); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := inFile.Forward(t.Context(), batch, make([]float32, 2)); !errors.Is(err, weights.ErrChanged) {
			t.Errorf("from a file that was cut: %v", err)
		}
	}
}
