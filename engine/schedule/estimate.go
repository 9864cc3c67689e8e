package schedule

import (
	"math"
	"time"
)

// arrivals are the work that arrived recently, by size of request: [k] has requests of work from 2^(k-1) to 2^k. Older
// arrivals count less and less.
type arrivals struct {
	work [32]float64
	last time.Duration
}

// arrivalMemory is the time after which an arrival counts 1/e.
const arrivalMemory = 10 * time.Second

func (a *arrivals) add(work float64, now time.Duration) {
	if past := now - a.last; past > arrivalMemory/100 {
		a.last = now
		for i := range a.work {
			a.work[i] *= math.Exp(-float64(past) / float64(arrivalMemory))
		}
	}
	a.work[a.class(work)] += work
}

func (a *arrivals) class(work float64) int {
	_, exponent := math.Frexp(work)
	return min(exponent, len(a.work)-1)
}

// upTo is the work that arrives in a unit of time, in requests no larger than some work.
func (a *arrivals) upTo(work float64) float64 {
	sum := 0.
	for _, w := range a.work[:a.class(work)+1] {
		sum += w
	}
	return sum / float64(arrivalMemory)
}

// checkDeadline refuses a request that is estimated to miss its deadline, or to go before a request of its client that
// has begun and make that one miss its deadline.
func (q *Queue) checkDeadline(c *client, work, own float64, deadline, now time.Duration) error {
	if deadline == 0 || q.waiting == 0 {
		return nil
	}
	left, needed := deadline-now, q.estimate(c, work)
	if r := c.started; r != nil && q.requestClock.time+q.counted(work)/own < c.waiting.key(r.place) {
		if t := q.timeAmong(q.work+work, r.work); now+t > r.Deadline {
			needed = max(needed, left+now+t-r.Deadline)
		}
	}
	if needed <= left {
		return nil
	}
	return &OverloadError{
		Limit: "milliseconds before the deadline", Value: int(needed.Milliseconds()), Max: int(left.Milliseconds()),
		RetryAfter: needed - left,
	}
}

// estimate returns how long a client's request is likely to take if it comes now: no longer than all queued work with
// it, and no longer than by sharing.
func (q *Queue) estimate(c *client, work float64) time.Duration {
	alone := work * (q.requestClock.weights + c.weight) / c.weight
	before := min(c.lead(q)+c.work, c.shared(q, work)+float64(c.waiting.len())*work)
	shared := (before + work) * max(q.clientClock.weights, c.weight) / c.weight
	return q.timeAmong(min(q.work+work, max(alone, shared)), work)
}

// timeAmong is the time for work while requests up to a size go before it and arrive at the recent rate.
func (q *Queue) timeAmong(work, size float64) time.Duration {
	rate := q.rate()
	if rate == 0 {
		return 0
	}
	load := q.arrivals.upTo(size) / rate
	return time.Duration(work / rate / max(1-load, 0.05))
}

// leastTime is how long the rest of a request takes at least.
func (q *Queue) leastTime(r *Request) time.Duration {
	if r.batches == 0 {
		return q.timeAmong(r.left, r.work) // so that it isn't begun in vain
	}
	return q.timeFor(r.left)
}

// timeFor is how long the model's devices take for work, as they are shared now; 0 when nothing has run yet.
func (q *Queue) timeFor(work float64) time.Duration {
	rate := q.rate()
	if rate == 0 {
		return 0
	}
	return time.Duration(work / rate)
}

// tokensTime is timeFor of tokens with as much work each as those in the queue.
func (q *Queue) tokensTime(tokens float64) time.Duration {
	return q.timeFor(tokens * max(q.work, 1) / float64(max(q.tokens, 1)))
}

// rate is the work a nanosecond that the model's devices do, as they are shared now; 0 when nothing has run yet.
func (q *Queue) rate() float64 {
	sum := 0.
	for _, a := range q.attachments {
		sum += a.rate()
	}
	return sum
}
