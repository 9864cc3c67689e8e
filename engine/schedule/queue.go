package schedule

import (
	"cmp"
	"maps"
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
		each := q.timeAmong(q.work/float64(max(q.waiting, 1)), 0)
		return &OverloadError{Limit: "Requests", Value: q.requests + 1, Max: q.limits.Requests, RetryAfter: each}
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
func (q *Queue) Full(name string) error {
	c := cmp.Or(q.named[name], &client{})
	return q.admit(q.tokens+q.reserved, c.tokens+c.reserved, 1)
}

// Push accepts all of a request, or nothing: then the error is an *OverloadError.
func (q *Queue) Push(r *Request, now time.Duration) error {
	c := q.client(r.Client)
	r.client, r.tokens, r.work = c, 0, 0
	for i := range r.Lengths {
		tokens, work := q.costOf(r, i, 0)
		r.tokens += tokens
		r.work += work
	}
	// Reserved tokens don't count here: they were admitted, and so was this request.
	if err := q.admit(q.tokens, c.tokens, r.tokens); err != nil {
		return err
	}
	if len(r.Lengths) == 0 {
		return nil
	}
	r.weight = cmp.Or(r.ClientWeight, 1) * cmp.Or(r.Weight, 1)
	if err := q.checkDeadline(r, now); err != nil {
		return err
	}
	r.left, r.Pushed, r.state = r.work, now, queued
	if q.waiting == 0 {
		q.since = now
		for _, a := range q.attachments {
			a.served = max(a.served, a.device.clock)
		}
	}
	q.waiting++
	q.count(c, r.tokens, r.work)
	q.arrivals.add(r.work, now)
	q.join(r)
	return nil
}

// workOf is the work of a sequence of n tokens.
func (q *Queue) workOf(n int32) float64 { return float64(n) * (1 + q.limits.Pair*float64(n)) }

// costOf is the tokens and the work of sequence i in a batch that has the request's sequences from number first on.
func (q *Queue) costOf(r *Request, i, first int) (tokens int, work float64) {
	n, shared := r.Lengths[i], int32(0)
	if i > first {
		shared = r.shared(i)
	}
	return int(n - shared), q.workOf(n) - q.workOf(shared)
}

// count adds to a client's tokens and work that wait.
func (q *Queue) count(c *client, tokens int, work float64) {
	c.tokens += tokens
	q.tokens += tokens
	c.work += work
	q.work += work
}

// roomPart is how many times the free room a client may have waiting when it isn't the only one. So a client that sends too
// much finds the queue full before the others do, and yet one alone can fill 8/9 of it. Switches that share memory between
// queues do so (Choudhury and Hahne, "Dynamic queue length thresholds", 1998).
const roomPart = 8

// timeLimit is the name of QueueTime in an OverloadError.
const timeLimit = "milliseconds of waiting work"

// admit returns an *OverloadError if a client with own of the waiting tokens may not have more. While nothing waits, a
// request of any size may come.
func (q *Queue) admit(waiting, own, tokens int) error {
	limit, there, of := "QueueTokens", waiting, ""
	most, ms := q.room()
	if waiting == 0 || waiting+tokens <= most {
		of, there, most = " of one client", own, roomPart*(most-waiting)
		if own == 0 || own+tokens <= most || len(q.named) == 1 {
			return nil
		}
	}
	over := float64(min(there+tokens-most, there)) * max(q.work, 1) / float64(max(q.tokens, 1)) // work of as many tokens
	value := there + tokens
	if ms > 0 {
		limit, value, most = timeLimit, int(ms*float64(value)), int(ms*float64(most))
	}
	return &OverloadError{Limit: limit + of, Value: value, Max: most, RetryAfter: q.timeAmong(over, 0)}
}

// client finds or makes the client of that name.
func (q *Queue) client(name string) *client {
	if c := q.named[name]; c != nil {
		return c
	}
	if len(q.named) >= q.idle { // half of them came since the last time, so that this costs little for each
		maps.DeleteFunc(q.named, func(_ string, c *client) bool {
			return c.ready == 0 && c.fairFinish <= q.clientClock.time && c.reserved == 0
		})
		q.idle = max(minIdleClients, 2*len(q.named))
	}
	c := &client{weight: 1}
	q.named[name] = c
	return c
}

// Drop removes a request's waiting sequences from the queue. Running ones come back with their batch; until then the
// request isn't Idle. Dropping twice, or a request that was never pushed, does nothing.
func (q *Queue) Drop(r *Request) {
	if r.state != queued {
		return
	}
	r.state = dropped
	if r.place == 0 { // no sequence of it waits
		return
	}
	if due := &q.requestClock.due; r.clockPlace > 0 {
		due.set(due.items[r.clockPlace-1].key-r.left/r.weight, r.weight, &r.clockPlace)
	}
	q.count(r.client, -r.tokens, -r.left)
	q.leave(r)
}

// Clear drops every request with waiting sequences, and calls f with each.
func (q *Queue) Clear(f func(*Request)) {
	for q.waiting > 0 {
		r := q.next()
		q.Drop(r)
		f(r)
	}
}

// next is the first request in the order of service.
func (q *Queue) next() *Request { return q.ready.first().value.waiting.first().value }

// sharedTimes is how many times the tokens that its sequences share a part of a request should have, since the next part
// computes them again: a sixteenth of the work is repeated then.
const sharedTimes = 16

// take fills b with up to most tokens and mostWork, or with one sequence that has more tokens. Sequences with more work are
// passed over.
func (q *Queue) take(b *Batch, most int, mostWork float64) {
	b.Queue = q
	var aside []asideRequest
	for q.ready.len() > 0 {
		r, size := q.next(), 0.
		if q.workOf(r.Lengths[r.next]) > mostWork {
			aside = append(aside, q.setAside(r))
			continue
		}
		if r.Batches == 0 {
			size = r.work // smaller ones may go before it, and it should not be begun in vain
		}
		// The last one runs in any case, or the estimate would never be corrected.
		if r.Deadline != 0 && (r.Deadline <= b.Began || q.waiting > 1 && b.Began+q.timeAmong(r.left, size) > r.Deadline) {
			q.Drop(r)
			b.Expired = append(b.Expired, r)
			continue
		}
		to, tokens, work := r.next, 0, 0.
		if b.Sequences == 0 {
			most = max(most, min(q.limits.BatchTokens, sharedTimes*int(r.shared(to+1))))
		}
		for to < len(r.Lengths) {
			n, w := q.costOf(r, to, r.next)
			if sum := b.Tokens + tokens; sum > 0 && (sum+n > most || b.Work+work+w > mostWork) {
				break
			}
			tokens += n
			work += w
			to++
		}
		// A part of a request gives no answer yet, and delays the other requests in the batch. It saves a batch where
		// enough tokens wait; the larger the part, the more must wait to make it worth the delay.
		if tokens == 0 || to < len(r.Lengths) && b.Sequences > 0 &&
			(q.tokens < max(most, 7*tokens/2) || tokens < sharedTimes*int(r.shared(to))) {
			break
		}
		q.move(b, r, to, tokens, work)
	}
	for _, a := range aside {
		a.client.aside--
		a.client.waiting.set(a.key, a.Request, &a.place)
		q.rank(a.client)
	}
	if b.Sequences > 0 {
		q.since = b.Began
	}
}

// asideRequest is a request that is out of the order while a batch is made, and its finish tag.
type asideRequest struct {
	*Request
	key float64
}

// setAside takes a request out of the order of service. It stays in the clocks.
func (q *Queue) setAside(r *Request) asideRequest {
	c := r.client
	a := asideRequest{r, c.waiting.remove(r.place).key}
	c.aside++
	q.rerank(c)
	return a
}
