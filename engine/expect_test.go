package engine

import (
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// A request is refused by an estimate of its tokens from its bytes, before it is tokenised.
func TestOverloadIsJudgedBeforeTheWork(t *testing.T) {
	e := openConfig(t, Config{MaxQueueTokens: 1000})
	e.dispatcher.mu.Lock()
	err := e.queue.Reserve("another", 990)
	e.dispatcher.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	_, misses, _ := e.tokens.stats()
	_, err = e.Rerank(t.Context(), "query", slices.Repeat([]string{strings.Repeat("word ", 50)}, 10), Options{})
	if !errors.Is(err, ErrOverloaded) {
		t.Errorf("a request of 500 tokens with room for 10: %v", err)
	}
	if _, after, _ := e.tokens.stats(); after != misses {
		t.Errorf("%d texts of it were tokenised", after-misses)
	}
	if got := e.Counters().Refused; got != 1 {
		t.Errorf("%d requests refused, want 1", got)
	}
	e.unreserve("another", 990)
	if _, err := e.Rerank(t.Context(), "query", []string{"word"}, Options{}); err != nil {
		t.Errorf("with room: %v", err)
	}
	if err := e.Full(""); err != nil {
		t.Errorf("something of a request is left reserved: %v", err)
	}
}

// A call that would make the queued work last longer than it may is refused, and an accepted one waits no longer.
func TestQueueTimeIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const batch, limit = 100 * time.Millisecond, time.Second
		config := Config{MaxBatchTokens: 16, MaxQueueTime: limit, wrap: wrapped(func(b backend.Backend) backend.Backend {
			return hashing{b, func() error { time.Sleep(batch); return nil }}
		})}
		e := openTest(t, weightstest.Tiny(), config)
		pairs := []Pair{{Query: "a", Document: strings.Repeat("b ", 20)}} // a full batch
		for range 5 {
			if _, err := e.Score(t.Context(), pairs, raw); err != nil {
				t.Fatal(err)
			}
		}
		var calls sync.WaitGroup
		var accepted, refused atomic.Int64
		begin := time.Now()
		for range 50 {
			calls.Go(func() {
				_, err := e.Score(t.Context(), pairs, raw)
				var over *OverloadError
				switch {
				case err == nil:
					accepted.Add(1)
				case !errors.As(err, &over) || over.Limit != "milliseconds of waiting work" || over.Max < 990 || over.Max > 1000: // whole tokens of 6 ms
					t.Errorf("refused with %v", err)
				default:
					refused.Add(1)
				}
			})
			synctest.Wait() // the call waits, or is refused
		}
		if c := e.Counters(); c.QueueTime > limit || c.QueueTime < limit-batch || c.BatchTime != batch {
			t.Errorf("%v of work waits, in batches of %v", c.QueueTime, c.BatchTime)
		}
		calls.Wait()
		if n := int(accepted.Load()); n < 10 || n > 12 || refused.Load() != int64(50-n) || time.Since(begin) > limit+3*batch {
			t.Errorf("%d calls accepted and %d refused, in %v", n, refused.Load(), time.Since(begin))
		}
	})
}

// Operations are those of the model's shape, whatever the batches.
func TestOperations(t *testing.T) {
	e := openConfig(t, Config{})
	pairs := prompted(8)
	scores, err := e.Score(t.Context(), pairs, raw)
	if err != nil {
		t.Fatal(err)
	}
	sequences, err := e.encode(t.Context(), pairs, &Options{})
	if err != nil {
		t.Fatal(err)
	}
	var lengths []int
	for _, s := range sequences {
		lengths = append(lengths, len(s.ids))
	}
	plan, err := e.checkpoint.Plan()
	if err != nil {
		t.Fatal(err)
	}
	want, _ := cost.Total(cost.Pass(cost.ShapeOf(plan), lengths, cost.Format{}))
	if got := scores.Stats.Operations; math.Abs(got/want-1) > 0.01 || e.Counters().Operations != got {
		t.Errorf("%g operations, %g in all, want %g within 1 %%", got, e.Counters().Operations, want)
	}
}

func TestTokenRateFollowsTheTexts(t *testing.T) {
	var r tokenRate
	if got := r.get(); got != firstTokenRate {
		t.Errorf("at first %g, want %g", got, firstTokenRate)
	}
	for range 100 {
		r.add(1000, 3000)
	}
	if got := r.get(); got < 0.333 || got > 0.334 {
		t.Errorf("%g after texts of 3 bytes a token", got)
	}
	r.add(0, 0)
	if got := r.get(); got < 0.333 {
		t.Errorf("%g after nothing", got)
	}
}
