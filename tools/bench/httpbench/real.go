package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/httpapi"
	"github.com/metalrank/metalrank/weights/builtin"
)

// benchReal compares requests over HTTP with calls of the engine, both from as many callers, with the embedded model.
func benchReal(ctx context.Context, o *options, folder string, stdout, stderr io.Writer) (err error) {
	e, err := engine.Open(ctx, engine.Config{Embedded: builtin.Open})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	w := workload{"embedded model, 4 × 8 words", "/rerank",
		body(rand.New(rand.NewPCG(seed, seed)), "texts", 4, 8, "abcdefghijklmnopqrstuvwxyz")}
	var texts struct {
		Query string   `json:"query"`
		Texts []string `json:"texts"`
	}
	if err := json.Unmarshal([]byte(w.body), &texts); err != nil {
		return fmt.Errorf("BUG: %w", err)
	}
	server, err := httpapi.New(httpapi.Single(e), httpapi.Config{})
	if err != nil {
		return err
	}
	s := &servers{}
	defer s.stop()
	if s.ours, err = s.listen(ctx, server.Serve, server.Shutdown); err != nil {
		return err
	}
	script := filepath.Join(folder, "real.lua")
	if err := os.WriteFile(script, []byte(w.script()), 0o600); err != nil {
		return err
	}
	var inProcess, overHTTP, shares []float64
	for round := range o.Rounds {
		fmt.Fprintf(stderr, "httpbench: %s, round %d of %d\n", w.name, round+1, o.Rounds)
		direct, err := callEngine(ctx, e, o, texts.Query, texts.Texts)
		if err != nil {
			return err
		}
		m, err := load(ctx, o, script, s.ours, w.path, o.Threads, o.Callers)
		if err != nil {
			return err
		}
		inProcess, overHTTP, shares = append(inProcess, direct), append(overHTTP, m.rate), append(shares, m.rate/direct)
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "\nworkload\tcallers\tengine alone, requests/s\tover HTTP\tshare\t\n%s\t%d\t%.1f\t%.1f\t%.0f %%\t\n",
		w.name, o.Callers, median(inProcess), median(overHTTP), 100*median(shares))
	return table.Flush()
}

// callEngine reranks from several goroutines for as long as a measurement takes, and returns calls per second.
func callEngine(ctx context.Context, e *engine.Engine, o *options, query string, texts []string) (float64, error) {
	var (
		calls atomic.Int64
		group sync.WaitGroup
		fault = make(chan error, o.Callers)
	)
	begin := time.Now()
	for range o.Callers {
		group.Go(func() {
			for time.Since(begin) < o.Duration {
				if _, err := e.Rerank(ctx, query, texts, engine.Options{}); err != nil {
					fault <- err
					return
				}
				if time.Since(begin) <= o.Duration { // as wrk counts
					calls.Add(1)
				}
			}
		})
	}
	group.Wait()
	select {
	case err := <-fault:
		return 0, err
	default:
		return float64(calls.Load()) / o.Duration.Seconds(), nil
	}
}
