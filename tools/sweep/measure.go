package main

import (
	"context"
	"hash/fnv"
	"time"

	"github.com/metalrank/metalrank/internal/record"
	"github.com/metalrank/metalrank/tools/sweep/dataset"
	"github.com/metalrank/metalrank/tools/sweep/load"
	"github.com/metalrank/metalrank/tools/sweep/target"
)

// settle lets the threads of the previous system fall asleep: runtimes spin for a few milliseconds after work.
const settle = 100 * time.Millisecond

// measurement is of one cell.
type measurement struct {
	*sweep

	job            *job
	batch, clients int
	set            *dataset.Set
}

// requests returns the requests of the cell, which blocks share. Each block has at least one for every client, so that
// the load has the stated concurrency.
func (m *measurement) requests(blocks int) ([]dataset.Request, error) {
	n := m.job.Requests
	if m.command.Quick && m.command.Requests == 0 {
		n = min(n, quickRequests*m.clients)
	}
	if blocks > 1 {
		n = max(n, blocks*m.clients)
	}
	return m.set.Requests(n, m.batch, m.stream())
}

// stream returns a number that gives each cell its own texts, so that none is in a cache already.
func (m *measurement) stream() uint64 {
	hash := fnv.New64a()
	for _, n := range []int{m.batch, m.clients, m.job.Requests} {
		_, _ = hash.Write([]byte{byte(n), byte(n >> 8), byte(n >> 16)})
	}
	if m.job.batching.On {
		_, _ = hash.Write([]byte{1})
	}
	_, _ = hash.Write([]byte(m.job.experiment.Name))
	return hash.Sum64()
}

// measure returns a cell for each target and, of two, their comparison. A nil target's cell has its table's error.
func (m *measurement) measure(ctx context.Context, targets []target.Target, tables []*record.Table) ([]*record.Cell, *record.Comparison, error) {
	blocks := 1
	if m.live(targets) == 2 {
		blocks = m.command.Repeats
	}
	requests, err := m.requests(blocks)
	if err != nil {
		return nil, nil, err
	}
	lengths := m.set.Lengths(requests, m.job.experiment.MaxLength)
	cells := make([]*record.Cell, len(targets))
	for i, t := range targets {
		cells[i] = &record.Cell{Batch: m.batch, Concurrency: m.clients, Loop: record.Closed, Rate: m.command.Rate}
		if m.command.Rate > 0 {
			cells[i].Loop = record.Open
		}
		if t == nil {
			*cells[i] = record.Cell{Batch: m.batch, Concurrency: m.clients, Error: tables[i].Error}
			continue
		}
		cells[i].Lengths = lengths
		if err := m.warmUp(ctx, t); err != nil && ctx.Err() == nil {
			*cells[i] = record.Cell{Batch: m.batch, Concurrency: m.clients, Error: "warming up: " + err.Error()}
		}
	}
	speeds := make([][]float64, len(targets)) // of each block
	bar := m.newProgress(m.job, m.batch, m.clients, len(requests)*m.batch*m.live(targets))
	for block := range blocks {
		part := requests[block*len(requests)/blocks : (block+1)*len(requests)/blocks]
		for turn := range targets {
			i := (turn + block) % len(targets) // the targets take turns at going first
			if cells[i].Error != "" || ctx.Err() != nil {
				continue
			}
			time.Sleep(settle)
			plan := load.Plan{Clients: m.clients, Rate: m.command.Rate, Limit: m.command.Limit}
			speeds[i] = append(speeds[i], m.add(cells[i], part, runLoad(ctx, targets[i], part, plan, bar.add)))
		}
	}
	bar.finish()
	for _, c := range cells {
		if c.Error == "" {
			c.Summarize()
		}
	}
	if len(targets) < 2 {
		return cells, nil, nil
	}
	return cells, m.compare(cells, speeds, tables), nil
}

// live counts the targets that are not nil.
func (*measurement) live(targets []target.Target) int {
	n := 0
	for _, t := range targets {
		if t != nil {
			n++
		}
	}
	return n
}

// warmUp sends requests that are not measured, with texts that don't come again.
func (m *measurement) warmUp(ctx context.Context, t target.Target) error {
	n := m.job.experiment.WarmupFor(m.clients)
	requests, err := m.set.Requests(n, m.batch, ^m.stream())
	if err != nil {
		return err
	}
	result := runLoad(ctx, t, requests, load.Plan{Clients: m.clients}, func(int) {})
	if len(result.Latencies) == 0 {
		return result.Err
	}
	return nil
}

// runLoad sends requests to a target. It calls answered for each answer with its number of documents.
func runLoad(
	ctx context.Context, t target.Target, requests []dataset.Request, plan load.Plan, answered func(documents int),
) load.Result {
	plan.Count = len(requests)
	plan.Send = func(ctx context.Context, i int) error {
		_, err := t.Score(ctx, requests[i].Query, requests[i].Documents)
		if err == nil {
			answered(len(requests[i].Documents))
		}
		return err
	}
	return load.Run(ctx, plan)
}

// add adds the result of a block of requests to the cell, and returns the block's pairs per second.
func (*measurement) add(c *record.Cell, requests []dataset.Request, result load.Result) float64 {
	c.Failed += result.Failed
	if len(result.Latencies) == 0 {
		if result.Err != nil {
			*c = record.Cell{Batch: c.Batch, Concurrency: c.Concurrency, Error: result.Err.Error()}
		}
		return 0
	}
	c.Latencies = append(c.Latencies, result.Latencies...)
	c.Seconds += result.Seconds
	pairs := 0
	for _, i := range result.Answered {
		pairs += len(requests[i].Documents)
	}
	return float64(pairs) / result.Seconds
}
