package schedule

import "time"

// Request is a set of sequences that are answered together. The caller sets the exported fields, and doesn't change them
// from Push until the request is Idle again. The zero value is ready; an Idle one may be used again after Reset.
type Request struct {
	// Lengths are the tokens of each sequence, all at least 1.
	Lengths []int32
	// Client names the client. Clients share the model fairly, however many requests each sends. It may be empty.
	Client string
	// ClientWeight is the client's share of its model relative to other clients, and Weight the request's share relative to
	// the client's other requests. 0: 1.
	ClientWeight, Weight float64
	// Value is the caller's, to find its own data of the request.
	Value any
	// Deadline, if not 0, is when the answer is of no more use. A request that can no longer make it is Dropped.
	Deadline time.Duration

	client     *client
	tokens     int     // that wait
	work       float64 // of all sequences
	left       float64 // the work that is not taken yet
	place      int     // in client.waiting
	clockPlace int     // place in Queue.requestClock.due
	weight     float64 // its client's and its own
	next       int     // the first sequence that waits
	running    int     // sequences in batches
	done       int     // sequences that came back
	state      state
	pushed     time.Duration
	started    time.Duration // when the first batch with a part of it began
	batches    int
	firstRun   uint64
}

type state uint8

const (
	idle state = iota
	queued
	dropped // cancelled, expired or failed; sequences that run are still to come back
)

// Reset makes an idle request as new, and keeps the memory of Lengths.
func (r *Request) Reset() { *r = Request{Lengths: r.Lengths[:0]} }

// Idle says whether the scheduler holds nothing of the request: it was never pushed, or everything that ran came back.
func (r *Request) Idle() bool { return r.running == 0 && r.state != queued }

// Done says whether every sequence ran.
func (r *Request) Done() bool { return r.done == len(r.Lengths) }

// Dropped says whether the request was cancelled, or its deadline passed, before all of it came back.
func (r *Request) Dropped() bool { return r.state == dropped }

// Waited is the time from Push to the start of the first batch with a part of the request.
func (r *Request) Waited() time.Duration { return r.started - r.pushed }

// Started is when the first batch with a part of the request began.
func (r *Request) Started() time.Duration { return r.started }

// Batches is how many batches the request was spread over, and FirstBatch the ID of the first.
func (r *Request) Batches() (n int, first uint64) { return r.batches, r.firstRun }
