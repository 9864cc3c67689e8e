package simulate

import (
	"cmp"
	"time"

	"github.com/metalrank/metalrank/engine/schedule"
)

// turns shares by deficit round robin three times: a device's time among models, a model's tokens among clients, a client's
// among requests. A newcomer goes first. It hands over as ours does.
type turns struct {
	lines   []*turnLine
	devices []*turnDevice
}

// turnLine is the requests of one model.
type turnLine struct {
	limits   schedule.Limits
	clients  ring[*turnClient]
	named    map[string]*turnClient
	entries  map[*Request]*turnRequest
	tokens   int // that wait
	requests int
	models   []*turnModel
}

type turnClient struct {
	share    share[*turnClient]
	requests ring[*turnRequest]
}

type turnRequest struct {
	share        share[*turnRequest]
	request      *Request
	client       *turnClient
	next, tokens int
}

type turnDevice struct {
	models       ring[*turnModel]
	runningModel *turnModel
	running      []turnBatch
	last, end    time.Duration
	ahead, lead  float64
}

type turnBatch struct {
	model   *turnModel
	began   time.Duration
	charged float64
}

type turnModel struct {
	share        share[*turnModel]
	line         *turnLine
	device       *turnDevice
	time, tokens float64
}

// turnOverlap, turnLead and turnQuantum are as this policy had them in the engine: batches handed over, how long before the
// end of one the next is, in parts of it, and the time of a model's turn.
const (
	turnOverlap = 2
	turnLead    = 0.2
	turnQuantum = float64(20 * time.Millisecond)
)

// Turns is the engine's former policy: processor sharing, in effect, so that equal requests all end late.
func Turns(c *Config) Policy {
	p := &turns{}
	for range c.Devices {
		d := &turnDevice{}
		d.models.config = ringConfig{total: turnQuantum, least: turnQuantum, first: turnQuantum, newcomers: turnQuantum}
		p.devices = append(p.devices, d)
	}
	for _, m := range c.Models {
		l := &turnLine{limits: m.Limits, named: map[string]*turnClient{}, entries: map[*Request]*turnRequest{}}
		l.clients.config = turnConfig(m.Limits)
		for _, d := range m.Devices {
			s := &turnModel{line: l, device: p.devices[d]}
			s.share.owner, s.share.weight = s, cmp.Or(m.Weight, 1)
			l.models = append(l.models, s)
		}
		p.lines = append(p.lines, l)
	}
	return p
}

func turnConfig(l schedule.Limits) ringConfig {
	total := float64(l.BatchTokens)
	return ringConfig{total: total, least: total / 64, first: total / 4, newcomers: 3 * total}
}

func (p *turns) Push(r *Request, _ time.Duration) error {
	l := p.lines[r.Model]
	if l.requests >= l.limits.Requests || l.tokens > 0 && l.tokens+r.tokens > l.limits.QueueTokens {
		return schedule.ErrOverloaded
	}
	c := l.named[r.Client]
	if c == nil {
		c = &turnClient{requests: ring[*turnRequest]{config: turnConfig(l.limits)}}
		c.share.owner = c
		l.named[r.Client] = c
	}
	l.requests++
	e := &turnRequest{request: r, client: c, tokens: r.tokens}
	e.share.owner, e.share.deadline, e.share.weight = e, r.Deadline, r.Weight
	l.entries[r] = e
	c.requests.join(&e.share, float64(r.tokens))
	if !c.share.joined() {
		c.share.weight = r.ClientWeight
		l.clients.join(&c.share, float64(r.tokens))
	} else if e.share.fresh {
		l.clients.promote(&c.share)
	}
	if l.tokens == 0 {
		for _, s := range l.models {
			s.device.models.join(&s.share, turnQuantum)
		}
	}
	l.tokens += r.tokens
	return nil
}

func (p *turns) Leave(r *Request) { p.lines[r.Model].requests-- }

func (p *turns) Drop(r *Request) bool {
	if e := p.lines[r.Model].entries[r]; e != nil {
		p.lines[r.Model].remove(e)
	}
	return true
}

// remove removes a request and its waiting tokens.
func (l *turnLine) remove(e *turnRequest) {
	delete(l.entries, e.request)
	l.tokens -= e.tokens
	e.client.requests.leave(&e.share)
	if e.client.requests.Len() == 0 {
		l.clients.leave(&e.client.share)
	} else {
		l.demote(e.client)
	}
	if l.tokens == 0 {
		for _, s := range l.models {
			s.device.models.leave(&s.share)
		}
	}
}

// demote lets a client go before others only while it has a newcomer.
func (l *turnLine) demote(c *turnClient) {
	if !c.requests.members[0].fresh {
		l.clients.demote(&c.share)
	}
}

func (p *turns) Next(device int, b *schedule.Batch, now time.Duration) (bool, time.Duration) {
	*b = schedule.Batch{Spans: b.Spans[:0], Expired: b.Expired[:0]}
	d := p.devices[device]
	if len(d.running) >= turnOverlap {
		return false, 0
	}
	if at := d.end - time.Duration(turnLead*d.lead); len(d.running) > 0 && at > now {
		return false, at
	}
	for {
		next := d.models.next()
		if next == nil || len(d.running) > 0 && next.owner != d.runningModel {
			return false, 0
		}
		s := next.owner
		if s.line.take(b, now); b.Sequences == 0 {
			continue // all had expired
		}
		charged := 0.
		if s.tokens > 0 {
			charged = float64(b.Tokens) * s.time / s.tokens
		}
		d.runningModel, d.lead = s, charged
		d.running = append(d.running, turnBatch{s, now, charged})
		d.models.charge(&s.share, charged)
		d.ahead += charged
		d.end = max(d.end, now) + time.Duration(charged)
		return true, 0
	}
}

func (l *turnLine) take(b *schedule.Batch, now time.Duration) {
	for l.tokens > 0 {
		c := l.clients.next().owner
		e := c.requests.next().owner
		if e.request.Deadline != 0 && e.request.Deadline <= now {
			l.remove(e)
			b.Expired = append(b.Expired, &e.request.Request)
			continue
		}
		turn := e.share.credit
		if !c.share.fresh {
			turn = min(turn, c.share.credit)
		}
		lengths := e.request.Lengths
		from, taken := e.next, 0
		for e.next < len(lengths) && float64(taken) < turn {
			n := int(lengths[e.next])
			if sum := b.Tokens + taken; sum > 0 && sum+n > l.limits.BatchTokens {
				break
			}
			taken += n
			e.next++
		}
		if taken == 0 {
			return // full
		}
		b.Spans = append(b.Spans, schedule.Span{Request: &e.request.Request, From: from, To: e.next})
		b.Tokens += taken
		b.Sequences += e.next - from
		e.tokens -= taken
		l.tokens -= taken
		c.requests.charge(&e.share, float64(taken))
		l.clients.charge(&c.share, float64(taken))
		if e.next == len(lengths) {
			l.remove(e)
		} else {
			l.demote(c)
		}
	}
}

func (p *turns) Done(device int, b *schedule.Batch, now time.Duration) {
	d := p.devices[device]
	done := d.running[0]
	d.running = d.running[:copy(d.running, d.running[1:])]
	used := float64(now - max(done.began, d.last))
	s := done.model
	d.models.charge(&s.share, used-done.charged)
	s.time, s.tokens = 0.9*s.time+used, 0.9*s.tokens+float64(b.Tokens)
	d.last = now
	d.ahead -= done.charged
	d.end = now + time.Duration(d.ahead)
}
