package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"syscall"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/metalrank/metalrank/tools/system/server"
)

// running is a running metalrank.
type running struct {
	*server.Server

	answered int // lines of the access log with status 200 of /rerank; to be read once it has ended
}

func (s *running) base() string { return "http://" + s.Address }

var logAnswered = regexp.MustCompile(`msg=request .*path=/rerank status=200`)

// startServer starts the program and returns once it has said where it listens.
func startServer(ctx context.Context, program, listen string, flags ...string) (*running, error) {
	// idle opens 10,000 connections, and others some more.
	flags = append([]string{"serve", "--listen", listen, "--max-connections", "20000"}, flags...)
	command := exec.Command(program, flags...) //nolint:noctx // it is ended by signals
	s := &running{}
	var err error
	s.Server, err = server.Start(ctx, command, func(line string) {
		if logAnswered.MatchString(line) {
			s.answered++
		}
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// usage has the resources that a server holds. The heap is measured after a collection. Resident memory is for the reader
// alone: Go decides when it returns unused memory.
type usage struct{ goroutines, descriptors, heapBytes, residentBytes float64 }

func (u usage) String() string {
	return fmt.Sprintf("%.0f goroutines, %.0f descriptors, heap %.1f MB, resident %.0f MB", u.goroutines, u.descriptors, u.heapBytes/1e6, u.residentBytes/1e6)
}

// usage asks the admin listener, after a collection of garbage.
func (s *running) usage(ctx context.Context) (usage, error) {
	client := newClient(1)
	defer client.CloseIdleConnections()
	for range 2 { // pools release their items in two collections
		if _, err := get(ctx, client, "http://"+s.Admin+"/debug/pprof/heap?gc=1"); err != nil {
			return usage{}, err
		}
	}
	text, err := get(ctx, client, "http://"+s.Admin+"/metrics")
	if err != nil {
		return usage{}, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return usage{}, err
	}
	var values [4]float64
	for i, name := range [...]string{"go_goroutines", "process_open_fds", "go_memstats_heap_alloc_bytes", "process_resident_memory_bytes"} {
		metrics := families[name].GetMetric()
		if len(metrics) != 1 {
			return usage{}, fmt.Errorf("/metrics has %d of %s, want 1", len(metrics), name)
		}
		values[i] = metrics[0].GetGauge().GetValue()
	}
	return usage{values[0], values[1], values[2], values[3]}, nil
}

func get(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d", address, response.StatusCode)
	}
	return body, err
}

const (
	// settleTimeout is how long a server may take to let go: fasthttp keeps idle workers for ten seconds.
	settleTimeout = 30 * time.Second
	spareHeap     = 4e6 // bytes: the variation of a busy server's heap
	spareOthers   = 4
)

// settled waits until the server holds no more than before.
func (s *running) settled(ctx context.Context, before usage) (usage, error) {
	before.goroutines += spareOthers
	before.descriptors += spareOthers
	before.heapBytes += spareHeap
	for deadline := time.Now().Add(settleTimeout); ; time.Sleep(250 * time.Millisecond) {
		now, err := s.usage(ctx)
		if err != nil {
			return usage{}, err
		}
		if now.goroutines <= before.goroutines && now.descriptors <= before.descriptors && now.heapBytes <= before.heapBytes {
			return now, nil
		}
		if time.Now().After(deadline) {
			return now, fmt.Errorf("%v after it, the server holds more than before", settleTimeout)
		}
	}
}

const (
	readTimeout = 2 * time.Second
	idleTimeout = 15 * time.Second
)

// withServer runs a case with a server of its own that is warm, and wants it to hold as much afterwards as before, and
// to end well. Beforehand the server gets load, and then warm; nil: load alone.
func withServer(
	warm func(ctx context.Context, o *options, s *running) error,
	run func(ctx context.Context, o *options, c *corpus, s *running) (string, error),
) func(context.Context, *options, *corpus) (string, error) {
	return func(ctx context.Context, o *options, c *corpus) (outcome string, err error) {
		s, err := startServer(ctx, o.Server, "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
			"--read-timeout", readTimeout.String(), "--idle-timeout", idleTimeout.String())
		if err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, s.End(syscall.SIGTERM)) }()
		if _, err := loaded(ctx, c, s.base(), 16, time.Second); err != nil { // fills pools and caches
			return "", err
		}
		if warm != nil {
			if err := warm(ctx, o, s); err != nil {
				return "", err
			}
		}
		before, err := s.usage(ctx)
		if err != nil {
			return "", err
		}
		if outcome, err = run(ctx, o, c, s); err != nil {
			return outcome, err
		}
		after, err := s.settled(ctx, before)
		return fmt.Sprintf("%s; before: %v; after: %v", outcome, before, after), err
	}
}
