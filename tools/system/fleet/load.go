package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/metalrank/metalrank/tools/sweep/load"
	"github.com/metalrank/metalrank/tools/system/fleet/oracle"
)

// clientTimeout is how long a client waits until it calls a request lost. It is more than HAProxy gives a node.
const clientTimeout = 60 * time.Second

// tally counts the outcomes of requests.
type tally struct {
	mu        sync.Mutex
	latencies []time.Duration // of those answered; guarded by mu, as is all that follows
	answered  map[string]int  // by model
	wrong     int             // answers that no model gives
	lost      int             // no answer, or a refusal
	first     error           // of the wrong and the lost
}

func newTally() *tally { return &tally{answered: map[string]int{}} }

func (t *tally) add(model string, took time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.answered[model]++
		t.latencies = append(t.latencies, took)
		return
	case errors.Is(err, errWrong):
		t.wrong++
	default:
		t.lost++
	}
	if t.first == nil {
		t.first = err
	}
}

// quantile returns a quantile of the latencies; p from 0 to 1.
func (t *tally) quantile(p float64) time.Duration {
	if len(t.latencies) == 0 {
		return 0
	}
	slices.Sort(t.latencies)
	return t.latencies[min(int(p*float64(len(t.latencies))), len(t.latencies)-1)]
}

var errWrong = errors.New("wrong answer")

// client sends requests, no two of which are the same.
type client struct {
	http   http.Client
	models []string // that an answer may be of
	serial atomic.Int64
}

func newClient(models ...string) *client {
	transport := &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	return &client{http: http.Client{Transport: transport, Timeout: clientTimeout}, models: models}
}

type question struct {
	Query string   `json:"query"`
	Texts []string `json:"texts"`
}

type result struct {
	Index int     `json:"index"`
	Score float64 `json:"score"`
}

// ask sends one request, and returns the model that gave the answer.
func (c *client) ask(ctx context.Context, documents int) (model string, err error) {
	n := c.serial.Add(1)
	q := question{Query: fmt.Sprintf("query %d", n)}
	for i := range documents {
		q.Texts = append(q.Texts, fmt.Sprintf("document %d of %d", i, n))
	}
	body, err := json.Marshal(&q)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, front+"/rerank", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	id := fmt.Sprintf("fleet-%d", n)
	request.Header.Set("X-Request-Id", id)
	request.GetBody = nil // no second try of the client's own
	response, err := c.http.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", response.Status, text)
	}
	if got := response.Header.Get("X-Request-Id"); got != id {
		return "", fmt.Errorf("%w: request %s has the id %q", errWrong, id, got)
	}
	return c.judge(&q, text)
}

// judge finds the model that gives these scores: all of them, of every document once.
func (c *client) judge(q *question, text []byte) (string, error) {
	var results []result
	if err := json.Unmarshal(text, &results); err != nil {
		return "", fmt.Errorf("%w: %w", errWrong, err)
	}
	if len(results) != len(q.Texts) {
		return "", fmt.Errorf("%w: %d results for %d documents", errWrong, len(results), len(q.Texts))
	}
	for _, model := range c.models {
		right, seen := true, map[int]bool{}
		for _, r := range results {
			right = right && r.Index >= 0 && r.Index < len(q.Texts) && !seen[r.Index] &&
				r.Score == oracle.Score(model, q.Query, q.Texts[r.Index])
			seen[r.Index] = true
		}
		if right {
			return model, nil
		}
	}
	return "", fmt.Errorf("%w: to %q: %s", errWrong, q.Query, text)
}

// send sends requests as the plan says, as many as there is time for, and waits for all of their answers.
func (c *client) send(ctx context.Context, plan load.Plan, documents int, t *tally) load.Result {
	plan.Count = math.MaxInt
	plan.Send = func(ctx context.Context, _ int) error {
		begin := time.Now()
		model, err := c.ask(context.WithoutCancel(ctx), documents)
		t.add(model, time.Since(begin), err)
		return err
	}
	return load.Run(ctx, plan)
}
