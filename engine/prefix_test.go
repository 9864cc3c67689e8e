package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// counted is a backend that takes prefixes, and keeps the batches that it is given.
type counted struct {
	prefixing
	mu      *sync.Mutex
	batches *[]backend.Batch
}

func (c counted) Forward(ctx context.Context, b *backend.Batch, out []float32) error {
	c.mu.Lock()
	*c.batches = append(*c.batches, backend.Batch{
		IDs: slices.Clone(b.IDs), Positions: slices.Clone(b.Positions), Starts: slices.Clone(b.Starts), Prefixes: slices.Clone(b.Prefixes),
	})
	c.mu.Unlock()
	return c.prefixing.Forward(ctx, b, out)
}

// openCounted opens a model on a counted backend as if it were causal.
func openCounted(t *testing.T, config Config) (*Engine, *[]backend.Batch) {
	t.Helper()
	var batches []backend.Batch
	var mu sync.Mutex
	config.wrap = wrapped(func(b backend.Backend) backend.Backend { return counted{prefixing{hashing{b, nil}}, &mu, &batches} })
	spec := weightstest.Tiny()
	spec.MaxPositions, spec.TokenizerKeys = 256, map[string]any{"model_max_length": 256}
	e := openTest(t, spec, config)
	e.prefixes, batches = true, nil
	return e, &batches
}

// prompted are documents of 100 tokens for one query, which has 70 with the tokens around it.
func prompted(documents int) []Pair {
	pairs := make([]Pair, documents)
	for i := range pairs {
		pairs[i] = Pair{Query: strings.Repeat("a ", 68), Document: strings.Repeat(string(rune('a'+i%26))+" ", 99)}
	}
	return pairs
}

func wantHashes(t *testing.T, e *Engine, pairs []Pair, got *Scores) {
	t.Helper()
	sequences, err := e.encode(t.Context(), pairs, &Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range sequences {
		if want := float64(hash(s.ids)); got.Values[i] != want {
			t.Errorf("pair %d of %d scores %v, want %v", i, len(pairs), got.Values[i], want)
		}
	}
}

// A prompt and a query of 70 tokens are computed once for 32 documents of 100: at most 0.65 of the tokens without that.
func TestPromptIsComputedOnce(t *testing.T) {
	e, batches := openCounted(t, Config{})
	scores, err := e.Score(t.Context(), prompted(32), raw)
	if err != nil {
		t.Fatal(err)
	}
	wantHashes(t, e, prompted(32), scores)
	tokens := 0
	for i := range *batches {
		tokens += (*batches)[i].Tokens()
	}
	if all := scores.Stats.Tokens; tokens != 70+32*100 || all != 32*170 || float64(tokens) > 0.65*float64(all) {
		t.Errorf("%d of %d tokens are computed, want 3270 of 5440", tokens, all)
	}
	if c := e.Counters(); int(c.Tokens) != tokens || int(c.SavedTokens) != 31*70 || scores.Stats.SavedTokens != 31*70 {
		t.Errorf("counted %d tokens and %d saved, %d by the call", c.Tokens, c.SavedTokens, scores.Stats.SavedTokens)
	}
}

// Batches have a prefix for each part of a request that shares one, and none elsewhere; and the limit of a batch holds with
// them.
func TestPrefixesOfBatches(t *testing.T) {
	query := func(q string, documents ...string) (pairs []Pair) {
		for _, d := range documents {
			pairs = append(pairs, Pair{Query: q, Document: d})
		}
		return pairs
	}
	for _, test := range []struct {
		name  string
		limit int
		pairs []Pair
		want  [][]int32 // Prefixes of the batches
	}{
		{"one document", 100, query("a b", "c"), [][]int32{nil}},
		{"two", 100, query("a b", "c", "d"), [][]int32{{-1, 0, 0}}},
		{"empty documents", 100, query("a b", "", ""), [][]int32{{-1, 0, 0}}},
		{"documents that are the query", 100, query("a b", "a b", "a b", "c"), [][]int32{{-1, 0, 0, 0}}},
		{"two queries, and one that comes once", 100, slices.Concat(query("a b", "c", "d"), query("a", "c"), query("b", "c", "d")),
			[][]int32{{-1, 0, 0, -1, -1, 4, 4}}},
		{"texts without a query", 100, []Pair{{Document: "a", NoQuery: true}, {Document: "b", NoQuery: true}}, [][]int32{{-1, 0, 0}}},
		{"a query that is cut", 100, query(strings.Repeat("a ", 50), "b", strings.Repeat("b ", 50), strings.Repeat("c ", 50)),
			[][]int32{nil, {-1, 0, 0}}},
		{"two batches", 8, query("a b", "c", "d", "c", "d"), [][]int32{{-1, 0, 0}, {-1, 0, 0}}},
		{"a limit for one alone", 1, query("a b", "c", "d"), [][]int32{nil, nil}},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, batches := openCounted(t, Config{MaxBatchTokens: test.limit, MaxLength: 60})
			scores, err := e.Score(t.Context(), test.pairs, raw)
			if err != nil {
				t.Fatal(err)
			}
			wantHashes(t, e, test.pairs, scores)
			var got [][]int32
			for i := range *batches {
				b := &(*batches)[i]
				got = append(got, b.Prefixes)
				if b.Tokens() > test.limit && b.Sequences() > 1 {
					t.Errorf("a batch has %d tokens, the limit is %d", b.Tokens(), test.limit)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("prefixes %v, want %v", got, test.want)
			}
		})
	}
}

// A request is admitted by an estimate of the tokens that are computed, which has been learnt from others.
func TestEstimateOfSharedQueries(t *testing.T) {
	e, _ := openCounted(t, Config{})
	for range 100 {
		if _, err := e.Score(t.Context(), prompted(32), raw); err != nil {
			t.Fatal(err)
		}
	}
	if got := e.estimateTokens(prompted(32), &raw); got < 3200 || got > 3340 {
		t.Errorf("32 documents of 100 tokens behind 70 are expected to be %d tokens, want 3270 within 70", got)
	}
}

// A model that isn't causal, and a backend that takes no prefixes, get whole sequences.
func TestWholeSequences(t *testing.T) {
	for _, causal := range []bool{false, true} {
		e, batches := openCounted(t, Config{})
		if e.prefixes = causal; causal {
			info := e.Info().Backend
			info.Prefixes = false
			e.backendInfo.Store(&info)
			e.replicas[0].prefixes = false
		}
		scores, err := e.Score(t.Context(), prompted(4), raw)
		if err != nil {
			t.Fatal(err)
		}
		wantHashes(t, e, prompted(4), scores)
		if b := (*batches)[0]; b.Prefixes != nil || b.Tokens() != 4*170 || scores.Stats.SavedTokens != 0 {
			t.Errorf("causal %v: prefixes %v, %d tokens", causal, b.Prefixes, b.Tokens())
		}
	}
}

// A batch that was made for a backend with prefixes runs again after a fault, on one without them, too.
func TestPrefixesAfterAFault(t *testing.T) {
	for _, later := range []bool{true, false} {
		opened, failed := 0, false
		e := openTest(t, weightstest.Tiny(), Config{wrap: func(b backend.Backend) (backend.Backend, error) {
			opened++
			h := hashing{b, func() error {
				if !failed {
					failed = true
					return &metal.ExecError{}
				}
				return nil
			}}
			if opened == 1 || later {
				return prefixing{h}, nil
			}
			return h, nil
		}})
		e.prefixes = true
		scores, err := e.Score(t.Context(), prompted(8), raw)
		if err != nil {
			t.Fatal(err)
		}
		wantHashes(t, e, prompted(8), scores)
		if !failed || opened != 2 {
			t.Errorf("opened %d times", opened)
		}
	}
}

// Scores have the same bits with and without shared prefixes, on every backend that takes them, for every causal model of
// the test data.
func TestSharedPrefixesKeepScores(t *testing.T) {
	folders, err := filepath.Glob("testdata/families/*/config.json")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range folders {
		if testing.Short() && found == 1 {
			break
		}
		c, err := weights.Open(filepath.Dir(file))
		if err != nil {
			continue // an archive's, which other tests read
		}
		plan, err := c.Plan()
		if err != nil || !plan.Prefixes() {
			continue
		}
		found++
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(filepath.Dir(file))); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "chat_template.jinja"), []byte(touchingTemplate), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{BackendReference, BackendCPU, BackendSim} {
			for _, limit := range []int{50, 4096} {
				t.Run(fmt.Sprint(filepath.Base(filepath.Dir(file)), "/", name, "/", limit), func(t *testing.T) {
					samePrefixScores(t, Config{Model: dir, Backend: name, MaxBatchTokens: limit})
				})
			}
		}
	}
	if found == 0 {
		t.Error("no causal model in testdata")
	}
}

// samePrefixScores compares scores with and without prefixes.
func samePrefixScores(t *testing.T, config Config) {
	t.Helper()
	var pairs []Pair
	for i := range 12 {
		pairs = append(pairs, Pair{Query: strings.Repeat("which shop opens at nine ", i/4), Document: strings.Repeat("seven quick stones ", i*i%11)})
	}
	e, err := Open(t.Context(), config)
	if _, lacks := errors.AsType[*backend.UnsupportedError](err); lacks {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if !e.sharesPrefixes() {
		t.Skip("the backend takes no prefixes")
	}
	shared, err := e.Score(t.Context(), pairs, raw)
	if err != nil {
		t.Fatal(err)
	}
	e.prefixes = false
	whole, err := e.Score(t.Context(), pairs, raw)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(shared.Values, whole.Values) || whole.Stats.SavedTokens != 0 || shared.Stats.SavedTokens == 0 {
		t.Errorf("%d tokens saved; scores\n%v, without shared prefixes\n%v", shared.Stats.SavedTokens, shared.Values, whole.Values)
	}
}

// repeating takes prefixes, and repeats them in each sequence that follows. The last logit may be wrong then.
type repeating struct {
	backend.Backend
	wrong float32
}

func (r repeating) Info() backend.Info {
	info := r.Backend.Info()
	info.Prefixes = true
	return info
}

func (r repeating) Forward(ctx context.Context, b *backend.Batch, out []float32) error {
	if b.Prefixes == nil {
		return r.Backend.Forward(ctx, b, out)
	}
	var whole backend.Batch
	for i := range b.Prefixes {
		start, stop := b.Prefix(i)
		from, to := b.Starts[i], b.Starts[i+1]
		whole.Append(slices.Concat(b.IDs[start:stop], b.IDs[from:to]), slices.Concat(b.Types[start:stop], b.Types[from:to]))
	}
	err := r.Backend.Forward(ctx, &whole, out)
	out[len(out)-1] += r.wrong
	return err
}

// The check of a GPU finds one that is wrong with prefixes alone.
func TestSelfCheckOfPrefixes(t *testing.T) {
	e := openTest(t, weightstest.Tiny(), Config{Backend: BackendCPU})
	e.prefixes = true
	c, err := e.newSelfCheck(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	right := e.replicas[0].backend
	if err := c.run(t.Context(), e, repeating{right, 0}); err != nil {
		t.Errorf("a right backend: %v", err)
	}
	err = c.run(t.Context(), e, repeating{right, 1})
	if wrong, ok := errors.AsType[*MismatchError](err); !ok || wrong.Pair != len(c.sequences)-1 {
		t.Errorf("a backend that is wrong with prefixes: %v", err)
	}
}
