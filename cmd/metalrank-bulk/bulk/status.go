package bulk

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// Status is where a job stands.
type Status struct {
	Job         *Job    `json:"job"`
	Done        int     `json:"done"`        // chunks with a result
	Waiting     int     `json:"waiting"`     // chunks that no worker has
	Working     int     `json:"working"`     // chunks that a worker has
	Redelivered int     `json:"redelivered"` // of those, how many had been given to a worker before
	WorkBytes   int64   `json:"work_bytes"`  // on the server's disk
	ResultBytes int64   `json:"result_bytes"`
	Aside       []Aside `json:"aside,omitempty"` // pairs that could not be scored, so far
}

// Aside is a pair that could not be scored, and why.
type Aside struct {
	Index  int    `json:"index"` // of the pair, in the job
	Reason string `json:"reason"`
}

// PairsDone is about how many pairs have a result: chunks are of about the same size.
func (s *Status) PairsDone() int {
	if s.Job.Chunks == 0 {
		return 0
	}
	return int(float64(s.Job.Pairs) * float64(min(s.Done, s.Job.Chunks)) / float64(s.Job.Chunks))
}

// Finished says whether every pair of the job has a result.
func (s *Status) Finished() bool { return s.Job.Complete && s.Done >= s.Job.Chunks }

// Status says where a job stands. Errors: ErrNoJob, the server's.
func (c *Client) Status(ctx context.Context, name string) (*Status, error) {
	j, err := c.Job(ctx, name)
	if err != nil {
		return nil, err
	}
	s := &Status{Job: j}
	if err := c.fill(ctx, s); err != nil {
		return nil, fmt.Errorf("bulk: job %s: %w", name, err)
	}
	return s, nil
}

func (c *Client) fill(ctx context.Context, s *Status) error {
	work, err := c.js.Stream(ctx, workStream(s.Job.Name))
	if err != nil {
		return err
	}
	results, err := c.js.Stream(ctx, resultStream(s.Job.Name))
	if err != nil {
		return err
	}
	consumer, err := work.Consumer(ctx, consumerName)
	if err != nil {
		return err
	}
	info := consumer.CachedInfo()
	s.WorkBytes, s.Done = int64(work.CachedInfo().State.Bytes), int(results.CachedInfo().State.Msgs)
	s.ResultBytes = int64(results.CachedInfo().State.Bytes)
	s.Waiting, s.Working, s.Redelivered = int(info.NumPending), info.NumAckPending, info.NumRedelivered
	asides, err := c.asides(ctx, s.Job.Name)
	for _, a := range asides {
		s.Aside = append(s.Aside, Aside{a.Index, a.Reason})
	}
	slices.SortFunc(s.Aside, func(a, b Aside) int { return cmp.Compare(a.Index, b.Index) })
	return err
}

// Workers returns the workers that gave a sign of life lately, by name.
func (c *Client) Workers(ctx context.Context) ([]WorkerStatus, error) {
	keys, err := c.workers.Keys(ctx)
	if err != nil && !errors.Is(err, jetstream.ErrNoKeysFound) {
		return nil, fmt.Errorf("bulk: workers: %w", err)
	}
	var all []WorkerStatus
	for _, key := range keys {
		entry, err := c.workers.Get(ctx, key)
		if err != nil {
			continue // it left meanwhile
		}
		var s WorkerStatus
		if json.Unmarshal(entry.Value(), &s) == nil {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b WorkerStatus) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}
