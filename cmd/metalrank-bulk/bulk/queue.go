package bulk

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// queue gives tasks to the slots of a worker: from all jobs, the oldest first.
type queue struct {
	worker *Worker

	mu     sync.Mutex
	open   []*source // guarded by mu: jobs that may have work, the oldest first
	done   map[string]bool
	looked time.Time // guarded by mu: when open was brought up to date
}

// source is a job with its consumer.
type source struct {
	job      *Job
	consumer jetstream.Consumer
}

// lookInterval is how often a worker asks which jobs there are.
const lookInterval = 2 * time.Second

func newQueue(w *Worker) *queue { return &queue{worker: w, done: map[string]bool{}} }

// next waits for a task. It returns nil where all jobs are done and the worker has UntilDone.
func (q *queue) next(ctx context.Context) (*task, error) {
	for {
		sources, err := q.sources(ctx)
		if err != nil {
			return nil, err
		}
		for _, s := range sources {
			t, err := q.fetch(ctx, s, false)
			if t != nil || err != nil {
				return t, err
			}
			if err := q.retire(ctx, s); err != nil {
				return nil, err
			}
		}
		if len(sources) == 0 && q.worker.UntilDone {
			return nil, nil
		}
		// No job has work now: wait, at the oldest job if there is one.
		if len(sources) == 0 {
			err = wait(ctx, idleWait)
		} else {
			var t *task
			if t, err = q.fetch(ctx, sources[0], true); t != nil {
				return t, nil
			}
		}
		if err != nil {
			return nil, err
		}
	}
}

// sources returns the jobs that may have work.
func (q *queue) sources(ctx context.Context) ([]*source, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if time.Since(q.looked) < lookInterval {
		return slices.Clone(q.open), nil
	}
	var jobs []*Job
	err := persist(ctx, func(err error) { q.worker.Log("waiting for the server: %v", err) }, func(ctx context.Context) (err error) {
		jobs, err = q.worker.Client.Jobs(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	before := q.open
	q.open = nil
	for _, j := range jobs {
		if q.done[j.ID()] || q.worker.Job != "" && q.worker.Job != j.Name || j.Spec.Model != "" && j.Spec.Model != q.worker.Model {
			continue
		}
		s := &source{job: j}
		if i := slices.IndexFunc(before, func(s *source) bool { return s.job.ID() == j.ID() }); i >= 0 {
			s.consumer = before[i].consumer
		} else if s.consumer, err = q.worker.Client.consumer(ctx, j.Name); err != nil {
			q.worker.Log("job %s: %v", j.Name, err)
			continue
		}
		q.open = append(q.open, s)
	}
	q.looked = time.Now()
	return slices.Clone(q.open), nil
}

func (c *Client) consumer(ctx context.Context, job string) (consumer jetstream.Consumer, err error) {
	err = persist(ctx, nil, func(ctx context.Context) (err error) {
		consumer, err = c.js.Consumer(ctx, workStream(job), consumerName)
		return err
	})
	return consumer, err
}

// retire forgets a job that has no more work and will get none.
func (q *queue) retire(ctx context.Context, s *source) error {
	if !s.job.Complete {
		return nil
	}
	try, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	info, err := s.consumer.Info(try)
	if err != nil || info.NumPending > 0 || info.NumAckPending > 0 {
		return ctx.Err() // it is asked again later
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.done[s.job.ID()] = true
	q.open = slices.DeleteFunc(q.open, func(o *source) bool { return o.job.ID() == s.job.ID() })
	return nil
}

// fetch takes one chunk of a job, or none. With patience it waits up to idleWait for one.
func (q *queue) fetch(ctx context.Context, s *source, patience bool) (*task, error) {
	var (
		batch jetstream.MessageBatch
		err   error
	)
	if patience {
		batch, err = s.consumer.Fetch(1, jetstream.FetchMaxWait(idleWait))
	} else {
		batch, err = s.consumer.FetchNoWait(1)
	}
	if err != nil {
		return nil, q.handleFetchError(ctx, s, err)
	}
	message, ok := <-batch.Messages()
	if !ok {
		return nil, q.handleFetchError(ctx, s, batch.Error())
	}
	t := &task{job: s.job, message: message, tries: 1}
	if meta, err := message.Metadata(); err == nil {
		t.tries = int(meta.NumDelivered)
	}
	if t.number, err = parseWorkSubject(s.job.Name, message.Subject()); err != nil {
		q.worker.Log("%v; it is dropped", err)
		return nil, message.Term()
	}
	return t, nil
}

// handleFetchError handles a fetch without a task: it drops a job that is gone, returns an error that won't pass, and
// else waits.
func (q *queue) handleFetchError(ctx context.Context, s *source, err error) error {
	switch {
	case err == nil || errors.Is(err, context.DeadlineExceeded):
		return ctx.Err()
	case errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrConsumerDeleted):
		q.mu.Lock()
		q.open, q.looked = slices.DeleteFunc(q.open, func(o *source) bool { return o == s }), time.Time{}
		q.mu.Unlock()
		return wait(ctx, retryWait)
	case isPermanent(err) && !q.worker.Client.conn.IsConnected() && q.worker.Client.conn.IsClosed():
		return err
	}
	return wait(ctx, retryWait)
}
