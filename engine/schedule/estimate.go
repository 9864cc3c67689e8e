package schedule

import (
	"math"
	"slices"
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
func (q *Queue) checkDeadline(r *Request, now time.Duration) error {
	if r.Deadline == 0 || q.waiting == 0 {
		return nil
	}
	left, needed := r.Deadline-now, q.estimate(r.client, r.work)
	tag := q.requestClock.time + q.counted(r.work)/r.weight
	if s := r.client.started; s != nil && tag < r.client.waiting.items[s.place-1].key {
		needed = max(needed, r.Deadline-s.Deadline+q.timeAmong(q.work+r.work, s.work))
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

// timeAmong is how long the devices take for work, as they are shared now, while requests up to a size go before
// it and arrive at the recent rate; 0 when nothing has run yet.
func (q *Queue) timeAmong(work, size float64) time.Duration {
	rate := q.rate()
	if rate == 0 {
		return 0
	}
	load := q.arrivals.upTo(size) / rate
	return time.Duration(work / rate / max(1-load, 0.05))
}

// rate is the work that the devices do for the model in a nanosecond, as they are shared now; 0 when nothing has run yet.
func (q *Queue) rate() (rate float64) {
	for _, a := range q.attachments {
		rate += a.rate()
	}
	return rate
}

// Wait is how long the devices take for the waiting work, as they are shared now; 0 when nothing has run yet.
func (q *Queue) Wait() time.Duration { return q.timeAmong(q.work, 0) }

// BatchTime is the time of a full batch where the model has its devices for itself, all of them together; 0 when nothing has
// run yet.
func (q *Queue) BatchTime() time.Duration {
	batches := 0. // a nanosecond
	for _, a := range q.attachments {
		if full := a.fullBatch(); full > 0 {
			batches += 1 / full
		}
	}
	if batches == 0 {
		return 0
	}
	return time.Duration(1 / batches)
}

// room is how many tokens may wait: QueueTokens, or as many as take QueueTime. If the time is the smaller limit, ms is that
// of a token in milliseconds, and else 0.
func (q *Queue) room() (tokens int, ms float64) {
	tokens = q.limits.QueueTokens
	allowed := q.limits.QueueTime
	if allowed == 0 && slices.ContainsFunc(q.attachments, func(a *attachment) bool { return len(a.device.attachments) > 1 }) {
		allowed = SharedQueueTime
	}
	rate := q.rate()
	if allowed == 0 || rate == 0 {
		return tokens, 0
	}
	each := 1 / rate
	if q.tokens > 0 {
		each *= q.work / float64(q.tokens)
	}
	if most := float64(allowed) / each; most < float64(tokens) {
		return int(most), each / float64(time.Millisecond)
	}
	return tokens, 0
}
