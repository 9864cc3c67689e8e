package schedule

import "time"

// Batch is the sequences of one forward pass.
type Batch struct {
	Spans     []Span // one a request
	Tokens    int
	Sequences int
	// Work is that of the sequences; see Limits.
	Work float64
	// ID counts the batches of a device, from 1.
	ID uint64
	// Expired are requests that Next found to be past their deadline and dropped. They are in no span.
	Expired []*Request
	// Queue is where the spans come from.
	Queue *Queue

	attachment *attachment
	started    time.Duration
	charged    float64 // to the model before the time was known
}

// Span is the sequences From to To of a request.
type Span struct {
	Request  *Request
	From, To int
}

// Began is when Next gave the batch out.
func (b *Batch) Began() time.Duration { return b.started }

func (b *Batch) reset() {
	clear(b.Spans) // a batch that is kept must not keep requests
	clear(b.Expired)
	*b = Batch{Spans: b.Spans[:0], Expired: b.Expired[:0]}
}

// add moves a request's waiting sequences before index to into the batch.
func (b *Batch) add(r *Request, to, tokens int, work float64) {
	b.Spans = append(b.Spans, Span{r, r.next, to})
	if r.batches == 0 {
		r.started, r.firstRun = b.started, b.ID
	}
	r.batches++
	b.Tokens += tokens
	b.Work += work
	b.Sequences += to - r.next
	r.running += to - r.next
	r.tokens -= tokens
	r.next = to
}
