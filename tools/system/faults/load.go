package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/metalrank/metalrank/tools/sweep/load"
)

// patience bounds everything that a client waits for.
const patience = 30 * time.Second

// newClient returns a client that keeps connections for so many requests at once.
func newClient(connections int) *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}}
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

// loaded has clients ask for duration, each again when it has its answer, and wants every request answered, and right.
func loaded(ctx context.Context, c *corpus, base string, clients int, duration time.Duration) (*outcomes, error) {
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	results := &outcomes{}
	steady(ctx, c, base, clients, results)
	if results.wrong != nil {
		return results, results.wrong
	}
	if results.broken > 0 || len(results.refused) > 0 || results.right == 0 {
		return results, fmt.Errorf(
			"of well-behaved requests, %d were answered, %d were not, and refused were, by status, %v", results.right, results.broken, results.refused)
	}
	return results, nil
}

// steady has clients ask until the server is gone or ctx ends, and then finish the requests in flight.
func steady(ctx context.Context, c *corpus, base string, clients int, results *outcomes) {
	ctx, gone := context.WithCancel(ctx)
	defer gone()
	sendAll(ctx, clients, func(ctx context.Context, client *http.Client) {
		a, begin := c.ask(), time.Now()
		status, err := a.send(ctx, client, base)
		results.add(status, err, time.Since(begin))
		if errors.Is(err, syscall.ECONNREFUSED) {
			gone()
		}
	})
}

// sendAll has clients call send until ctx ends, and waits for the calls in flight.
func sendAll(ctx context.Context, clients int, send func(ctx context.Context, client *http.Client)) {
	client := newClient(clients)
	defer client.CloseIdleConnections()
	load.Run(ctx, load.Plan{Count: math.MaxInt, Clients: clients, Finish: true, Send: func(ctx context.Context, _ int) error {
		send(ctx, client)
		return nil // outcomes are the business of send
	}})
}

// loadDuring loads the server beside misbehaviour, for as long as that takes.
func loadDuring(ctx context.Context, c *corpus, base string, misbehave func() error) (*outcomes, error) {
	ctx, cancel := context.WithCancel(ctx)
	var (
		results *outcomes
		loadErr error
		done    = make(chan struct{})
	)
	go func() {
		defer close(done)
		results, loadErr = loaded(ctx, c, base, 4, 10*patience)
	}()
	err := misbehave()
	cancel()
	<-done
	return results, errors.Join(err, loadErr)
}
