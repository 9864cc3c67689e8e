// Package trace records, while a recording runs, how long each stage of requests and batches takes. Without a recording, a
// request costs one load of a pointer.
//
// It knows neither texts nor models.
package trace

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Track is the stage that a span is of. A request waits in the queue until its first batch begins, and its respond is from
// the end of its last batch until the caller has the scores. A batch is packed, encoded for the device and computed there.
type Track uint8

// The tracks, in the order in which they are shown.
const (
	Request Track = iota
	Tokenise
	Queue
	Run
	Respond
	Batch
	Pack
	Encode
	Device
	trackCount
)

var trackNames = [trackCount]string{"request", "tokenise", "queue", "run", "respond", "batch", "pack", "encode", "device"}

// String returns the track's name.
func (t Track) String() string { return trackNames[t] }

// Span is a time on a track.
type Span struct {
	Track      Track
	Begin, End time.Time
	Request    uint64   // counts traced requests; 0: it is a batch's
	Batch      uint64   // the batch's number on its device; a request's first
	Batches    int      // of a request: that it was spread over
	On         string   // the device of a batch
	Pairs      int      // sequences
	Tokens     int      // in a request's pairs, or computed in a batch
	Saved      int      // of tokens: a request's and a batch's, computed once for several pairs
	Requests   []uint64 // of a batch: those of its requests that are traced
}

// maxSpans bounds the memory of a recording, about 30 MB.
const maxSpans = 200_000

// Recorder takes spans while a recording runs. A nil one takes none. Its methods may be called from several goroutines at
// once.
type Recorder struct {
	active atomic.Pointer[recording]
	ids    atomic.Uint64
}

type recording struct {
	mu      sync.Mutex
	spans   []Span // guarded by mu
	dropped int    // guarded by mu
}

// ErrBusy is returned while another recording runs.
var ErrBusy = errors.New("trace: another recording is under way")

// Record records for a time, or until ctx ends, and returns the spans that ended meanwhile: of requests that also began
// meanwhile, and of batches. Errors: ErrBusy.
func (r *Recorder) Record(ctx context.Context, d time.Duration) (*Trace, error) {
	current := &recording{}
	if !r.active.CompareAndSwap(nil, current) {
		return nil, ErrBusy
	}
	begin := time.Now()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	r.active.Store(nil)
	current.mu.Lock()
	defer current.mu.Unlock()
	return &Trace{Begin: begin, End: time.Now(), Spans: current.spans, Dropped: current.dropped}, nil
}

func (r *Recorder) recording() *recording {
	if r == nil {
		return nil
	}
	return r.active.Load()
}

// add takes spans that belong together: all of them or none.
func (c *recording) add(spans ...Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.spans)+len(spans) > maxSpans {
		c.dropped += len(spans)
		return
	}
	c.spans = append(c.spans, spans...)
}

// RequestTimer times a request. A nil one, which Recorder.Request returns without a recording, does nothing.
type RequestTimer struct {
	recording              *recording
	id                     uint64
	begin, tokenised       time.Time
	pushed, started, ended time.Time // zero: it had nothing to run
	batches                int
	firstBatch             uint64
}

// Request begins to time a request; it returns nil while nothing is recorded.
func (r *Recorder) Request() *RequestTimer {
	c := r.recording()
	if c == nil {
		return nil
	}
	return &RequestTimer{recording: c, id: r.ids.Add(1), begin: time.Now()}
}

// ID is the request's number, and 0 for nil.
func (t *RequestTimer) ID() uint64 {
	if t == nil {
		return 0
	}
	return t.id
}

// Tokenised ends the time of tokenising.
func (t *RequestTimer) Tokenised() {
	if t != nil {
		t.tokenised = time.Now()
	}
}

// Ran says when the request was queued, when the first batch with a part of it began and when the last had ended.
func (t *RequestTimer) Ran(pushed, started, ended time.Time, batches int, firstBatch uint64) {
	if t == nil {
		return
	}
	t.pushed, t.started, t.ended, t.batches, t.firstBatch = pushed, started, ended, batches, firstBatch
}

// End records the request, if it ran.
func (t *RequestTimer) End(pairs, tokens, saved int) {
	if t == nil || t.ended.IsZero() {
		return
	}
	end := time.Now()
	span := func(track Track, begin, end time.Time) Span {
		return Span{
			Track: track, Begin: begin, End: end, Request: t.id, Batch: t.firstBatch, Batches: t.batches, Pairs: pairs, Tokens: tokens,
			Saved: saved,
		}
	}
	t.recording.add(
		span(Request, t.begin, end), span(Tokenise, t.begin, t.tokenised), span(Queue, t.pushed, t.started),
		span(Run, t.started, t.ended), span(Respond, t.ended, end),
	)
}

// BatchTimer times a batch. A nil one, which Recorder.Batch returns without a recording, does nothing.
type BatchTimer struct {
	recording                 *recording
	requests                  []uint64
	packed, encoded, computed time.Time
}

// Batch begins to time a batch; it returns nil while nothing is recorded.
func (r *Recorder) Batch() *BatchTimer {
	c := r.recording()
	if c == nil {
		return nil
	}
	return &BatchTimer{recording: c}
}

// Of notes one of the batch's requests.
func (t *BatchTimer) Of(request uint64) {
	if t != nil && request != 0 {
		t.requests = append(t.requests, request)
	}
}

// Packed ends the time of packing, Encoded that until the device has its work, Computed the device's.
func (t *BatchTimer) Packed() {
	if t != nil {
		t.packed = time.Now()
		t.encoded = t.packed // for a backend that doesn't tell
	}
}

// Encoded is documented with Packed.
func (t *BatchTimer) Encoded() {
	if t != nil {
		t.encoded = time.Now()
	}
}

// Computed is documented with Packed.
func (t *BatchTimer) Computed() {
	if t != nil {
		t.computed = time.Now()
	}
}

// End records the batch, if it was computed.
func (t *BatchTimer) End(device string, id uint64, begin time.Time, pairs, tokens, saved int) {
	if t == nil || t.computed.IsZero() {
		return
	}
	span := func(track Track, begin, end time.Time) Span {
		return Span{
			Track: track, Begin: begin, End: end, Batch: id, On: device, Pairs: pairs, Tokens: tokens, Saved: saved,
			Requests: t.requests,
		}
	}
	t.recording.add(
		span(Batch, begin, time.Now()), span(Pack, begin, t.packed), span(Encode, t.packed, t.encoded), span(Device, t.encoded, t.computed),
	)
}
