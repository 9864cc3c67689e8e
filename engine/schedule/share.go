package schedule

// clock is the virtual time of weighted sharing (generalised processor sharing: Parekh and Gallager, 1993) among members
// that have work. In a unit of it, a member of weight w gets w of the work done. So its finish tag, the virtual time at
// which it would be done, is known when its work comes; members that come or go later change how fast the clock runs.
type clock struct {
	time    float64
	weights float64       // of all members
	due     heap[float64] // the weights of members by finish tag: of all that may reach it before they are removed
}

// advance shares some work, and removes the members that are done by then.
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
	weight float64
	work   float64 // that waits
	ready  int     // place in Queue.ready

	// What Queue.sharing gives the client.
	backlog float64 // finish tag of all work that came
	due     int     // place in Queue.sharing.due
	taken   float64 // what backlog would be had no more come than was taken
	ahead   []ahead // requests that were taken whole, in order; without most of those that are past

	// What Queue.flat gives the client: how much of its work is due by each finish tag, whichever request it is of.
	claims heap[float64]

	// Requests share what the client gets.
	sharing clock
	waiting heap[*Request] // of which something is to be taken, by finish tag
	started *Request       // the last that has a deadline and was taken in part

	tokens   int // that wait
	reserved int // as in Queue
}

// ahead is a request that was taken before its client's share would have done it.
type ahead struct {
	until float64 // client.taken when it was taken: its finish tag in Queue.sharing
	work  float64
}

// burst is how many times a request's size its client may be ahead of its share, without the request being put behind those
// of others.
const burst = 12

// Sizes up to large batches count for less than they are when requests are put in order, down to the part least: the nearer
// to nothing, the nearer is the order to that of arrival. Requests of 20 to 200 documents are too alike for the large ones
// to wait for all of the small ones. Beyond, sizes count whole, as small requests would wait too long for large ones.
const (
	large = 10
	least = 0.4
)

// counted is the part of a request's work that counts when requests are put in order.
func (q *Queue) counted(work float64) float64 {
	return work * min(max(work/float64(large*q.limits.BatchTokens), least), 1)
}

// join lets the clocks know of a request.
func (q *Queue) join(r *Request) {
	c, own := r.client, weightOf(r.Weight)
	if weight := weightOf(r.ClientWeight); weight != c.weight {
		q.reweigh(c, weight)
	}
	if c.due == 0 {
		c.backlog = q.sharing.time
		q.sharing.weights += c.weight
		q.sharing.due.push(c.backlog, c.weight, &c.due)
	}
	if c.waiting.len() == 0 {
		c.taken = max(c.taken, q.sharing.time)
	}
	c.backlog += r.work / c.weight
	// The device may serve equals in another order than sharing ends them: until it is late by a request, a client counts.
	q.sharing.due.change(c.due, c.backlog+r.work/c.weight)
	counted := q.counted(r.work)
	q.flat.weights += c.weight
	q.flat.due.push(q.flat.time+r.work/c.weight, c.weight, &r.flat)
	c.claims.push(q.flat.time+counted/c.weight, r.work, &r.claim)
	c.sharing.weights += own
	r.tag = c.sharing.time + r.work/own
	c.waiting.push(c.sharing.time+counted/own, r, &r.place)
	c.work += r.work
	q.work += r.work
	q.rank(c)
}

// charge lets the clocks know of work that was taken of a request.
func (q *Queue) charge(r *Request, work float64) {
	c := r.client
	r.left -= work
	c.work -= work
	q.work -= work
	c.taken += work / c.weight
	c.sharing.advance(work)
	q.flat.advance(work)
	q.sharing.advance(work)
	for c.claims.len() > 0 && work > 0 {
		first := c.claims.first()
		claim := min(first.value, work)
		work -= claim
		if first.value -= claim; first.value == 0 {
			c.claims.remove(1)
		}
	}
	if r.next < len(r.Lengths) {
		if r.Deadline != 0 {
			c.started = r
		}
		q.rank(c)
		return
	}
	c.ahead = append(c.ahead, ahead{c.taken, r.work})
	q.leave(r)
}

// cancel takes back what is left of a request.
func (q *Queue) cancel(r *Request) {
	c := r.client
	r.tag -= r.left / weightOf(r.Weight)
	if c.due > 0 {
		c.backlog -= r.left / c.weight
		q.sharing.due.change(c.due, q.sharing.due.key(c.due)-r.left/c.weight)
	}
	if r.flat > 0 {
		q.flat.due.change(r.flat, q.flat.due.key(r.flat)-r.left/c.weight)
	}
	if r.claim > 0 {
		c.claims.remove(r.claim)
	}
	c.work -= r.left
	q.work -= r.left
	q.leave(r)
}

// leave ends a request of which nothing is to be taken any more. What was taken of it stays in the clocks.
func (q *Queue) leave(r *Request) {
	c, own := r.client, weightOf(r.Weight)
	q.flat.due.forget(&r.flat)
	c.claims.forget(&r.claim)
	c.waiting.remove(r.place)
	if c.started == r {
		c.started = nil
	}
	if r.tag > c.sharing.time {
		c.sharing.due.push(r.tag, own, nil)
	} else {
		c.sharing.leave(own)
	}
	q.waiting--
	if c.waiting.len() > 0 {
		q.rank(c)
		return
	}
	// The client's requests would be done now, too; and so would all if none waits.
	q.ready.remove(c.ready)
	if c.due > 0 {
		q.sharing.due.change(c.due, c.backlog)
	}
	c.sharing.clear()
	c.claims.clear()
	c.work = 0 // and not what rounding left
	q.latest = max(q.latest, c.taken)
	if q.waiting == 0 {
		q.work = 0
		q.sharing.clear()
		q.flat.clear()
		q.sharing.time = max(q.sharing.time, q.latest)
	}
}

// reweigh changes a client's weight. What it has waiting, or is ahead by, is as much work as before.
func (q *Queue) reweigh(c *client, weight float64) {
	now, ratio := q.sharing.time, c.weight/weight
	if c.due > 0 {
		c.backlog = now + (c.backlog-now)*ratio
		q.sharing.weights += weight - c.weight
		q.sharing.due.items[c.due-1].value = weight
		if c.waiting.len() == 0 {
			q.sharing.due.change(c.due, c.backlog)
		}
	}
	c.taken = now + (c.taken-now)*ratio
	for i := range c.ahead {
		c.ahead[i].until = now + (c.ahead[i].until-now)*ratio
	}
	c.weight = weight
}

// lead is the work by which a client is ahead of its share.
func (c *client) lead(q *Queue) float64 { return max(c.taken-q.sharing.time, 0) * c.weight }

// shared is how much of the requests by which the client is ahead a request of some work would have shared with, had they
// waited for it: no more of each than its own work.
func (c *client) shared(q *Queue, work float64) float64 {
	past := 0
	for past < len(c.ahead) && c.ahead[past].until <= q.sharing.time {
		past++
	}
	if 2*past >= len(c.ahead) {
		c.ahead, past = append(c.ahead[:0], c.ahead[past:]...), 0
	}
	sum := 0.
	for _, a := range c.ahead[past:] {
		sum += min(a.work, work)
	}
	return sum
}

// rank puts a client where its next request belongs. That is by the finish tag in flat, as if each request were a client:
// equals keep the order of arrival. A client that is ahead of its share by more than the burst is put behind others by as
// much.
func (q *Queue) rank(c *client) {
	r := c.waiting.first().value
	key := q.flat.time
	if c.claims.len() > 0 {
		key = c.claims.first().key
	}
	over := min(c.lead(q), c.shared(q, r.work)) - burst*r.work
	if others := q.waiting - c.waiting.len(); over > 0 && others > 0 {
		key = max(key, q.flat.time+(r.work+over*q.sharing.weights/float64(others))/c.weight)
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
