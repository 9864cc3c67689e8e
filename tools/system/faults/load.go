package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"
)

// patience bounds everything that a client waits for.
const patience = 30 * time.Second

// newClient returns a client with one connection, which it shares with no other.
func newClient() *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConns: 1, DisableCompression: true}}
}

// outcomes counts the outcomes of clients' requests.
type outcomes struct {
	mu        sync.Mutex
	right     int         // answers; guarded by mu, like the others
	refused   map[int]int // refusals, by status
	broken    int         // requests without an answer
	durations []time.Duration
	wrong     error // the first
}

func (o *outcomes) add(status int, err error, elapsed time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err != nil && status != 0:
		o.wrong = errors.Join(o.wrong, err)
	case status == 0:
		o.broken++
	case status == http.StatusOK:
		o.right++
		o.durations = append(o.durations, elapsed)
	default:
		if o.refused == nil {
			o.refused = map[int]int{}
		}
		o.refused[status]++
	}
}

// p99 of the answers' times.
func (o *outcomes) p99() time.Duration {
	if len(o.durations) == 0 {
		return 0
	}
	slices.Sort(o.durations)
	return o.durations[len(o.durations)*99/100].Round(100 * time.Microsecond)
}

// load has clients ask for duration, each again when it has its answer, and wants every request answered, and right.
func load(ctx context.Context, c *corpus, base string, clients int, duration time.Duration) (*outcomes, error) {
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	results := &outcomes{}
	var group sync.WaitGroup
	for range clients {
		group.Go(func() { steady(ctx, c, base, results) })
	}
	group.Wait()
	if results.wrong != nil {
		return results, results.wrong
	}
	if results.broken > 0 || len(results.refused) > 0 || results.right == 0 {
		return results, fmt.Errorf(
			"of well-behaved requests, %d were answered, %d were not, and refused were, by status, %v", results.right, results.broken, results.refused)
	}
	return results, nil
}

// steady asks until the server is gone or ctx ends, and then finishes the request in flight.
func steady(ctx context.Context, c *corpus, base string, results *outcomes) {
	client := newClient()
	defer client.CloseIdleConnections()
	for ctx.Err() == nil {
		a, begin := c.ask(), time.Now()
		status, err := a.send(context.WithoutCancel(ctx), client, base)
		results.add(status, err, time.Since(begin))
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
	}
}

// loadDuring runs load beside misbehaviour, for as long as that takes.
func loadDuring(ctx context.Context, c *corpus, base string, misbehave func() error) (*outcomes, error) {
	ctx, cancel := context.WithCancel(ctx)
	var (
		results *outcomes
		loadErr error
		done    = make(chan struct{})
	)
	go func() {
		defer close(done)
		results, loadErr = load(ctx, c, base, 4, 10*patience)
	}()
	err := misbehave()
	cancel()
	<-done
	return results, errors.Join(err, loadErr)
}
