package schedule

import (
	"time"
)

// Queue holds the requests of one model.
type Queue struct {
	limits       Limits
	named        map[string]*client
	requestClock clock         // of requests, as if each were a client
	clientClock  clock         // of clients with waiting requests, however many each has; without tags
	ready        heap[*client] // those clients, in the order of service
	latestFinish float64       // largest client.fairFinish of all clients so far
	attachments  []*attachment

	tokens   int     // that wait
	work     float64 // that waits
	reserved int     // expected tokens of requests that are still to be pushed
	waiting  int     // requests with waiting sequences
	requests int     // between Enter and Leave
	idle     int     // number of names from which on clients without requests are forgotten
	arrivals arrivals
	since    time.Duration // when the queue became non-empty, or a batch was last taken
}

// minIdleClients is how many clients are remembered at least, even without requests.
const minIdleClients = 4096

// NewQueue returns an empty queue. Limits must hold to their bounds.
func NewQueue(limits Limits) *Queue {
	return &Queue{limits: limits, named: map[string]*client{}, idle: minIdleClients}
}

// Limits returns the limits that NewQueue was given.
func (q *Queue) Limits() Limits { return q.limits }

// Tokens is how many tokens wait.
func (q *Queue) Tokens() int { return q.tokens }

// Requests is how many requests are between Enter and Leave.
func (q *Queue) Requests() int { return q.requests }

// Enter counts a request before its length is known, as it is still to be tokenised. Leave ends it, pushed or not. The
// error is an *OverloadError.
func (q *Queue) Enter() error {
	if q.requests >= q.limits.Requests {
		each := float64(q.tokens) / float64(max(q.waiting, 1))
		return &OverloadError{Limit: "Requests", Value: q.requests + 1, Max: q.limits.Requests, RetryAfter: q.tokensTime(each)}
	}
	q.requests++
	return nil
}

// Leave undoes an Enter.
func (q *Queue) Leave() { q.requests-- }

// Reserve counts the expected tokens of a client's request before it is tokenised, or refuses it before that work is done.
// The caller calls Release when the tokens are known. The error is an *OverloadError.
func (q *Queue) Reserve(client string, tokens int) error {
	c := q.client(client)
	if err := q.admit(q.tokens+q.reserved, c.tokens+c.reserved, tokens); err != nil {
		return err
	}
	c.reserved += tokens
	q.reserved += tokens
	return nil
}

// Release undoes a Reserve.
func (q *Queue) Release(client string, tokens int) {
	q.client(client).reserved -= tokens
	q.reserved -= tokens
}

// Full returns an *OverloadError if not even one more token of a client would be accepted.
func (q *Queue) Full(client string) error {
	own := 0
	if c := q.named[client]; c != nil {
		own = c.tokens + c.reserved
	}
	return q.admit(q.tokens+q.reserved, own, 1)
}

// Push accepts all of a request, or nothing: then the error is an *OverloadError.
func (q *Queue) Push(r *Request, now time.Duration) error {
	tokens, work := 0, 0.
	for _, n := range r.Lengths {
		tokens += int(n)
		work += q.workOf(n)
	}
	c := q.client(r.Client)
	// Reserved tokens don't count here: they were admitted, and so was this request.
	if err := q.admit(q.tokens, c.tokens, tokens); err != nil {
		return err
	}
	if len(r.Lengths) == 0 {
		return nil
	}
	if err := q.checkDeadline(c, work, weightOf(r.ClientWeight)*weightOf(r.Weight), r.Deadline, now); err != nil {
		return err
	}
	r.client = c
	c.tokens += tokens
	r.tokens, r.work, r.left, r.pushed, r.state = tokens, work, work, now, queued
	if q.waiting == 0 {
		q.since = now
		for _, a := range q.attachments {
			a.join()
		}
	}
	q.waiting++
	q.tokens += tokens
	q.arrivals.add(work, now)
	q.join(r)
	return nil
}

// workOf is the work of a sequence of n tokens.
func (q *Queue) workOf(n int32) float64 { return float64(n) * (1 + q.limits.Pair*float64(n)) }

// roomPart is how many times the free room a client may have waiting when it isn't the only one. So a client that sends too
// much finds the queue full before the others do, and yet one alone can fill 8/9 of it. Switches that share memory between
// queues do so (Choudhury and Hahne, "Dynamic queue length thresholds", 1998).
const roomPart = 8

// admit returns an *OverloadError if a client with own of the waiting tokens may not have more. While nothing waits, a
// request of any size may come.
func (q *Queue) admit(waiting, own, tokens int) error {
	if sum := waiting + tokens; sum > q.limits.QueueTokens && waiting > 0 {
		over := min(sum-q.limits.QueueTokens, waiting)
		return &OverloadError{
			Limit: "QueueTokens", Value: sum, Max: q.limits.QueueTokens, RetryAfter: q.tokensTime(float64(over)),
		}
	}
	most := roomPart * (q.limits.QueueTokens - waiting)
	if sum := own + tokens; sum > most && own > 0 && len(q.named) > 1 {
		over := min(sum-most, own)
		return &OverloadError{
			Limit: "QueueTokens of one client", Value: sum, Max: most, RetryAfter: q.tokensTime(float64(over)),
		}
	}
	return nil
}

// client finds or makes the client of that name.
func (q *Queue) client(name string) *client {
	c := q.named[name]
	if c == nil {
		if len(q.named) >= q.idle {
			q.forget()
		}
		c = &client{weight: 1}
		q.named[name] = c
	}
	return c
}

// forget removes clients that have nothing here. It is not called again until there are twice as many clients as are left,
// so that it costs little for each.
func (q *Queue) forget() {
	for name, c := range q.named {
		if c.ready == 0 && c.fairFinish <= q.clientClock.time && c.reserved == 0 {
			delete(q.named, name)
		}
	}
	q.idle = max(minIdleClients, 2*len(q.named))
}

// Drop removes a request's waiting sequences from the queue. Running ones come back with their batch; until then the
// request isn't Idle. Dropping twice, or a request that was never pushed, does nothing.
func (q *Queue) Drop(r *Request) {
	if r.state != queued {
		return
	}
	r.state = dropped
	q.tokens -= r.tokens
	r.client.tokens -= r.tokens
	r.tokens = 0
	if r.place > 0 {
		q.cancel(r)
	}
}

// Clear drops every request with waiting sequences, and calls f with each.
func (q *Queue) Clear(f func(*Request)) {
	for q.waiting > 0 {
		r := q.ready.first().value.waiting.first().value
		q.Drop(r)
		f(r)
	}
}

// take fills b with up to most tokens, or with one sequence that has more.
func (q *Queue) take(b *Batch, most int, now time.Duration) {
	b.Queue, b.started = q, now
	for q.waiting > 0 {
		r := q.ready.first().value.waiting.first().value
		// The last one runs in any case, or the estimate would never be corrected.
		if r.Deadline != 0 && (r.Deadline <= now || q.waiting > 1 && now+q.leastTime(r) > r.Deadline) {
			q.Drop(r)
			b.Expired = append(b.Expired, r)
			continue
		}
		to, tokens, work := r.next, 0, 0.
		for to < len(r.Lengths) {
			n := r.Lengths[to]
			if sum := b.Tokens + tokens; sum > 0 && sum+int(n) > most {
				break
			}
			tokens += int(n)
			work += q.workOf(n)
			to++
		}
		// A part of a request gives no answer yet, and delays the other requests in the batch. It saves a batch where
		// enough tokens wait; the larger the part, the more must wait to make it worth the delay.
		if tokens == 0 || to < len(r.Lengths) && b.Sequences > 0 && q.tokens < max(most, 7*tokens/2) {
			break
		}
		b.add(r, to, tokens, work)
		q.tokens -= tokens
		r.client.tokens -= tokens
		q.charge(r, work)
	}
	q.since = now
}
