package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// reloading serves a model that is unloaded after a moment without requests, so that requests meet its reloading.
func reloading(ctx context.Context, o *options, c *corpus) (outcome string, err error) {
	s, err := startServer(ctx, o.Server, "127.0.0.1:0", "--idle-after", "50ms")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.End(syscall.SIGTERM)) }()
	right, rounds := 0, 0
	for end := time.Now().Add(o.Load); time.Now().Before(end); rounds++ {
		results, err := loaded(ctx, c, s.base(), 8, 100*time.Millisecond)
		if err != nil {
			return "", err
		}
		right += results.right
		time.Sleep(time.Duration(20+rand.IntN(120)) * time.Millisecond)
	}
	return fmt.Sprintf("%d bursts of 8 clients, %d right answers, none refused", rounds, right), nil
}

const (
	drainDelay = 500 * time.Millisecond
	// stopBound is how long a server under this load may take to stop: the delay, and the requests in flight.
	stopBound = drainDelay + 5*time.Second
)

// terminated sends SIGTERM, again and again, to servers under load. Clients must get as many right answers as a
// server's log has lines of answered requests.
func terminated(ctx context.Context, o *options, c *corpus) (string, error) {
	rounds, right, broken := 0, 0, 0
	var slowest time.Duration
	for end := time.Now().Add(o.Load); time.Now().Before(end); rounds++ {
		results, took, err := terminate(ctx, o, c)
		if err != nil {
			return "", err
		}
		right, broken, slowest = right+results.right, broken+results.broken, max(slowest, took)
	}
	return fmt.Sprintf("%d servers stopped, each with status 0 within %v; %d requests accepted and all answered right, %d found the door closed",
		rounds, slowest.Round(10*time.Millisecond), right, broken), nil
}

func terminate(ctx context.Context, o *options, c *corpus) (results *outcomes, took time.Duration, err error) {
	s, err := startServer(ctx, o.Server, "127.0.0.1:0", "--drain-delay", drainDelay.String(), "--access-log-share", "1")
	if err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results = &outcomes{}
	var group sync.WaitGroup
	group.Go(func() { steady(ctx, c, s.base(), 16, results) })
	time.Sleep(time.Duration(200+rand.IntN(300)) * time.Millisecond)
	begin, ended := time.Now(), make(chan error, 1)
	go func() { ended <- s.End(syscall.SIGTERM) }()
	time.Sleep(drainDelay / 2)
	if status, err := readyStatus(ctx, s.base()); err != nil || status != http.StatusServiceUnavailable {
		return results, 0, errors.Join(fmt.Errorf("/readyz of a server that stops: %d, %w", status, err), <-ended)
	}
	if err := <-ended; err != nil {
		return results, 0, err
	}
	took = time.Since(begin)
	cancel()
	group.Wait()
	switch {
	case results.wrong != nil:
		return results, took, results.wrong
	case took > stopBound:
		return results, took, fmt.Errorf("stopping took %v, want %v at most", took, stopBound)
	case len(results.refused) > 0:
		return results, took, fmt.Errorf("refused, by status: %v", results.refused)
	case results.right != s.answered || results.right == 0:
		return results, took, fmt.Errorf("the server answered %d requests, and clients have %d answers", s.answered,
			results.right)
	}
	return results, took, nil
}

// killed kills servers with SIGKILL and starts others in their place, while clients repeat each request until it is
// answered: every request is answered in the end, and right.
func killed(ctx context.Context, o *options, c *corpus) (string, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := &outcomes{}
	var group sync.WaitGroup
	group.Go(func() { retrying(ctx, c, "http://"+address, 16, results) })
	kills, killErr := killAgain(ctx, o, address)
	s, err := startServer(ctx, o.Server, address) // clients that still wait get their answers
	cancel()
	group.Wait()
	if err == nil {
		err = s.End(syscall.SIGTERM)
	}
	outcome := fmt.Sprintf("%d servers killed; %d requests answered right, %d tries cut off and made again", kills,
		results.right, results.broken)
	switch err := errors.Join(killErr, err, results.wrong); {
	case err != nil:
		return outcome, err
	case len(results.refused) > 0:
		return outcome, fmt.Errorf("refused, by status: %v", results.refused)
	case results.right == 0 || results.broken == 0 || kills == 0:
		return outcome, errors.New("nothing was tested")
	}
	return outcome, nil
}

func killAgain(ctx context.Context, o *options, address string) (kills int, err error) {
	for end := time.Now().Add(o.Kills); time.Now().Before(end); kills++ {
		s, err := startServer(ctx, o.Server, address)
		if err != nil {
			return kills, err
		}
		time.Sleep(time.Duration(100+rand.IntN(900)) * time.Millisecond)
		if err := s.End(os.Kill); err != nil {
			return kills, err
		}
	}
	return kills, nil
}

// retrying has clients repeat each request until it is answered, however often the server is killed meanwhile.
func retrying(ctx context.Context, c *corpus, base string, clients int, results *outcomes) {
	sendAll(ctx, clients, func(finishing context.Context, client *http.Client) {
		a, begin := c.ask(), time.Now()
		for {
			status, err := a.send(finishing, client, base)
			if !errors.Is(err, syscall.ECONNREFUSED) { // that was not a try
				results.add(status, err, time.Since(begin))
			}
			if status != 0 || (ctx.Err() != nil && time.Since(begin) > patience) {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
}

// freeAddress returns an address that no process listens on, below the range of the system's ports for clients.
func freeAddress(ctx context.Context) (string, error) {
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err == nil {
			return address, ln.Close()
		}
	}
	return "", errors.New("no free port was found")
}
