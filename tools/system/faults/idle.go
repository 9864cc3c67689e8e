package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// idle opens thousands of connections that ask once and then stay idle. It wants other clients answered as quickly as
// without them, and all idle connections closed when their time is over.
func idle(ctx context.Context, o *options, c *corpus, s *running) (string, error) {
	without, err := loaded(ctx, c, s.base(), 1, 2*time.Second)
	if err != nil {
		return "", err
	}
	before, err := s.usage(ctx)
	if err != nil {
		return "", err
	}
	begin := time.Now()
	connections, err := openIdle(ctx, o.Connections, s.Address)
	defer func() {
		for _, conn := range connections {
			_ = conn.Close()
		}
	}()
	if err != nil {
		return "", err
	}
	opened := time.Since(begin)
	with, err := loaded(ctx, c, s.base(), 1, 2*time.Second)
	if err != nil {
		return "", err
	}
	during, err := s.usage(ctx)
	if err != nil {
		return "", err
	}
	closed, err := awaitClosed(connections)
	outcome := fmt.Sprintf("%d opened in %v; meanwhile %d descriptors, %.1f KB of memory each; p99 of one client %v, without them %v; closed %v after the last was opened",
		len(connections), opened.Round(10*time.Millisecond), int(during.descriptors), (during.residentBytes-before.residentBytes)/1e3/float64(len(connections)),
		with.p99(), without.p99(), closed.Round(100*time.Millisecond))
	switch {
	case err != nil:
		return outcome, err
	case int(during.descriptors) < len(connections):
		return outcome, fmt.Errorf("only %v descriptors are in use: some were closed before their time", during.descriptors)
	case with.p99() > 3*without.p99()+20*time.Millisecond:
		return outcome, errors.New("others are answered slowly")
	}
	return outcome, nil
}

// crowd opens and closes as many connections beforehand, so that memory that grows with their peak number has grown
// already: Go keeps the descriptors of ended goroutines, some 0.5 KB each, for new ones, and maps don't shrink.
func crowd(ctx context.Context, o *options, s *running) error {
	before, err := s.usage(ctx)
	if err != nil {
		return err
	}
	connections, err := openIdle(ctx, o.Connections, s.Address)
	for _, conn := range connections {
		err = errors.Join(err, conn.Close())
	}
	if err != nil {
		return err
	}
	before.heapBytes += 1e3 * float64(o.Connections)
	_, err = s.settled(ctx, before)
	return err
}

// openIdle opens connections, of which each asks once, so that it is idle and not new.
func openIdle(ctx context.Context, n int, address string) ([]net.Conn, error) {
	connections := make([]net.Conn, 0, n)
	var mu sync.Mutex // of connections
	const openers = 32
	err := many(openers, func(i int) error {
		for range (n + openers - 1 - i) / openers {
			conn, err := dial(ctx, address)
			if err != nil {
				return err
			}
			mu.Lock()
			connections = append(connections, conn)
			mu.Unlock()
			if _, err := io.WriteString(conn, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				return err
			}
			// Without a bufio.Reader: its buffer would be lost.
			answer := make([]byte, 4<<10)
			if got, err := conn.Read(answer); err != nil || string(answer[:min(got, 15)]) != "HTTP/1.1 200 OK" {
				return fmt.Errorf("%q, %w", answer[:got], err)
			}
		}
		return nil
	})
	return connections, err
}

// awaitClosed waits until the server has closed all connections, which it must not do before their time.
func awaitClosed(connections []net.Conn) (time.Duration, error) {
	begin := time.Now()
	for i, conn := range connections {
		if err := conn.SetDeadline(begin.Add(idleTimeout + 10*time.Second)); err != nil {
			return 0, err
		}
		if n, err := conn.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("connection %d was not closed in time, and quietly: %d bytes, %w", i, n, err)
		}
	}
	return time.Since(begin), nil
}

// readyStatus asks whether the server may be sent requests.
func readyStatus(ctx context.Context, base string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", http.NoBody)
	if err != nil {
		return 0, err
	}
	client := newClient(1)
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}
