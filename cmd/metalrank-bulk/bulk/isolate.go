package bulk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/metalrank/metalrank/engine"
)

// isolationState is the search for bad pairs in a chunk that could not be scored as a whole. It is kept on the server,
// since a worker may die of the chunk at any moment: it writes down each span before it tries it, so that the next
// worker knows which span killed it.
type isolationState struct {
	Todo   []span  `json:"todo,omitempty"`   // still to be tried, the last one first
	Good   []span  `json:"good,omitempty"`   // scored; the scores are in the memory of the last worker
	Trying *span   `json:"trying,omitempty"` // being tried now
	By     string  `json:"by,omitempty"`     // the worker that tries it
	Bad    []aside `json:"bad,omitempty"`
}

// span is a run of a chunk's pairs.
type span struct {
	First int `json:"first"` // place in the chunk
	Count int `json:"count"`
	Fails int `json:"fails,omitempty"` // how often exactly this span failed
}

// aside is a pair that could not be scored.
type aside struct {
	Place  int    `json:"place"` // in the chunk
	Index  int    `json:"index"` // in the job
	Reason string `json:"reason"`
}

// isolation is the state of one call of isolate.
type isolation struct {
	worker   *Worker
	task     *task
	chunk    *chunk
	state    isolationState
	revision uint64 // of the state on the server; 0: it isn't there yet
	result   *result
}

// isolate finds the pairs that can't be scored, by halving, and scores the others.
func (w *Worker) isolate(ctx context.Context, t *task, c *chunk) (*result, error) {
	i := &isolation{worker: w, task: t, chunk: c, result: &result{first: c.first, count: len(c.pairs), model: w.Model}}
	if err := i.load(ctx); err != nil {
		return nil, err
	}
	for len(i.state.Todo) > 0 {
		if err := i.step(ctx); err != nil {
			return nil, err
		}
	}
	i.result.scores = append(i.result.scores, make([]float64, i.result.count*i.result.labels-len(i.result.scores))...)
	bad := map[int]string{}
	for _, b := range i.state.Bad {
		bad[b.Place] = b.Reason
		w.Log("job %s, pair %d is set aside: %s", t.job.Name, b.Index, b.Reason)
	}
	for place := range c.pairs {
		if reason, ok := bad[place]; ok {
			i.result.failed = append(i.result.failed, failure{place, reason})
		}
	}
	return i.result, nil
}

func (i *isolation) bucket(ctx context.Context) (jetstream.KeyValue, error) {
	return i.worker.Client.js.KeyValue(ctx, isolationBucket(i.task.job.Name))
}

// load reads the state that earlier workers left. A span that is still marked as being tried counts as failed.
func (i *isolation) load(ctx context.Context) error {
	err := persist(ctx, nil, func(ctx context.Context) error {
		kv, err := i.bucket(ctx)
		if err != nil {
			return err
		}
		entry, err := kv.Get(ctx, chunkKey(i.task.number))
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		i.revision = entry.Revision()
		if err := json.Unmarshal(entry.Value(), &i.state); err != nil {
			return fmt.Errorf("%w: %w", errFormat, err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("bulk: job %s, chunk %d: what is known of its trouble: %w", i.task.job.Name, i.task.number, err)
	}
	if died := i.state.Trying; died != nil {
		i.failed(*died, fmt.Sprintf("a worker died of it, hung or was cut off, %d times: the last was %s", died.Fails+1, i.state.By))
	}
	i.state.Todo, i.state.Good = append(i.state.Todo, i.state.Good...), nil // their scores are lost
	if i.revision == 0 {
		i.state.Todo = []span{{First: 0, Count: len(i.chunk.pairs)}}
	}
	if err := i.check(); err != nil || i.revision == 0 {
		return err
	}
	return i.save(ctx)
}

// check refuses a state that doesn't fit the chunk.
func (i *isolation) check() error {
	n := len(i.chunk.pairs)
	for _, s := range i.state.Todo {
		if s.First < 0 || s.Count < 1 || s.Count > n || s.First > n-s.Count {
			return fmt.Errorf("bulk: job %s, chunk %d: what is known of its trouble is of another chunk", i.task.job.Name, i.task.number)
		}
	}
	return nil
}

// save writes the state to the server. It fails if another worker has written it meanwhile: that worker has the chunk now.
func (i *isolation) save(ctx context.Context) error {
	value, err := json.Marshal(i.state)
	if err != nil {
		return err
	}
	return persist(ctx, nil, func(ctx context.Context) error {
		kv, err := i.bucket(ctx)
		if err != nil {
			return err
		}
		revision, err := kv.Update(ctx, chunkKey(i.task.number), value, i.revision)
		if err == nil {
			i.revision = revision
		}
		return err
	})
}

// step tries one span. The worker scores nothing else meanwhile, so that a crash is this span's fault.
func (i *isolation) step(ctx context.Context) error {
	i.worker.exclusive.Lock()
	defer i.worker.exclusive.Unlock()
	last := len(i.state.Todo) - 1
	s := i.state.Todo[last]
	i.state.Todo, i.state.Trying, i.state.By = i.state.Todo[:last], &s, i.worker.Name
	if err := i.save(ctx); err != nil {
		return err
	}
	scores, err := i.worker.score(ctx, i.task.job, i.chunk.pairs[s.First:s.First+s.Count])
	switch {
	case err == nil:
		i.keep(s, scores)
		i.state.Trying, i.state.Good = nil, append(i.state.Good, s)
		return i.save(ctx)
	case errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, engine.ErrOverloaded):
		return errors.Join(err, i.giveBack(ctx, s))
	}
	if broken := i.worker.broken(ctx, i.task.job); broken != nil {
		return errors.Join(broken, i.giveBack(ctx, s))
	}
	i.failed(s, err.Error())
	return i.saveLate(ctx)
}

// giveBack puts a span back to be tried again: the failure was not its fault.
func (i *isolation) giveBack(ctx context.Context, s span) error {
	i.state.Todo, i.state.Trying = append(i.state.Todo, s), nil
	return i.saveLate(ctx)
}

// saveLate is save for when ctx may have ended; it has a timeout of its own.
func (i *isolation) saveLate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	return i.save(ctx)
}

// failed halves a span that could not be scored, or sets its one pair aside after as many tries as a chunk has.
func (i *isolation) failed(s span, reason string) {
	s.Fails++
	i.state.Trying = nil
	switch half := s.Count / 2; {
	case half > 0:
		i.state.Todo = append(i.state.Todo, span{First: s.First + half, Count: s.Count - half}, span{First: s.First, Count: half})
	case s.Fails < i.task.job.Spec.Tries:
		i.state.Todo = append(i.state.Todo, s)
	default:
		i.state.Bad = append(i.state.Bad, aside{Place: s.First, Index: i.chunk.first + s.First, Reason: reason})
	}
}

// keep puts the scores of a span where they belong.
func (i *isolation) keep(s span, scores *engine.Scores) {
	r := i.result
	r.labels = len(scores.Labels)
	if r.scores == nil {
		r.scores = make([]float64, r.count*r.labels)
	}
	copy(r.scores[s.First*r.labels:], scores.Values)
}

// asides returns the pairs of a job that were set aside so far.
func (c *Client) asides(ctx context.Context, job string) ([]aside, error) {
	kv, err := c.js.KeyValue(ctx, isolationBucket(job))
	if err != nil {
		return nil, err
	}
	keys, err := kv.Keys(ctx)
	if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
		return nil, err
	}
	var all []aside
	for _, key := range keys {
		entry, err := kv.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue // the job was removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		var state isolationState
		if err := json.Unmarshal(entry.Value(), &state); err != nil {
			return nil, err
		}
		all = append(all, state.Bad...)
	}
	return all, nil
}
