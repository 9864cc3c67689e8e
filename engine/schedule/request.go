package schedule

import "time"

// Request is a set of sequences that are answered together. The caller sets the fields to Deadline, and doesn't change
// them from Push until the request is Idle again. The zero value is ready; an Idle one may be used again after Reset.
type Request struct {
	// Lengths are the tokens of each sequence, all at least 1.
	Lengths []int32
	// Shared are the tokens at the beginning of each sequence that the one before it begins with, too: fewer than either has,
	// and as many for all that follow each other so. A batch with both computes them once, so that they count once. Shared[0]
	// isn't read. Empty: no sequence shares.
	Shared []int32
	// Client names the client. Clients share the model fairly, however many requests each sends. It may be empty.
	Client string
	// ClientWeight is the client's share of its model relative to other clients, and Weight the request's share relative to
	// the client's other requests. 0: 1.
	ClientWeight, Weight float64
	// Value is the caller's, to find its own data of the request.
	Value any
	// Deadline, if not 0, is when the answer is of no more use. A request that can no longer make it is Dropped.
	Deadline time.Duration
	// The scheduler sets the others: when the request was pushed, when the first batch with a part of it began, how many
	// batches it is spread over, the ID of the first, and the tokens that weren't computed again since its sequences share them.
	Pushed, Started time.Duration
	Batches         int
	FirstBatch      uint64
	Saved           int

	client     *client
	tokens     int     // that wait
	work       float64 // of all sequences, with what batches have computed again
	left       float64 // the work that is not taken yet
	place      int     // in client.waiting
	clockPlace int     // place in Queue.requestClock.due
	weight     float64 // its client's and its own
	next       int     // the first sequence that waits
	done       int     // sequences that came back
	state      state
}

type state uint8

const (
	idle state = iota
	queued
	dropped // cancelled, expired or failed; sequences that run are still to come back
)

// Reset makes an idle request as new, and keeps the memory of Lengths and Shared.
func (r *Request) Reset() { *r = Request{Lengths: r.Lengths[:0], Shared: r.Shared[:0]} }

// shared is how many tokens sequence i has in common with the one before it; 0 for the first, and where there is none.
func (r *Request) shared(i int) int32 {
	if i <= 0 || i >= len(r.Shared) {
		return 0
	}
	return r.Shared[i]
}

// Work is that of all sequences, and of shared tokens again for each batch that the request was continued in; see Limits.
func (r *Request) Work() float64 { return r.work }

// Idle says whether the scheduler holds nothing of the request: it was never pushed, or everything that ran came back.
func (r *Request) Idle() bool { return r.done == r.next && r.state != queued }

// Done says whether every sequence ran.
func (r *Request) Done() bool { return r.done == len(r.Lengths) }

// Dropped says whether the request was cancelled, or its deadline passed, before all of it came back.
func (r *Request) Dropped() bool { return r.state == dropped }

// Batch is the sequences of one forward pass.
type Batch struct {
	Spans     []Span // one a request
	Tokens    int    // to compute: shared ones once
	Saved     int    // by sharing: those of all sequences are Tokens and Saved
	Sequences int
	// Work is that of the sequences; see Limits.
	Work float64
	// ID counts the batches of a device, from 1.
	ID uint64
	// Expired are requests that Next found to be past their deadline and dropped. They are in no span.
	Expired []*Request
	// Queue is where the spans come from.
	Queue *Queue
	// Began is when Next gave the batch out. The caller sets it again if it begins the batch once more.
	Began time.Duration
	// Beside says that the batch runs beside a long one, which should let it go first.
	Beside bool
	// Aborted is set by the caller before Done if the batch was given up: its time says nothing about others.
	Aborted bool

	attachment *attachment
	charged    float64 // to the model before the time was known
}

// Span is the sequences From to To of a request.
type Span struct {
	Request  *Request
	From, To int
}
