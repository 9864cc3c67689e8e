package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/httpapi"
	"github.com/metalrank/metalrank/tools/system/fleet/oracle"
)

const (
	batchDocuments = 16
	documentTokens = 100 // that a document counts as
	queueDocuments = 50 * batchDocuments
)

// device runs batches of up to batchDocuments, in the order in which they came, one after another.
type device struct {
	model string

	mu      sync.Mutex
	work    sync.Cond
	service time.Duration // guarded by mu, as is all that follows
	factor  int
	queue   []*call
	waiting int // documents
	ended   uint64
}

// call is a request on its way.
type call struct {
	left int // documents that have not run
	done chan struct{}
}

func newDevice(model string, service time.Duration) *device {
	d := &device{model: model, service: service, factor: 1}
	d.work.L = &d.mu
	return d
}

func (d *device) slow(is bool, factor int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.factor = 1
	if is {
		d.factor = factor
	}
}

// run runs batches for as long as the process lives.
func (d *device) run() {
	for {
		batch, took := d.next()
		time.Sleep(took)
		for _, c := range batch {
			close(c.done)
		}
	}
}

// next waits for work, takes a batch of it, and returns the calls that are done when it is.
func (d *device) next() (finished []*call, took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.queue) == 0 {
		d.work.Wait()
	}
	room := batchDocuments
	for len(d.queue) > 0 && room > 0 {
		n := min(room, d.queue[0].left)
		room -= n
		d.waiting -= n
		if d.queue[0].left -= n; d.queue[0].left == 0 {
			finished = append(finished, d.queue[0])
			d.queue = d.queue[1:]
			d.ended++
		}
	}
	return finished, d.service * time.Duration(d.factor)
}

func (d *device) push(documents int) (*call, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting+documents > queueDocuments {
		return nil, &engine.OverloadError{Limit: "QueueTokens", Value: (d.waiting + documents) * documentTokens,
			Max: queueDocuments * documentTokens, RetryAfter: time.Second}
	}
	c := &call{left: documents, done: make(chan struct{})}
	d.queue, d.waiting = append(d.queue, c), d.waiting+documents
	d.work.Signal()
	return c, nil
}

// Rerank implements httpapi.Model.
func (d *device) Rerank(ctx context.Context, query string, documents []string, _ engine.Options) (*engine.Ranking, error) {
	c, err := d.push(len(documents))
	if err != nil {
		return nil, err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ranking := &engine.Ranking{Results: make([]engine.Result, len(documents))}
	for i, text := range documents {
		ranking.Results[i] = engine.Result{Index: i, Score: oracle.Score(d.model, query, text)}
	}
	slices.SortStableFunc(ranking.Results, func(a, b engine.Result) int {
		if a.Score > b.Score {
			return -1
		}
		return 1
	})
	return ranking, nil
}

var errOnlyReranks = errors.New("this model only reranks")

// Score implements httpapi.Model.
func (*device) Score(context.Context, []engine.Pair, engine.Options) (*engine.Scores, error) {
	return nil, errOnlyReranks
}

// Tokenize implements httpapi.Model.
func (*device) Tokenize(context.Context, string, bool, engine.Options) ([]engine.Token, error) {
	return nil, errOnlyReranks
}

// Info implements httpapi.Model.
func (d *device) Info() engine.Info {
	return engine.Info{
		Model: d.model, Labels: []string{"LABEL_0"}, MaxLength: 512, MaxBatchTokens: batchDocuments * documentTokens,
		Backend: backend.Info{Name: "none", Device: "a clock"},
	}
}

// Counters returns the numbers that the server reports to load balancers and shows in its metrics.
func (d *device) Counters() (engine.Counters, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return engine.Counters{Requests: d.ended, UnderWay: len(d.queue), QueueTokens: d.waiting * documentTokens}, true
}

// Model and Names make it the only model.
func (d *device) Model(name string) (httpapi.Model, bool) { return d, name == d.model }

// Names implements httpapi.Models.
func (d *device) Names() []string { return []string{d.model} }
