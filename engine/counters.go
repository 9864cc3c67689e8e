package engine

import "time"

// Counters are what an Engine has done since it was opened, and what is in it now.
type Counters struct {
	Requests  uint64 // answered with scores
	Refused   uint64 // over a limit
	Cancelled uint64 // whose context ended before their scores were there
	Expired   uint64 // whose deadline passed while they waited
	Failed    uint64 // that met an error of the tokenizer or the backend
	Pairs     uint64 // scored, whether or not anybody still wanted them
	Tokens    uint64 // in those pairs, special tokens included

	Batches       uint64
	FailedBatches uint64
	Reopened      uint64        // times that a backend was opened again after it had failed
	Busy          time.Duration // that devices had batches of this model, all devices together

	UnderWay    int // requests that are not answered
	QueueTokens int // tokens that wait for a device

	CacheHits, CacheMisses uint64 // of texts whose tokens were wanted
	CacheBytes             int    // that the token cache holds
}

// BatchStats describe one batch when it has run.
type BatchStats struct {
	Device       string // as "cpu/0"
	ID           uint64 // counts the device's batches
	Tokens       int
	Sequences    int
	Requests     int
	Began, Ended time.Time // from packing to results
	// Busy is how long the device had it: less than Ended minus Began where the batch before it was still running.
	Busy  time.Duration
	Err   error
	Stack []byte // where the backend panicked; nil unless it did
}

func (c *Counters) add(b *BatchStats) {
	c.Batches++
	c.Busy += b.Busy
	if b.Err != nil {
		c.FailedBatches++
		return
	}
	c.Pairs += uint64(b.Sequences)
	c.Tokens += uint64(b.Tokens)
}

// Counters returns a snapshot.
func (e *Engine) Counters() Counters {
	e.dispatcher.mu.Lock()
	c := e.counters
	c.UnderWay, c.QueueTokens = e.queue.Requests(), e.queue.Tokens()
	e.dispatcher.mu.Unlock()
	c.CacheHits, c.CacheMisses, c.CacheBytes = e.tokens.stats()
	return c
}
