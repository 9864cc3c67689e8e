package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/weights/builtin"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// openTest opens one of weightstest's random checkpoints; the test closes it.
func openTest(t *testing.T, spec weightstest.Spec, config Config) *Engine {
	t.Helper()
	config.Model = filepath.Join(t.TempDir(), spec.Name)
	if err := weightstest.Write(config.Model, spec); err != nil {
		t.Fatal(err)
	}
	return openConfig(t, config)
}

func openConfig(t *testing.T, config Config) *Engine {
	t.Helper()
	config.Embedded = builtin.Open
	if config.Backend == "" {
		config.Backend = BackendCPU // tolerances are the CPU's; a Mac would take its GPU
	}
	e, err := Open(t.Context(), config)
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

// notShort skips a test in short runs: they are the race detector's, which makes Go ten times as slow and has nothing to find
// where one call follows another.
func notShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("one call follows another")
	}
}

// wrapped is for Config.wrap.
func wrapped(f func(backend.Backend) backend.Backend) func(backend.Backend) (backend.Backend, error) {
	return func(b backend.Backend) (backend.Backend, error) { return f(b), nil }
}

var raw = Options{RawScores: true}

// mixedPairs have sequences of many lengths, and neighbours with the same and with other queries.
func mixedPairs(n int) []Pair {
	pairs := make([]Pair, n)
	for i := range pairs {
		pairs[i] = Pair{
			Query:    strings.Repeat("query ", i/3%4),
			Document: strings.Repeat(fmt.Sprintf("word%d and ", i), i*i%37),
		}
	}
	return pairs
}

func TestScoreIsTheSameAloneAndInAnyBatch(t *testing.T) {
	for _, spec := range weightstest.Specs() {
		t.Run(spec.Name, func(t *testing.T) {
			pairs := mixedPairs(24)
			whole, err := openTest(t, spec, Config{}).Score(t.Context(), pairs, raw)
			if err != nil {
				t.Fatal(err)
			}
			small := openTest(t, spec, Config{MaxBatchTokens: 1}) // every pair a batch of its own
			cut, err := small.Score(t.Context(), pairs, raw)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(whole.Values, cut.Values); diff != "" {
				t.Errorf("scores change with the batch (-together +apart):\n%s", diff)
			}
			slices.Reverse(pairs)
			reversed, err := small.Score(t.Context(), pairs, raw)
			if err != nil {
				t.Fatal(err)
			}
			for i := range pairs {
				if diff := cmp.Diff(whole.Row(len(pairs)-1-i), reversed.Row(i)); diff != "" {
					t.Errorf("pair %d changes with its place:\n%s", i, diff)
				}
			}
			if whole.Stats.Tokens == 0 || whole.Stats.Tokens != reversed.Stats.Tokens {
				t.Errorf("%d tokens, and %d in reverse", whole.Stats.Tokens, reversed.Stats.Tokens)
			}
		})
	}
}

func TestRerankSortsAndKeepsTies(t *testing.T) {
	e := openTest(t, weightstest.Tiny(), Config{})
	documents := []string{"a b", "c", "a b", "", "c", "d e f", "a b"}
	ranking, err := e.Rerank(t.Context(), "b", documents, Options{})
	if err != nil {
		t.Fatal(err)
	}
	seen := make([]bool, len(documents))
	for i, r := range ranking.Results {
		if seen[r.Index] {
			t.Errorf("document %d is there twice", r.Index)
		}
		seen[r.Index] = true
		if i == 0 {
			continue
		}
		switch before := ranking.Results[i-1]; {
		case r.Score > before.Score:
			t.Errorf("results[%d] has %v after %v", i, r.Score, before.Score)
		case documents[r.Index] == documents[before.Index] && r.Index < before.Index:
			t.Errorf("equal documents %d and %d are out of order", before.Index, r.Index)
		}
	}
	if slices.Contains(seen, false) {
		t.Errorf("documents are missing: %v", ranking.Results)
	}
	empty, err := e.Rerank(t.Context(), "b", nil, Options{})
	if err != nil || len(empty.Results) != 0 {
		t.Errorf("no documents: %v, %v", empty, err)
	}
}

// saturated is a backend with logits so large that their sigmoids are equal in float32.
type saturated struct{ backend.Backend }

func (saturated) Forward(_ context.Context, b *backend.Batch, out []float32) error {
	for i := range out {
		out[i] = 20 + float32(b.Starts[i+1]-b.Starts[i])
	}
	return nil
}

func TestRerankTellsSaturatedScoresApart(t *testing.T) {
	e := openTest(t, weightstest.Tiny(), Config{wrap: wrapped(func(b backend.Backend) backend.Backend { return saturated{b} })})
	ranking, err := e.Rerank(t.Context(), "a", []string{"b", "b c", "b c d"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range ranking.Results {
		if r.Index != 2-i || i > 0 && r.Score >= ranking.Results[i-1].Score {
			t.Errorf("results = %v, want documents 2, 1, 0 with falling scores", ranking.Results)
			break
		}
	}
}

func TestTruncation(t *testing.T) {
	e := openTest(t, weightstest.Tiny(), Config{MaxLength: 8}) // room for five tokens of text
	score := func(document string, mode Truncation) (float64, error) {
		scores, err := e.Score(t.Context(), []Pair{{Query: "a", Document: document}}, Options{RawScores: true, Truncation: mode})
		if err != nil {
			return 0, err
		}
		return scores.Values[0], nil
	}
	for _, c := range []struct {
		mode       Truncation
		long, same string
	}{
		{TruncateRight, "b c d e f g h", "b c d e"},
		{TruncateLeft, "b c d e f g h", "e f g h"},
		{TruncateNever, "b c d e", "b c d e"},
	} {
		long, err := score(c.long, c.mode)
		if err != nil {
			t.Fatal(err)
		}
		same, err := score(c.same, TruncateNever)
		if err != nil {
			t.Fatal(err)
		}
		if long != same {
			t.Errorf("%s: %q scores %v, %q %v", c.mode, c.long, long, c.same, same)
		}
	}
	_, err := score("b c d e f", TruncateNever)
	var tooLong *LengthError
	if !errors.As(err, &tooLong) || *tooLong != (LengthError{Index: 0, Tokens: 9, Limit: 8}) {
		t.Errorf("error %v, want a LengthError of 9 tokens", err)
	}
}

func TestErrors(t *testing.T) {
	t.Run("cancelled", func(t *testing.T) {
		e := openTest(t, weightstest.Tiny(), Config{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := e.Score(ctx, mixedPairs(3), raw); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
	})
	t.Run("closed", func(t *testing.T) {
		e := openTest(t, weightstest.Tiny(), Config{})
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Score(t.Context(), mixedPairs(1), raw); !errors.Is(err, ErrClosed) {
			t.Errorf("error %v, want ErrClosed", err)
		}
		if err := e.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if e.Info().Model == "" {
			t.Error("Info is empty after Close")
		}
	})
	t.Run("several labels", func(t *testing.T) {
		specs := weightstest.Specs()
		spec := specs[slices.IndexFunc(specs, func(s weightstest.Spec) bool { return s.Labels > 1 })]
		if _, err := openTest(t, spec, Config{}).Rerank(t.Context(), "a", []string{"b"}, Options{}); !errors.Is(err, ErrNotReranker) {
			t.Errorf("error %v, want ErrNotReranker", err)
		}
	})
	t.Run("max length", func(t *testing.T) {
		dir := t.TempDir()
		if err := weightstest.Write(dir, weightstest.Tiny()); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), Config{Model: dir, MaxLength: 1000})
		if err == nil || !strings.Contains(err.Error(), "MaxLength is 1000, want at most ") {
			t.Errorf("error %v", err)
		}
	})
}

// failing is a backend that fails one way or another.
type failing struct {
	backend.Backend
	forward func(out []float32) error
}

func (f failing) Forward(_ context.Context, _ *backend.Batch, out []float32) error {
	return f.forward(out)
}

func TestBackendFailures(t *testing.T) {
	broken := errors.New("device lost")
	for name, forward := range map[string]func([]float32) error{
		"error": func([]float32) error { return broken },
		"NaN":   func(out []float32) error { out[1] = float32(nan()); return nil },
	} {
		wrap := wrapped(func(b backend.Backend) backend.Backend { return failing{b, forward} })
		e := openTest(t, weightstest.Tiny(), Config{wrap: wrap})
		_, err := e.Score(t.Context(), mixedPairs(2), raw)
		if !errors.Is(err, ErrBackend) {
			t.Errorf("%s: error %v, want ErrBackend", name, err)
		}
		if name == "error" && !errors.Is(err, broken) {
			t.Errorf("error %v doesn't wrap the backend's", err)
		}
		if name == "NaN" && !strings.Contains(err.Error(), "pair 1") {
			t.Errorf("error %v doesn't name the pair", err)
		}
	}
}

func nan() float64 { zero := 0.0; return zero / zero }

// slow is a backend that waits to be released, and reports when it was reached.
type slow struct {
	backend.Backend
	reached, release chan struct{}
}

func (s slow) Forward(ctx context.Context, b *backend.Batch, out []float32) error {
	s.reached <- struct{}{}
	<-s.release
	return s.Backend.Forward(ctx, b, out)
}

func TestCloseWaitsForCallsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := slow{nil, make(chan struct{}), make(chan struct{})}
		e := openTest(t, weightstest.Tiny(), Config{wrap: wrapped(func(b backend.Backend) backend.Backend { s.Backend = b; return s })})
		scored, closed := make(chan error, 1), make(chan error, 1)
		go func() { _, err := e.Score(context.Background(), mixedPairs(1), raw); scored <- err }()
		<-s.reached
		go func() { closed <- e.Close() }()
		synctest.Wait()
		select {
		case <-closed:
			t.Fatal("Close returned with a call under way")
		default:
		}
		close(s.release)
		if err := <-scored; err != nil {
			t.Errorf("the call under way: %v", err)
		}
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// A hammer: many callers at once, some of which give up, all of which must get their own scores.
func TestConcurrentCalls(t *testing.T) {
	e := openTest(t, weightstest.Tiny(), Config{})
	pairs := mixedPairs(40)
	want, err := e.Score(t.Context(), pairs, raw)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for caller := range 16 {
		group.Go(func() {
			for round := range 10 {
				first := (caller*7 + round) % len(pairs)
				ctx, cancel := context.WithCancel(t.Context())
				if caller%4 == 3 {
					time.AfterFunc(time.Duration(round)*100*time.Microsecond, cancel)
				}
				got, err := e.Score(ctx, pairs[first:], raw)
				cancel()
				if caller%4 == 3 && errors.Is(err, context.Canceled) {
					continue
				}
				if err != nil {
					t.Error(err)
				} else if !slices.Equal(got.Values, want.Values[first:]) {
					t.Errorf("caller %d got other scores", caller)
				}
			}
		})
	}
	group.Wait()
}

// TestNoModel: without a name and without an embedded model there is nothing to open.
func TestNoModel(t *testing.T) {
	_, err := Open(t.Context(), Config{Backend: BackendReference})
	if wrong, ok := errors.AsType[*ConfigError](err); !ok || wrong.Field != "Model" {
		t.Errorf("error %v", err)
	}
}
