package schedule

import "slices"

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
		c.leave(c.due.remove(1).value)
	}
	if c.weights > 0 {
		c.time += work / c.weights
	}
}

func (c *clock) leave(weight float64) { c.weights = max(c.weights-weight, 0) }

// clear removes all members.
func (c *clock) clear() {
	c.due.clear()
	c.weights = 0
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
	c := r.client
	if weight := weightOf(r.ClientWeight); weight != c.weight {
		q.reweigh(c, weight)
	}
	if c.waiting.len() == 0 {
		q.clientClock.weights += c.weight
		c.fairFinish = max(c.fairFinish, q.clientClock.time)
	}
	r.weight = c.weight * weightOf(r.Weight)
	q.requestClock.weights += r.weight
	q.requestClock.due.push(q.requestClock.time+r.work/r.weight, r.weight, &r.clockPlace)
	c.waiting.push(q.requestClock.time+q.counted(r.work)/r.weight, r, &r.place)
	c.work += r.work
	q.work += r.work
	q.rank(c)
}

// charge advances the clocks by work that was taken of a request.
func (q *Queue) charge(r *Request, work float64) {
	c := r.client
	r.left -= work
	c.work -= work
	q.work -= work
	c.fairFinish += work / c.weight
	q.requestClock.advance(work)
	q.clientClock.advance(work)
	if r.next < len(r.Lengths) {
		if r.Deadline != 0 {
			c.started = r
		}
		q.rank(c)
		return
	}
	c.ahead = append(c.ahead, aheadRequest{c.fairFinish, r.work})
	q.leave(r)
}

// cancel takes the rest of a request out of the clocks.
func (q *Queue) cancel(r *Request) {
	c := r.client
	if r.clockPlace > 0 {
		q.requestClock.due.change(r.clockPlace, q.requestClock.due.key(r.clockPlace)-r.left/r.weight)
	}
	c.work -= r.left
	q.work -= r.left
	q.leave(r)
}

// leave removes a request that has no more work to be taken. The work taken of it stays in the clocks.
func (q *Queue) leave(r *Request) {
	c := r.client
	q.requestClock.due.forget(&r.clockPlace)
	c.waiting.remove(r.place)
	if c.started == r {
		c.started = nil
	}
	q.waiting--
	if c.waiting.len() > 0 {
		q.rank(c)
		return
	}
	q.ready.remove(c.ready)
	q.clientClock.leave(c.weight)
	c.work = 0 // without rounding errors
	q.latestFinish = max(q.latestFinish, c.fairFinish)
	if q.waiting == 0 { // the clients' clock, too, would have done all
		q.work = 0
		q.clientClock.clear()
		q.requestClock.clear()
		q.clientClock.time = max(q.clientClock.time, q.latestFinish)
	}
}

// reweigh changes a client's weight. The work that waits, and the work by which the client is ahead, stay the same.
func (q *Queue) reweigh(c *client, weight float64) {
	now, ratio := q.clientClock.time, c.weight/weight
	if c.waiting.len() > 0 {
		q.clientClock.weights += weight - c.weight
	}
	c.fairFinish = now + (c.fairFinish-now)*ratio
	for i := range c.ahead {
		c.ahead[i].fairFinish = now + (c.ahead[i].fairFinish-now)*ratio
	}
	c.weight = weight
}

// lead is the work by which a client is ahead of its share.
func (c *client) lead(q *Queue) float64 { return max(c.fairFinish-q.clientClock.time, 0) * c.weight }

// shared is the work of the client's requests taken ahead that a request of some work would have shared with, had they
// waited for it: of each, no more than the request's own work.
func (c *client) shared(q *Queue, work float64) float64 {
	past := 0
	for past < len(c.ahead) && c.ahead[past].fairFinish <= q.clientClock.time {
		past++
	}
	c.ahead = slices.Delete(c.ahead, 0, past)
	sum := 0.
	for _, a := range c.ahead {
		sum += min(a.work, work)
	}
	return sum
}

// rank puts a client where its next request belongs: by its finish tag, as if each request were a client. A client that is
// ahead of its share by more than the burst is put behind others by as much.
func (q *Queue) rank(c *client) {
	key, r := c.waiting.first().key, c.waiting.first().value
	over := min(c.lead(q), c.shared(q, r.work)) - burst*r.work
	if others := q.waiting - c.waiting.len(); over > 0 && others > 0 {
		key = max(key, q.requestClock.time+(r.work+over*q.clientClock.weights/float64(others))/c.weight)
	}
	if c.ready == 0 {
		q.ready.push(key, c, &c.ready)
	} else {
		q.ready.change(c.ready, key)
	}
}

func weightOf(weight float64) float64 {
	if weight <= 0 {
		return 1
	}
	return weight
}
