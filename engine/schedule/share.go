package schedule

import (
	"cmp"
	"slices"
)

// clock is the virtual time of weighted sharing (generalised processor sharing: Parekh and Gallager, 1993) among members
// that have work. In a unit of it, a member of weight w gets w of the work done. So its finish tag, the virtual time at
// which it would be done, is known when its work comes; members that come or go later change how fast the clock runs.
type clock struct {
	time    float64
	weights float64       // of all members
	due     heap[float64] // weights by finish tag, of the members that the clock removes when it reaches the tag
}

// advance moves the clock on by some work, and removes the members that are done by then.
func (c *clock) advance(work float64) {
	for c.due.len() > 0 {
		first := c.due.first()
		need := max(first.key-c.time, 0) * c.weights
		if need > work {
			break
		}
		work -= need
		c.time = max(c.time, first.key)
		c.weights = max(c.weights-c.due.remove(1).value, 0)
	}
	if c.weights > 0 {
		c.time += work / c.weights
	}
}

// client is a name that requests share.
type client struct {
	weight     float64
	waiting    heap[*Request] // with sequences to be taken, by finish tag
	ready      int            // place in Queue.ready
	work       float64        // that waits
	fairFinish float64        // virtual time in Queue.clientClock when its share would have done the work taken of it
	ahead      []aheadRequest // requests that were taken whole, in order; some may be past
	started    *Request       // the last one with a deadline that was taken in part
	aside      int            // requests that are out of the order while a batch is made

	tokens   int // that wait
	reserved int // as in Queue
}

// aheadRequest is a request that was taken before its client's share would have done it.
type aheadRequest struct {
	fairFinish float64 // when its share would have done it: client.fairFinish as it was then
	work       float64
}

// burst is how many times a request's size its client may be ahead of its share, without the request being put behind those
// of others.
const burst = 12

// A request of less than largeBatches counts for less than its size in the order, down to leastFactor of it. The lower the
// factor, the nearer is the order to that of arrival: requests of 20 to 200 documents are too alike for the large ones to
// wait for all of the small ones. Larger requests count whole, or small requests would wait too long for those many times
// as large.
const (
	largeBatches = 10
	leastFactor  = 0.6
)

// counted is how much of a request's work counts in the order.
func (q *Queue) counted(work float64) float64 {
	return work * min(max(work/float64(largeBatches*q.limits.BatchTokens), leastFactor), 1)
}

// join adds a request to the clocks.
func (q *Queue) join(r *Request) {
	c, now := r.client, q.clientClock.time
	if c.waiting.len() == 0 {
		q.clientClock.weights += c.weight
		c.fairFinish = max(c.fairFinish, now)
	}
	if weight := cmp.Or(r.ClientWeight, 1); weight != c.weight { // the work by which the client is ahead stays the same
		q.clientClock.weights += weight - c.weight
		c.fairFinish = now + (c.fairFinish-now)*c.weight/weight
		for i := range c.ahead {
			c.ahead[i].fairFinish = now + (c.ahead[i].fairFinish-now)*c.weight/weight
		}
		c.weight = weight
	}
	q.requestClock.weights += r.weight
	q.requestClock.due.set(q.requestClock.time+r.work/r.weight, r.weight, &r.clockPlace)
	c.waiting.set(q.requestClock.time+q.counted(r.work)/r.weight, r, &r.place)
	q.rank(c)
}

// move moves a request's waiting sequences before index to into a batch, and advances the clocks by their work.
func (q *Queue) move(b *Batch, r *Request, to, tokens int, work float64) {
	b.Spans = append(b.Spans, Span{r, r.next, to})
	b.Tokens += tokens
	b.Sequences += to - r.next
	b.Work += work
	for i := r.next + 1; i < to; i++ {
		b.Saved += int(r.shared(i))
		r.Saved += int(r.shared(i))
	}
	if r.Batches == 0 {
		r.Started, r.FirstBatch = b.Began, b.ID
	}
	r.Batches++
	r.next = to
	r.tokens -= tokens
	r.left -= work
	c := r.client
	q.count(c, -tokens, -work)
	q.repeat(r, r.shared(to))
	c.fairFinish += work / c.weight
	q.requestClock.advance(work)
	q.clientClock.advance(work)
	if to < len(r.Lengths) {
		if r.Deadline != 0 {
			c.started = r
		}
		q.rank(c)
		return
	}
	c.ahead = append(c.ahead, aheadRequest{c.fairFinish, r.work})
	q.leave(r)
}

// repeat adds tokens to a request that are computed again, as it is continued in another batch.
func (q *Queue) repeat(r *Request, tokens int32) {
	if tokens == 0 {
		return
	}
	work := q.workOf(tokens)
	q.count(r.client, int(tokens), work)
	r.tokens += int(tokens)
	r.work += work
	r.left += work
	if due := &q.requestClock.due; r.clockPlace > 0 {
		due.set(due.items[r.clockPlace-1].key+work/r.weight, r.weight, &r.clockPlace)
	}
}

// leave removes a request that has no more work to be taken. The work taken of it stays in the clocks.
func (q *Queue) leave(r *Request) {
	c := r.client
	if r.clockPlace > 0 { // its tag stays until it is due, and the request may be used again before
		due := &q.requestClock.due
		due.items[r.clockPlace-1].at, r.clockPlace = &due.none, 0
	}
	c.waiting.remove(r.place)
	if c.started == r {
		c.started = nil
	}
	q.waiting--
	if q.rerank(c); c.waiting.len()+c.aside > 0 {
		return
	}
	q.clientClock.weights = max(q.clientClock.weights-c.weight, 0)
	c.work = 0 // without rounding errors
	q.latestFinish = max(q.latestFinish, c.fairFinish)
	if q.waiting == 0 { // the clients' clock, too, would have done all
		q.work, q.clientClock.weights, q.requestClock.weights = 0, 0, 0
		q.requestClock.due.items = q.requestClock.due.items[:0]
		q.clientClock.time = max(q.clientClock.time, q.latestFinish)
	}
}

// lead is the work by which a client is ahead of its share.
func (c *client) lead(q *Queue) float64 { return max(c.fairFinish-q.clientClock.time, 0) * c.weight }

// shared is the work of the client's requests taken ahead that a request of some work would have shared with, had they
// waited for it: of each, no more than the request's own work.
func (c *client) shared(q *Queue, work float64) (sum float64) {
	c.ahead = slices.DeleteFunc(c.ahead, func(a aheadRequest) bool { return a.fairFinish <= q.clientClock.time })
	for _, a := range c.ahead {
		sum += min(a.work, work)
	}
	return sum
}

// rerank puts a client where it belongs after one of its requests has left the order.
func (q *Queue) rerank(c *client) {
	if c.waiting.len() > 0 {
		q.rank(c)
	} else {
		q.ready.remove(c.ready)
	}
}

// rank puts a client where its next request belongs: by its finish tag, as if each request were a client. A client that is
// ahead of its share by more than the burst is put behind others by as much.
func (q *Queue) rank(c *client) {
	key, r := c.waiting.first().key, c.waiting.first().value
	over := min(c.lead(q), c.shared(q, r.work)) - burst*r.work
	if others := q.waiting - c.waiting.len(); over > 0 && others > 0 {
		key = max(key, q.requestClock.time+(r.work+over*q.clientClock.weights/float64(others))/c.weight)
	}
	q.ready.set(key, c, &c.ready)
}
