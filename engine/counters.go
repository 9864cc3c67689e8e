package engine

import "time"

// Counters count the work that an Engine has done since it was opened, and the work in flight.
type Counters struct {
	Requests  uint64 // answered with scores
	Refused   uint64 // over a limit
	Cancelled uint64 // the context ended before the scores were there
	Expired   uint64 // the deadline passed in the queue
	Failed    uint64 // by an error of the tokenizer or the backend
	Pairs     uint64 // scored; those of a cancelled request count if its batch ran to the end
	Tokens    uint64 // computed for those pairs, special tokens included
	// SavedTokens are not in Tokens: those of a prompt and a query are computed once for several pairs of a batch, where model
	// and backend can share them.
	SavedTokens uint64
	Operations  float64 // floating-point operations that those pairs took, by the model's shape

	Batches       uint64
	FailedBatches uint64
	Reopened      uint64        // times that a backend was opened again after it had failed
	Busy          time.Duration // device time of this model's batches, all devices together

	UnderWay    int // requests not answered yet
	QueueTokens int // tokens waiting for a device
	// QueueTime is how long the devices take for these, as they are shared now, and BatchTime for a full batch of the model
	// alone; 0 before the first batch.
	QueueTime, BatchTime time.Duration

	CacheHits, CacheMisses uint64 // lookups of a text's tokens
	CacheBytes             int    // that the token cache holds
}

// BatchStats describe one batch when it has run.
type BatchStats struct {
	Device       string  // as "cpu/0"
	ID           uint64  // counts the device's batches
	Tokens       int     // computed
	SavedTokens  int     // as in Counters
	Operations   float64 // likewise
	Sequences    int
	Requests     int
	Began, Ended time.Time // from packing to results
	// Busy is how long the device had it: less than Ended minus Began where the batch before it was still running.
	Busy time.Duration
	Err  error
	// GivenUp says that all its requests were cancelled, so that it was told to end early. Then Err is nil.
	GivenUp bool
	Fault   error  // of the device, after which the batch ran again; nil: none
	Stack   []byte // where the backend panicked; nil unless it did
}

func (c *Counters) add(b *BatchStats) {
	c.Batches++
	c.Busy += b.Busy
	if b.Err != nil {
		c.FailedBatches++
		return
	}
	if b.GivenUp {
		return
	}
	c.Pairs += uint64(b.Sequences)
	c.Tokens += uint64(b.Tokens)
	c.SavedTokens += uint64(b.SavedTokens)
	c.Operations += b.Operations
}

// Counters returns a snapshot.
func (e *Engine) Counters() Counters {
	e.dispatcher.mu.Lock()
	c := e.counters
	c.UnderWay, c.QueueTokens, c.QueueTime, c.BatchTime = e.queue.Requests(), e.queue.Tokens(), e.queue.Wait(), e.queue.BatchTime()
	e.dispatcher.mu.Unlock()
	c.CacheHits, c.CacheMisses, c.CacheBytes = e.tokens.stats()
	return c
}
