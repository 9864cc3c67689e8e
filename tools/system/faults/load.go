package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// patience bounds everything that a client waits for.
const patience = 30 * time.Second

// newClient returns a client with one connection, which it shares with no other.
func newClient() *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConns: 1, DisableCompression: true}}
}

// counts are the outcomes of clients' requests.
type counts struct {
	mu        sync.Mutex
	right     int         // answers; guarded by mu, like the others
	refused   map[int]int // refusals, by status
	broken    int         // requests without an answer
	durations []time.Duration
	wrong     error // the first
}

func (c *counts) add(status int, err error, elapsed time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil && status != 0:
		c.wrong = errors.Join(c.wrong, err)
	case status == 0:
		c.broken++
	case status == http.StatusOK:
		c.right++
		c.durations = append(c.durations, elapsed)
	default:
		if c.refused == nil {
			c.refused = map[int]int{}
		}
		c.refused[status]++
	}
}

// p99 of the answers' times.
func (c *counts) p99() time.Duration {
	if len(c.durations) == 0 {
		return 0
	}
	slices.Sort(c.durations)
	return c.durations[len(c.durations)*99/100].Round(100 * time.Microsecond)
}

// load has clients ask for duration, each again when it has its answer, and wants every request answered, and right.
func load(ctx context.Context, c *corpus, base string, clients int, duration time.Duration) (*counts, error) {
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	met := &counts{}
	var group sync.WaitGroup
	for range clients {
		group.Go(func() { steady(ctx, c, base, met) })
	}
	group.Wait()
	if met.wrong != nil {
		return met, met.wrong
	}
	if met.broken > 0 || len(met.refused) > 0 || met.right == 0 {
		return met, fmt.Errorf("of well-behaved requests, %d were answered, %d were not, and refused were, by status, %v",
			met.right, met.broken, met.refused)
	}
	return met, nil
}

// steady asks until ctx ends, and then finishes the request in flight.
func steady(ctx context.Context, c *corpus, base string, met *counts) {
	client := newClient()
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		a, begin := c.ask(), time.Now()
		status, err := a.send(context.WithoutCancel(ctx), client, base)
		met.add(status, err, time.Since(begin))
	}
}

// beside runs load beside misbehaviour, for as long as that takes.
func beside(ctx context.Context, c *corpus, base string, misbehave func() error) (*counts, error) {
	ctx, cancel := context.WithCancel(ctx)
	var (
		met     *counts
		loadErr error
		done    = make(chan struct{})
	)
	go func() {
		defer close(done)
		met, loadErr = load(ctx, c, base, 4, 10*patience)
	}()
	err := misbehave()
	cancel()
	<-done
	return met, errors.Join(err, loadErr)
}
