package bulk

import (
	"context"
	"encoding/json"
	"sync"
	"time"
)

// WorkerStatus is a worker's report.
type WorkerStatus struct {
	Name           string    `json:"name"`
	Model          string    `json:"model"`
	Since          time.Time `json:"since"`
	Chunks         int       `json:"chunks"`           // with a result since then
	Pairs          int       `json:"pairs"`            // in them
	PairsPerSecond float64   `json:"pairs_per_second"` // over the last half minute or so
	ChunkSeconds   float64   `json:"chunk_seconds"`    // that the last chunk took
}

const (
	reportInterval = 2 * time.Second
	rateMemory     = 0.2 // weight of the newest interval in the rate
	goodbyeTimeout = time.Second
)

// tally holds the counts of a worker.
type tally struct {
	mu     sync.Mutex
	status WorkerStatus // guarded by mu
	marked time.Time    // guarded by mu: when the rate was last computed
	pairs  int          // guarded by mu: at that time
}

func (t *tally) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.status, t.marked, t.pairs = WorkerStatus{Since: now.UTC()}, now, 0
}

func (t *tally) add(pairs int, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.Chunks++
	t.status.Pairs += pairs
	t.status.ChunkSeconds = took.Seconds()
}

// read returns the counts, with the rate brought up to date.
func (t *tally) read() WorkerStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if elapsed := now.Sub(t.marked).Seconds(); elapsed > 0 {
		rate := float64(t.status.Pairs-t.pairs) / elapsed
		if t.status.PairsPerSecond > 0 {
			rate = rateMemory*rate + (1-rateMemory)*t.status.PairsPerSecond
		}
		t.status.PairsPerSecond, t.marked, t.pairs = rate, now, t.status.Pairs
	}
	return t.status
}

// report tells the fleet that the worker is alive.
func (w *Worker) report(ctx context.Context) {
	for {
		status := w.tally.read()
		status.Name, status.Model = w.Name, w.Model
		if value, err := json.Marshal(status); err == nil {
			try, cancel := context.WithTimeout(ctx, reportInterval)
			_, _ = w.Client.workers.Put(try, w.Name, value) // if it fails, only status lacks it
			cancel()
		}
		if wait(ctx, reportInterval) != nil {
			return
		}
	}
}

// sayGoodbye takes the worker off the list.
func (w *Worker) sayGoodbye() {
	ctx, cancel := context.WithTimeout(context.Background(), goodbyeTimeout)
	defer cancel()
	_ = w.Client.workers.Purge(ctx, w.Name) // its entry would expire
}
