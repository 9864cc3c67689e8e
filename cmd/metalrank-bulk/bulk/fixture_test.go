package bulk

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/metalrank/metalrank/cmd/metalrank-bulk/bulk/embedded"
	"github.com/metalrank/metalrank/engine"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// These goroutines of the server's run as long as the process.
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server/pse.periodic"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*jetStream).monitorCluster"),
	)
}

// patience ends a test that hangs. Nothing takes as long, even on a slow and busy machine.
const patience = 5 * time.Minute

// until waits for a condition.
func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in %v, %s", patience, what)
		}
	}
}

// serverAt runs a server on address, with its data in the folder store.
func serverAt(t *testing.T, address, store, token string) *embedded.Server {
	t.Helper()
	s, err := embedded.Start(embedded.Config{Listen: address, Store: store, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serve runs a server for a test, and returns its URL.
func serve(t *testing.T) string {
	t.Helper()
	s := serverAt(t, "127.0.0.1:0", t.TempDir(), "")
	t.Cleanup(s.Close)
	return s.URL()
}

func connect(t *testing.T, url string) *Client {
	t.Helper()
	c, err := Connect(t.Context(), Connection{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// somePairs returns n different pairs.
func somePairs(n int) []engine.Pair {
	pairs := make([]engine.Pair, n)
	for i := range pairs {
		pairs[i] = engine.Pair{Query: fmt.Sprint("query ", i/3), Document: fmt.Sprint("document ", i)}
	}
	return pairs
}

func each(pairs []engine.Pair) iter.Seq2[engine.Pair, error] {
	return func(yield func(engine.Pair, error) bool) {
		for _, p := range pairs {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// small is a Spec for chunks of about eight of somePairs, and for short waits.
func small() Spec { return Spec{ChunkTokens: 64, AckWait: time.Second, Tries: 1} }

func submit(t *testing.T, c *Client, job string, pairs []engine.Pair, spec Spec) *Job {
	t.Helper()
	j, err := c.Submit(t.Context(), Submission{Job: job, Spec: spec, Pairs: each(pairs)})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// scorer scores by hash, unless before says otherwise.
type scorer struct {
	before func(ctx context.Context, pairs []engine.Pair) error
	calls  atomic.Int64
}

func scoreOf(p engine.Pair) float64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%q %q", p.Query, p.Document)
	return float64(h.Sum64()>>11) / (1 << 53)
}

func (s *scorer) Score(ctx context.Context, pairs []engine.Pair, _ engine.Options) (*engine.Scores, error) {
	s.calls.Add(1)
	if s.before != nil {
		if err := s.before(ctx, pairs); err != nil {
			return nil, err
		}
	}
	scores := &engine.Scores{Labels: []string{"LABEL_0"}}
	for _, p := range pairs {
		scores.Values = append(scores.Values, scoreOf(p))
	}
	return scores, ctx.Err()
}

// work runs a worker until the returned function is called, or its jobs are done.
func work(t *testing.T, c *Client, w *Worker) (stop func() error) {
	t.Helper()
	w.Client, w.Log = c, t.Logf
	if w.Name == "" {
		w.Name = "worker"
	}
	if w.Model == "" {
		w.Model = "hash"
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	return sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
}

// finish works until all jobs are done.
func finish(t *testing.T, c *Client, w *Worker) {
	t.Helper()
	w.UntilDone = true
	w.Client, w.Log, w.Name = c, t.Logf, "finisher"
	if w.Model == "" {
		w.Model = "hash"
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatalf("the jobs were not done in %v", patience)
	}
}

// memory is an Output that keeps results. It fails once it has most of them.
type memory struct {
	most   int // 0: never
	scores []float64
	failed map[int]string
	mark   Position
}

var errFull = errors.New("memory is full")

func (m *memory) Score(index int, row []float64) error {
	if m.most > 0 && len(m.scores) >= m.most {
		return errFull
	}
	if index != len(m.scores) || len(row) != 1 {
		return fmt.Errorf("result %d, of %d labels, after %d results", index, len(row), len(m.scores))
	}
	m.scores = append(m.scores, row[0])
	return nil
}

func (m *memory) Failed(index int, reason string) error {
	if index != len(m.scores) {
		return fmt.Errorf("failure %d after %d results", index, len(m.scores))
	}
	if m.failed == nil {
		m.failed = map[int]string{}
	}
	m.failed[index] = reason
	m.scores = append(m.scores, -1)
	return nil
}

func (m *memory) Mark(at Position) error {
	m.mark = at
	return nil
}

// collect collects a job, and compares it with the pairs; those at the indexes failed have no score.
func collect(t *testing.T, c *Client, job string, pairs []engine.Pair, failed ...int) *memory {
	t.Helper()
	m := &memory{}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	at, err := c.Collect(ctx, Collection{Job: job, Output: m})
	if err != nil {
		t.Fatal(err)
	}
	if at.Pairs != len(pairs) || at.Aside != len(failed) || at != m.mark {
		t.Errorf("collected up to %+v, marked %+v, want %d pairs with %d set aside", at, m.mark, len(pairs), len(failed))
	}
	compare(t, m, pairs, failed...)
	return m
}

func compare(t *testing.T, m *memory, pairs []engine.Pair, failed ...int) {
	t.Helper()
	if len(m.scores) != len(pairs) || len(m.failed) != len(failed) {
		t.Fatalf("%d results, %d failed (%v), want %d and %d", len(m.scores), len(m.failed), m.failed, len(pairs), len(failed))
	}
	want := make([]float64, len(pairs))
	for i, p := range pairs {
		want[i] = scoreOf(p)
	}
	for _, i := range failed {
		want[i] = -1
		if m.failed[i] == "" {
			t.Errorf("pair %d has a score, or no reason for having none", i)
		}
	}
	for i := range want {
		if m.scores[i] != want[i] {
			t.Errorf("pair %d: score %v, want %v", i, m.scores[i], want[i])
		}
	}
}

// freeAddress returns an address that was free a moment ago. Its port is below the range for outgoing connections, so that
// none of these takes it before the server does.
func freeAddress(t *testing.T) string {
	t.Helper()
	for {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return l.Addr().String()
	}
}
