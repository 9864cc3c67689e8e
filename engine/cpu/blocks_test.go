package cpu

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/backend/backendtest"
	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// inBlocks opens a model whose sequences of more than so many tokens go in blocks of so many rows.
func inBlocks(t *testing.T, c *weights.Checkpoint, options Options, capacity, rows int) *Backend {
	t.Helper()
	b := open(t, c, options)
	calls := []*call{<-b.calls, <-b.calls}
	for i := range b.blocks {
		var err error
		if b.blocks[i], err = newBlocks(calls[0].model, b.plan.Positions); err != nil {
			t.Fatal(err)
		}
		b.blocks[i].most = rows
	}
	for _, c := range calls {
		c.plan.capacity, c.plan.longest = capacity, b.plan.Positions
		b.calls <- c
	}
	return b
}

// families has models with embeddings of another width, several labels, windows, rotations, gates, the sum kept, and the mean
// as the head's input.
func families(t *testing.T) map[string]*weights.Checkpoint {
	t.Helper()
	models := map[string]*weights.Checkpoint{}
	for _, spec := range weightstest.Specs() {
		models[spec.Name] = checkpoint(t, spec)
	}
	for _, family := range []string{"modernbert", "modernbert_cls", "electra", "jina_v2", "gte", "nomic", "deberta_v3", "qwen3", "llama"} {
		c, err := weights.Open(filepath.Join("..", "testdata", "families", family))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		models[family] = c
	}
	return models
}

// In blocks, a sequence has the same logits bit for bit as in a chunk of one worker's.
func TestBlocks(t *testing.T) {
	for name, c := range families(t) {
		plan, err := c.Plan()
		if err != nil {
			t.Fatal(err)
		}
		model := modelOf(c.Config())
		model.Limits = backend.Limits{Vocab: plan.Vocab, Types: max(plan.Types, 1), Positions: plan.Positions}
		var batches []*backend.Batch
		for _, lengths := range [][]int{{plan.Positions}, {1, 40, 3, 17}, slices.Repeat([]int{plan.Positions - 1, 2, 31}, 4)} {
			batches = append(batches, model.Batch(lengths...))
		}
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, options Options) {
				t.Helper()
				options.Workers = 1
				plain := open(t, c, options)
				for workers := 1; workers <= 3; workers++ {
					options.Workers = workers
					b := inBlocks(t, c, options, 20, 7)
					for i, batch := range batches {
						want, got := model.Forward(t, plain, batch), model.Forward(t, b, batch)
						if !slices.Equal(got, want) {
							t.Errorf("batch %d in blocks, %d workers: %v, want %v", i, workers, got, want)
						}
					}
				}
			})
		})
	}
}

// A model that takes sequences longer than a chunk has them in blocks of the usual sizes.
func TestLongSequence(t *testing.T) {
	spec := weightstest.Specs()[0]
	spec.MaxPositions = 3000
	c := checkpoint(t, spec)
	model := modelOf(c.Config())
	each(t, func(t *testing.T, options Options) {
		t.Helper()
		testLongSequence(t, c, &model, options)
	})
}

func testLongSequence(t *testing.T, c *weights.Checkpoint, model *backendtest.Model, options Options) {
	t.Helper()
	var want []float32
	for workers := 1; workers <= 2; workers++ {
		options.Workers = workers
		b := open(t, c, options)
		for _, c := range []*call{<-b.calls, <-b.calls} {
			c.plan.capacity = map[int]int{1: 3000, 2: 768}[workers]
			b.calls <- c
		}
		if workers == 1 { // the whole sequence in a worker's chunk
			s, err := newScratch((<-b.calls).model, 3000, 3000, false)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.arena.free)
			b.pool.close()
			b.pool = newPool([]*scratch{s}, newGate())
		}
		got := model.Forward(t, b, model.Batch(2100, 5, 900))
		if workers == 1 {
			want = got
		} else if !slices.Equal(got, want) {
			t.Errorf("in blocks: %v, want %v", got, want)
		}
	}
}

// An urgent call runs while a call in blocks is under way, and neither changes the other's logits.
func TestUrgentCallGoesFirst(t *testing.T) {
	c := checkpoint(t, weightstest.Specs()[0])
	model := modelOf(c.Config())
	b := inBlocks(t, c, Options{Workers: 2}, 30, 4)
	long, urgent := model.Batch(60), model.Batch(9, 20, 3, 40) // in blocks, too
	urgent.Urgent = true
	want, wantUrgent := model.Forward(t, b, long), model.Forward(t, b, urgent)
	b.gate.beginUrgent() // until it ends, no block is run
	got := make([]float32, len(want))
	ended := make(chan error, 1)
	go func() { ended <- b.Forward(context.Background(), long, got) }()
	for len(b.blocks[0].turn) == 0 {
		runtime.Gosched()
	}
	for range 2 {
		if got := model.Forward(t, b, urgent); !slices.Equal(got, wantUrgent) {
			t.Errorf("the urgent call: %v, want %v", got, wantUrgent)
		}
	}
	if len(ended) > 0 {
		t.Error("the long call has ended")
	}
	b.gate.endUrgent(0)
	if err := <-ended; err != nil || !slices.Equal(got, want) {
		t.Errorf("the long call: %v, %v, want %v", got, err, want)
	}
}

// After an urgent call, the call in blocks has a third of its cost before the next one begins, and no worker has to end; and
// nothing is owed to a call that isn't there.
func TestGate(t *testing.T) {
	g := newGate()
	g.beginUrgent()
	g.endUrgent(300)
	g.beginUrgent() // at once
	g.beginLong()
	if !g.ran(10) {
		t.Error("an urgent call runs, and a worker goes on with blocks")
	}
	g.endUrgent(300)
	g.pass()
	begun := make(chan int, 1)
	ran := 0
	go func() { g.beginUrgent(); begun <- 0 }()
	for g.waits() == 0 {
		runtime.Gosched()
	}
	for len(begun) == 0 && ran < 200 {
		end := g.ran(10)
		if ran += 10; end != (ran >= 100) {
			t.Errorf("after %d of 100 that are owed, to end: %v", ran, end)
		}
		if end {
			break
		}
	}
	<-begun
	if ran != 100 {
		t.Errorf("the next urgent call begins after %d, want 100", ran)
	}
	g.endUrgent(300)
	g.endLong()
	g.beginUrgent() // endLong has cleared the long call's debt
	g.endUrgent(300)
	if g.ran(10) {
		t.Error("no urgent call is there, and a worker should end")
	}
}

func (g *gate) waits() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting
}

// Calls in blocks and urgent ones at once: each has its logits.
func TestBlocksBesideUrgentCalls(t *testing.T) {
	c := checkpoint(t, weightstest.Specs()[0])
	model := modelOf(c.Config())
	b := inBlocks(t, c, Options{Workers: 2}, 30, 4)
	var callers sync.WaitGroup
	for i := range 4 {
		batch := model.Batch(60, 5)
		if i > 0 {
			batch = model.Batch([][]int{{9, 20, 3}, {9, 20, 3}, {40, 8}}[i-1]...)
			batch.Urgent = i > 1
		}
		want := model.Forward(t, b, batch)
		callers.Go(func() {
			for range 100 {
				out := make([]float32, len(want))
				if err := b.Forward(context.Background(), batch, out); err != nil || !slices.Equal(out, want) {
					t.Errorf("%v, %v, want %v", out, err, want)
					return
				}
			}
		})
	}
	callers.Wait()
}

// A call in blocks ends soon after its context: here before its first block, and the next call has the workers.
func TestCancelledBlocks(t *testing.T) {
	c := checkpoint(t, weightstest.Specs()[0])
	model := modelOf(c.Config())
	b := inBlocks(t, c, Options{Workers: 2}, 30, 4)
	want := model.Forward(t, b, model.Batch(60))
	b.gate.beginUrgent() // until it ends, no block is run
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Forward(ctx, model.Batch(60), make([]float32, len(want))) }()
	for len(b.blocks[0].turn) == 0 {
		runtime.Gosched()
	}
	cancel()
	b.gate.endUrgent(0)
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled call: %v", err)
	}
	if n := b.blocks[0].next.Load(); n > 2 || b.blocks[0].stage > 0 {
		t.Errorf("%d blocks of stage %d after the context had ended", n, b.blocks[0].stage)
	}
	if got := model.Forward(t, b, model.Batch(60)); !slices.Equal(got, want) {
		t.Errorf("the next call: %v, want %v", got, want)
	}
}
