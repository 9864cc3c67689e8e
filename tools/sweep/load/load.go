// Package load sends requests to a system as clients do, and records their latencies. It must not know the system, nor
// the content of the requests.
package load

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Plan says how to send requests, and when.
type Plan struct {
	// Send sends a request, which counts from 0, and returns when it is answered. It is called from several goroutines at
	// once.
	Send    func(ctx context.Context, request int) error
	Count   int // of requests; math.MaxInt: as many as there is time for
	Clients int // the most requests in flight
	// Rate is how many requests a second are due, in an open loop. 0: a closed loop, in which each client sends the next
	// when it has its last answer.
	Rate float64
	// Limit ends the sending after so long, once every client has sent one. 0: all requests are sent.
	Limit time.Duration
	// Finish has clients finish the requests in flight when ctx ends. Without it, Run abandons them.
	Finish bool
}

// Result holds the measurements of a Plan.
type Result struct {
	Latencies []float64 // ms, of the answered requests, in the order in which they were sent
	Answered  []int     // the same requests
	Seconds   float64   // from the first request (due, in an open loop) to the last answer
	Failed    int
	Err       error // of the first request that failed
}

// maxFailuresWithoutAnswer is the number of failed requests, with none answered, after which a run gives up.
const maxFailuresWithoutAnswer = 5

// run is a Plan in progress.
type run struct {
	Plan

	begin time.Time
	next  atomic.Int64 // request to be sent

	mu      sync.Mutex
	answers []answer  // guarded by mu
	failed  int       // guarded by mu
	err     error     // guarded by mu
	end     time.Time // guarded by mu; of the last answer
}

type answer struct {
	request int
	elapsed time.Duration
}

// Run carries out the plan. When ctx ends, the result has the requests answered so far.
func Run(ctx context.Context, plan Plan) Result {
	r := &run{Plan: plan, begin: time.Now()}
	var clients sync.WaitGroup
	for range plan.Clients {
		clients.Go(func() { r.client(ctx) })
	}
	clients.Wait()
	return r.result()
}

// client sends one request after the other.
func (r *run) client(ctx context.Context) {
	sending := ctx
	if r.Finish {
		sending = context.WithoutCancel(ctx)
	}
	for ctx.Err() == nil && !r.givenUp() {
		i := int(r.next.Add(1)) - 1
		if i >= r.Count || (r.Limit > 0 && i >= r.Clients && time.Since(r.begin) >= r.Limit) {
			return
		}
		start := time.Now()
		if r.Rate > 0 {
			// Latency counts from the time when the request was due, even if no client was free to send it. Otherwise a
			// server that stalls would get fewer requests, and the wait of the missing ones would not count.
			start = r.begin.Add(time.Duration(float64(i) / r.Rate * float64(time.Second)))
			if !sleepUntil(ctx, start) {
				return
			}
		}
		err := r.Send(sending, i)
		if sending.Err() != nil {
			return // neither answered nor failed
		}
		r.note(i, start, err)
	}
}

// sleepUntil returns false where ctx ends first.
func sleepUntil(ctx context.Context, when time.Time) bool {
	timer := time.NewTimer(time.Until(when))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *run) note(i int, start time.Time, err error) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.failed++
		if r.err == nil {
			r.err = err
		}
		return
	}
	r.answers = append(r.answers, answer{i, now.Sub(start)})
	if now.After(r.end) {
		r.end = now
	}
}

func (r *run) givenUp() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed >= maxFailuresWithoutAnswer && len(r.answers) == 0
}

func (r *run) result() Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	result := Result{Failed: r.failed, Err: r.err}
	slices.SortFunc(r.answers, func(a, b answer) int { return cmp.Compare(a.request, b.request) })
	for _, a := range r.answers {
		result.Latencies = append(result.Latencies, float64(a.elapsed)/float64(time.Millisecond))
		result.Answered = append(result.Answered, a.request)
	}
	if len(result.Latencies) > 0 {
		result.Seconds = r.end.Sub(r.begin).Seconds()
	}
	return result
}
