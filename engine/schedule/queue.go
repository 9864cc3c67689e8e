package schedule

import "time"

// Queue holds the requests of one model.
type Queue struct {
	limits  Limits
	turns   ringConfig
	clients ring[*client]
	named   map[string]*client
	seats   []*seat

	tokens   int           // that wait
	reserved int           // that requests are expected to have which are still to be pushed
	waiting  int           // requests of which something waits
	requests int           // between Enter and Leave
	takes    uint64        // calls of take
	idle     int           // names from which on those without requests are forgotten
	since    time.Duration // when what waits began to, or was last taken from
}

// client is a name that requests share.
type client struct {
	share    share[*client]
	requests ring[*Request]
	tokens   int // that wait
	reserved int // as in Queue
}

// Tuning is how turns are cut, in parts of BatchTokens.
type Tuning struct {
	// First is a newcomer's credit.
	First float64
	// Newcomers is what newcomers may put before the others in a round, which has another whole one for those.
	Newcomers float64
	// Least keeps a turn from being so short that turns are all there is.
	Least float64
}

// DefaultTuning is chosen by simulation (RATIONALE.md, "Scheduling"). A request of eight documents of a hundred words is
// done in one turn.
func DefaultTuning() Tuning { return Tuning{First: 0.25, Newcomers: 3, Least: 1. / 64} }

// minIdleClients is how many clients are remembered at least, for what they took of this round, though they may have no
// requests.
const minIdleClients = 4096

// NewQueue returns an empty queue. Limits must hold to their bounds.
func NewQueue(limits Limits) *Queue { return NewTunedQueue(limits, DefaultTuning()) }

// NewTunedQueue is NewQueue for those who try what DefaultTuning should be.
func NewTunedQueue(limits Limits, t Tuning) *Queue {
	total := float64(limits.BatchTokens)
	q := &Queue{limits: limits, named: map[string]*client{}, idle: minIdleClients}
	q.turns = ringConfig{total: total, least: t.Least * total, first: t.First * total, newcomers: t.Newcomers * total}
	q.clients.config = q.turns
	return q
}

// Limits returns what NewQueue was given.
func (q *Queue) Limits() Limits { return q.limits }

// Tokens is how many wait. Requests is how many are between Enter and Leave.
func (q *Queue) Tokens() int { return q.tokens }

// Requests is how many are between Enter and Leave.
func (q *Queue) Requests() int { return q.requests }

// Enter counts a request of which the length is not known yet, as it is still to be tokenised. Leave ends it, pushed or
// not. The error is an *OverloadError.
func (q *Queue) Enter() error {
	if q.requests >= q.limits.Requests {
		each := float64(q.tokens) / float64(max(q.waiting, 1))
		return &OverloadError{Limit: "Requests", Value: q.requests + 1, Max: q.limits.Requests, RetryAfter: q.timeFor(each)}
	}
	q.requests++
	return nil
}

// Leave is for each Enter.
func (q *Queue) Leave() { q.requests-- }

// Reserve counts tokens of a client's request that are expected, as it is still to be tokenised, or refuses it before
// that work is done. Release is for each Reserve, when the tokens are known. The error is an *OverloadError.
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

// Full says whether not even a token more of a client would be accepted; the error is an *OverloadError.
func (q *Queue) Full(client string) error {
	own := 0
	if c := q.named[client]; c != nil {
		own = c.tokens + c.reserved
	}
	return q.admit(q.tokens+q.reserved, own, 1)
}

// Push accepts all of a request, or nothing: then the error is an *OverloadError.
func (q *Queue) Push(r *Request, now time.Duration) error {
	tokens := 0
	for _, n := range r.Lengths {
		tokens += int(n)
	}
	c := q.client(r.Client)
	// Without what is reserved: that was admitted, and this was.
	if err := q.admit(q.tokens, c.tokens, tokens); err != nil {
		return err
	}
	if len(r.Lengths) == 0 {
		return nil
	}
	r.client = c
	c.tokens += tokens
	r.tokens, r.pushed, r.state = tokens, now, queued
	r.share.owner, r.share.weight, r.share.deadline = r, r.Weight, r.Deadline
	r.client.requests.join(&r.share, float64(tokens))
	if !r.client.share.joined() {
		r.client.share.weight = r.ClientWeight
		q.clients.join(&r.client.share, float64(tokens))
	} else if r.share.fresh {
		q.clients.hurry(&r.client.share)
	}
	if q.waiting == 0 {
		q.since = now
		for _, s := range q.seats {
			s.device.models.join(&s.share, float64(modelQuantum))
		}
	}
	q.waiting++
	q.tokens += tokens
	return nil
}

// roomPart is how many times what is free a client may have waiting, when it isn't the only one: so that whoever sends too
// much finds the queue full before the others do, and yet one alone can fill 8/9 of it. Switches that share memory between
// queues do so (Choudhury and Hahne, "Dynamic queue length thresholds", 1998).
const roomPart = 8

// admit says whether a client that has some of the tokens that wait may have more. Whatever a request has, it may come when
// nothing waits.
func (q *Queue) admit(waiting, own, tokens int) error {
	if sum := waiting + tokens; sum > q.limits.QueueTokens && waiting > 0 {
		over := min(sum-q.limits.QueueTokens, waiting)
		return &OverloadError{
			Limit: "QueueTokens", Value: sum, Max: q.limits.QueueTokens, RetryAfter: q.timeFor(float64(over)),
		}
	}
	most := roomPart * (q.limits.QueueTokens - waiting)
	if sum := own + tokens; sum > most && own > 0 && len(q.named) > 1 {
		over := min(sum-most, own)
		return &OverloadError{
			Limit: "QueueTokens of one client", Value: sum, Max: most, RetryAfter: q.timeFor(float64(over)),
		}
	}
	return nil
}

// client finds or makes the one of that name.
func (q *Queue) client(name string) *client {
	c := q.named[name]
	if c == nil {
		if len(q.named) >= q.idle {
			q.forget()
		}
		c = &client{requests: ring[*Request]{config: q.turns}}
		c.share.owner = c
		q.named[name] = c
	}
	return c
}

// forget lets go of clients that have nothing here. It is not called again until there are twice as many as are left, so
// that it costs little for each.
func (q *Queue) forget() {
	for name, c := range q.named {
		if !c.share.joined() && c.reserved == 0 {
			delete(q.named, name)
		}
	}
	q.idle = max(minIdleClients, 2*len(q.named))
}

// Drop takes what still waits of a request out of the queue. What runs comes back with its batch; until then the
// request isn't Idle. Dropping twice, or what was never pushed, does nothing.
func (q *Queue) Drop(r *Request) {
	if r.state != queued {
		return
	}
	r.state = dropped
	q.tokens -= r.tokens
	r.client.tokens -= r.tokens
	r.tokens = 0
	if r.share.joined() {
		q.remove(r)
	}
}

// Clear drops every request of which something waits, and calls f with each.
func (q *Queue) Clear(f func(*Request)) {
	for q.waiting > 0 {
		r := q.clients.members[0].owner.requests.members[0].owner
		q.Drop(r)
		f(r)
	}
}

// remove takes a request of which nothing waits from its rings.
func (q *Queue) remove(r *Request) {
	r.client.requests.leave(&r.share)
	if r.client.requests.Len() == 0 {
		q.clients.leave(&r.client.share)
	} else {
		q.calm(r.client)
	}
	q.waiting--
	if q.waiting == 0 {
		for _, s := range q.seats {
			s.device.models.leave(&s.share)
		}
	}
}

// calm lets a client go before others only while it has a newcomer.
func (q *Queue) calm(c *client) {
	if !c.requests.members[0].fresh {
		q.clients.calm(&c.share)
	}
}

// take fills b with up to the limit of tokens.
func (q *Queue) take(b *Batch, now time.Duration) {
	b.Queue, b.started = q, now
	q.takes++
	for full := false; !full && q.waiting > 0; {
		c := q.clients.next().owner
		r := c.requests.next().owner
		if r.Deadline != 0 && r.Deadline <= now {
			q.Drop(r)
			b.Expired = append(b.Expired, r)
			continue
		}
		turn := r.share.credit
		if !c.share.fresh {
			turn = min(turn, c.share.credit)
		}
		to, taken := r.next, 0
		for to < len(r.Lengths) && float64(taken) < turn {
			n := int(r.Lengths[to])
			if full = b.Tokens+taken+n > q.limits.BatchTokens && b.Tokens+taken > 0; full {
				break
			}
			taken += n
			to++
		}
		if taken == 0 {
			continue // full
		}
		b.add(r, to, taken)
		q.tokens -= taken
		c.tokens -= taken
		c.requests.charge(&r.share, float64(taken))
		q.clients.charge(&c.share, float64(taken))
		if to == len(r.Lengths) {
			q.remove(r)
		} else {
			q.calm(c)
		}
	}
	q.since = now
}

// timeFor is how long the model's devices take for tokens, as they are shared now.
func (q *Queue) timeFor(tokens float64) time.Duration {
	rate := 0.
	for _, s := range q.seats {
		rate += s.rate()
	}
	if rate == 0 {
		return 0
	}
	return time.Duration(tokens / rate)
}
