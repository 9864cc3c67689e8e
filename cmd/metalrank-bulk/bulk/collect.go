package bulk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Output takes results in the order of the input.
type Output interface {
	// Score takes the scores of pair index, in the order of the model's labels. It must not keep row.
	Score(index int, row []float64) error
	// Failed takes a pair that has no score, and why.
	Failed(index int, reason string) error
	// Mark is called after each chunk: all before that position has been handed over.
	Mark(Position) error
}

// Position is between two chunks of a job.
type Position struct {
	Chunk int    `json:"chunk"`           // the next one's number
	Pairs int    `json:"pairs"`           // before it
	Aside int    `json:"aside"`           // of these, how many could not be scored
	Model string `json:"model,omitempty"` // of the result before it
}

// Collection is one call of Collect.
type Collection struct {
	Job    string
	From   Position // where to go on; zero: at the beginning
	Output Output
	// NoWait makes Collect fail with ErrUnfinished where it would wait for a chunk to be scored.
	NoWait bool
	// Mixed allows results of different models.
	Mixed bool
	// OnWait is called about every second while no result is ready. May be nil.
	OnWait func(*Status)
}

var (
	// ErrUnfinished says that a result isn't there yet.
	ErrUnfinished = errors.New("bulk: the job is not finished")
	// ErrLost says that a chunk is neither waiting nor done; a submission with Repair puts it in again.
	ErrLost = errors.New("bulk: the server has lost a chunk")
	// ErrMixed says that results are of different models.
	ErrMixed = errors.New("bulk: results of different models")
)

const pollInterval = 100 * time.Millisecond

// Collect hands all results of a job to the output, in order, as they come, and returns the position that it reached.
// Results stay on the server until the job is removed. Errors: ErrNoJob, ErrUnfinished, ErrLost, ErrMixed, the output's,
// ctx's, the server's.
func (c *Client) Collect(ctx context.Context, o Collection) (Position, error) {
	at := o.From
	job, err := c.patientJob(ctx, o.Job)
	if err != nil {
		return at, err
	}
	for !job.Complete || at.Chunk < job.Chunks {
		data, err := c.result(ctx, o.Job, at.Chunk)
		switch {
		case err == nil:
			err = o.take(&at, data)
		case errors.Is(err, jetstream.ErrMsgNotFound):
			job, err = c.await(ctx, &o, at)
		}
		if err != nil {
			return at, fmt.Errorf("job %s, chunk %d: %w", o.Job, at.Chunk, err)
		}
	}
	if at.Pairs != job.Pairs {
		return at, fmt.Errorf("job %s: %d results for %d pairs", o.Job, at.Pairs, job.Pairs)
	}
	return at, nil
}

// take hands one result over.
func (o *Collection) take(at *Position, data []byte) error {
	r, err := decodeResult(data)
	switch {
	case err != nil:
		return err
	case r.count == 0:
		return errors.New("it came to a worker damaged: remove the job and submit it again")
	case r.first != at.Pairs:
		return fmt.Errorf("its first pair is %d, want %d", r.first, at.Pairs)
	case at.Model != "" && r.model != at.Model && !o.Mixed:
		return fmt.Errorf("%w: %s, and before %s", ErrMixed, r.model, at.Model)
	}
	failed := r.failed
	for place := range r.count {
		if len(failed) > 0 && failed[0].place == place {
			err = o.Output.Failed(r.first+place, failed[0].reason)
			failed = failed[1:]
		} else {
			err = o.Output.Score(r.first+place, r.row(place))
		}
		if err != nil {
			return err
		}
	}
	*at = Position{Chunk: at.Chunk + 1, Pairs: at.Pairs + r.count, Aside: at.Aside + len(r.failed), Model: r.model}
	return o.Output.Mark(*at)
}

// await waits about a second for the next result, and returns the job as it is then. Errors: ErrLost where no result can
// come any more; with NoWait, ErrUnfinished where there is none yet.
func (c *Client) await(ctx context.Context, o *Collection, at Position) (*Job, error) {
	for begin := time.Now(); time.Since(begin) < time.Second; {
		if o.NoWait {
			break
		}
		there, err := c.hasResult(ctx, o.Job, at.Chunk)
		if err != nil {
			return nil, err
		}
		if there {
			return c.patientJob(ctx, o.Job)
		}
		if err := wait(ctx, pollInterval); err != nil {
			return nil, err
		}
	}
	var s *Status
	err := persist(ctx, nil, func(ctx context.Context) (err error) {
		s, err = c.Status(ctx, o.Job)
		return err
	})
	if err != nil {
		return nil, err
	}
	ended := s.Job.Complete && at.Chunk >= s.Job.Chunks
	if !ended && at.Chunk < s.Job.Chunks && s.Waiting == 0 && s.Working == 0 {
		if there, err := c.hasResult(ctx, o.Job, at.Chunk); !there {
			return nil, errors.Join(ErrLost, err)
		}
	} else if !ended {
		if o.NoWait {
			return nil, fmt.Errorf("%w: %d of %d chunks have a result", ErrUnfinished, s.Done, s.Job.Chunks)
		}
		if o.OnWait != nil {
			o.OnWait(s)
		}
	}
	return s.Job, nil
}

// patientJob is Job, but waits while the server is away.
func (c *Client) patientJob(ctx context.Context, name string) (j *Job, err error) {
	err = persist(ctx, nil, func(ctx context.Context) (err error) {
		j, err = c.Job(ctx, name)
		return err
	})
	return j, err
}
