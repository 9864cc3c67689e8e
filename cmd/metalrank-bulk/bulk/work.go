package bulk

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/metalrank/metalrank/engine"
)

// Scorer is the part of engine.Engine that a worker uses.
type Scorer interface {
	Score(ctx context.Context, pairs []engine.Pair, options engine.Options) (*engine.Scores, error)
}

// Worker scores chunks of all jobs, the oldest job first.
type Worker struct {
	Client *Client
	Scorer Scorer
	Name   string // how status lists it; unique in the fleet
	Model  string // name and precision of the model; results of different ones are not mixed
	// InFlight is how many chunks are in work at a time: while one waits for the device, another is fetched or tokenised.
	// 0: 4. Bounds: 1 to 1,024.
	InFlight int
	// Job, if not empty, is the only one to work for.
	Job string
	// UntilDone ends Run when the jobs that there are have been submitted and scored.
	UntilDone bool
	// ChunkTimeout is how long a chunk may take; then it counts as failed. 0: 10 min.
	ChunkTimeout time.Duration
	// Log is called with messages for the operator. May be nil.
	Log func(format string, args ...any)

	tally tally
	// Held for reading while a whole chunk is scored, for writing while a span of a chunk in trouble is: if the worker dies
	// then, it dies of that span, and not of a chunk in another slot.
	exclusive sync.RWMutex
}

const (
	defaultInFlight     = 4
	maxInFlight         = 1024
	defaultChunkTimeout = 10 * time.Minute
	brokenTimeout       = time.Minute
	idleWait            = time.Second // how long a worker without work waits for some
)

// Validate reports the first field that is out of its bounds.
func (w *Worker) Validate() error {
	if w.InFlight < 0 || w.InFlight > maxInFlight {
		return wrong("InFlight", w.InFlight, "0 (%d) or 1 to %d", defaultInFlight, maxInFlight)
	}
	if w.ChunkTimeout < 0 {
		return wrong("ChunkTimeout", w.ChunkTimeout, "0 (%v) or more", defaultChunkTimeout)
	}
	return nil
}

// Run works until ctx ends, which is no error: chunks in work go back to the server at once. Errors: ErrBroken, and the
// server's, where repeating does not help.
func (w *Worker) Run(ctx context.Context) error {
	if w.InFlight == 0 {
		w.InFlight = defaultInFlight
	}
	if err := w.Validate(); err != nil {
		return err
	}
	if w.ChunkTimeout == 0 {
		w.ChunkTimeout = defaultChunkTimeout
	}
	if w.Log == nil {
		w.Log = func(string, ...any) {}
	}
	w.tally.begin()
	background, stop := context.WithCancel(ctx)
	var reporting sync.WaitGroup
	reporting.Go(func() { w.report(background) })
	var (
		slots sync.WaitGroup
		errs  = make([]error, w.InFlight)
		queue = newQueue(w)
	)
	for i := range w.InFlight {
		slots.Go(func() { errs[i] = w.slot(ctx, queue) })
	}
	slots.Wait()
	stop()
	reporting.Wait()
	w.sayGoodbye()
	return errors.Join(errs...)
}

// slot works on one chunk after another.
func (w *Worker) slot(ctx context.Context, q *queue) error {
	for ctx.Err() == nil {
		t, err := q.next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // it was told to stop
			}
			return err
		}
		if t == nil {
			return nil
		}
		if err := w.handle(ctx, t); errors.Is(err, ErrBroken) {
			return err
		}
	}
	return nil
}

// task is a chunk that a worker has taken.
type task struct {
	job     *Job
	message jetstream.Msg
	number  int
	tries   int // how often the server has given it to a worker, this time included
}

// handle scores a task and publishes its result. After an error the chunk goes back to the server.
func (w *Worker) handle(ctx context.Context, t *task) error {
	ctx, cancel := context.WithTimeout(ctx, w.ChunkTimeout)
	defer cancel()
	alive := w.keepAlive(t)
	begin := time.Now()
	r, err := w.process(ctx, t)
	if err == nil && r != nil {
		err = w.publish(ctx, t, r)
	}
	alive()
	if err == nil && r != nil {
		w.tally.add(r.count, time.Since(begin))
	}
	if err := w.settle(ctx, t, err); err != nil {
		// After AckWait the server gives the chunk to another worker.
		w.Log("job %s, chunk %d: %v", t.job.Name, t.number, err)
	}
	return err
}

// settle tells the server how a task ended: it acknowledges the task, drops it where the job was removed, or returns it.
func (w *Worker) settle(ctx context.Context, t *task, err error) error {
	switch {
	case err == nil:
		return t.message.Ack()
	case errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, ErrNoJob):
		return t.message.Term() // the job was removed
	case errors.Is(context.Cause(ctx), context.Canceled):
		return t.message.Nak() // this worker was told to stop
	}
	w.Log("job %s, chunk %d, try %d: %v", t.job.Name, t.number, t.tries, err)
	return t.message.NakWithDelay(idleWait)
}

// keepAlive tells the server now and then that a task is being worked on, until the returned function is called.
func (w *Worker) keepAlive(t *task) (stop func()) {
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		ticker := time.NewTicker(t.job.Spec.AckWait / 4)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				_ = t.message.InProgress() // if it doesn't arrive, another worker gets the chunk, which does no harm
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		ended.Wait()
	}
}

// process scores a task. Nil: there is a result already.
func (w *Worker) process(ctx context.Context, t *task) (*result, error) {
	if t.tries > 1 {
		there, err := w.Client.hasResult(ctx, t.job.Name, t.number)
		if there || err != nil {
			return nil, err
		}
	}
	c, err := decodeChunk(t.message.Data())
	if err != nil {
		return w.unreadable(err), nil
	}
	if t.tries > t.job.Spec.Tries {
		return w.isolate(ctx, t, c)
	}
	w.exclusive.RLock()
	scores, err := w.score(ctx, t.job, c.pairs)
	w.exclusive.RUnlock()
	if err == nil {
		return w.whole(c, scores), nil
	}
	if ctx.Err() != nil || errors.Is(err, engine.ErrOverloaded) {
		return nil, err
	}
	// The process is alive, so it can search for the failing pair itself, unless the engine fails on all pairs.
	w.Log("job %s, chunk %d, try %d: %v; looking for the pair", t.job.Name, t.number, t.tries, err)
	return w.isolate(ctx, t, c)
}

// ErrBroken ends a Worker if its engine fails on every pair: the worker would set aside all of them.
var ErrBroken = errors.New("bulk: this worker's engine is broken")

// broken tells an engine that fails on some pairs from one that fails on all.
func (w *Worker) broken(ctx context.Context, j *Job) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), brokenTimeout)
	defer cancel()
	_, err := w.score(ctx, j, []engine.Pair{{Query: "a", Document: "b"}})
	if err == nil || errors.Is(err, engine.ErrOverloaded) {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrBroken, err)
}

func (w *Worker) score(ctx context.Context, j *Job, pairs []engine.Pair) (*engine.Scores, error) {
	return w.Scorer.Score(ctx, pairs, engine.Options{RawScores: j.Spec.RawScores, Client: j.Name})
}

func (w *Worker) whole(c *chunk, s *engine.Scores) *result {
	return &result{first: c.first, count: len(c.pairs), labels: len(s.Labels), model: w.Model, scores: s.Values}
}

// unreadable returns the result for a chunk with damaged bytes. Its number of pairs is unknown, so it has none, and Collect
// reports it.
func (w *Worker) unreadable(err error) *result {
	w.Log("a chunk is set aside: %v", err)
	return &result{model: w.Model, failed: nil}
}

// publish stores a result, unless the chunk has one.
func (w *Worker) publish(ctx context.Context, t *task, r *result) error {
	key := chunkKey(t.number)
	message := &nats.Msg{Subject: resultSubject(t.job.Name, key), Data: r.encode()}
	err := w.Client.publish(ctx, t.job.Name, func(err error) {
		w.Log("job %s, chunk %d: the result waits: %v", t.job.Name, t.number, err)
	}, message, jetstream.WithMsgID(t.job.Name+"/"+key), jetstream.WithExpectStream(resultStream(t.job.Name)),
		jetstream.WithExpectLastSequencePerSubject(0))
	if isConflict(err) {
		return nil // as good as ours
	}
	return err
}

func (c *Client) hasResult(ctx context.Context, job string, number int) (bool, error) {
	_, err := c.result(ctx, job, number)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	return err == nil, err
}

// result fetches the bytes of a result.
func (c *Client) result(ctx context.Context, job string, number int) (data []byte, err error) {
	err = persist(ctx, nil, func(ctx context.Context) error {
		s, err := c.stream(ctx, resultStream(job))
		if err != nil {
			return err
		}
		raw, err := s.GetLastMsgForSubject(ctx, resultSubject(job, chunkKey(number)))
		if err == nil {
			data = raw.Data
		}
		return err
	})
	return data, err
}
