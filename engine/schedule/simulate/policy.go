package simulate

import (
	"math/rand/v2"
	"time"

	"github.com/metalrank/metalrank/engine/schedule"
)

// Policy decides which batch runs next.
type Policy interface {
	// Push accepts a request, or returns an error.
	Push(r *Request, now time.Duration) error
	// Leave is called when an accepted request has ended.
	Leave(r *Request)
	// Drop is called when the client of a request has gone. It says whether it removed the request's waiting sequences.
	Drop(r *Request) bool
	// Next fills b with a device's next batch, and says whether there is one; if not, the caller should ask again at the
	// returned time, unless that is 0. A batch is of one model.
	Next(device int, b *schedule.Batch, now time.Duration) (ok bool, again time.Duration)
	// Done says that a batch has run.
	Done(device int, b *schedule.Batch, now time.Duration)
}

// NewPolicy makes a policy for a run.
type NewPolicy func(*Config) Policy

// ours is the engine's scheduler.
type ours struct {
	queues  []*schedule.Queue
	devices []*schedule.Device
}

// Ours is the scheduler that the engine runs.
func Ours(c *Config) Policy {
	p := &ours{}
	for range c.Devices {
		p.devices = append(p.devices, schedule.NewDevice(c.Overlap))
	}
	for _, m := range c.Models {
		q := schedule.NewQueue(m.Limits)
		for _, d := range m.Devices {
			p.devices[d].Attach(q, m.Weight)
		}
		p.queues = append(p.queues, q)
	}
	return p
}

func (p *ours) Push(r *Request, now time.Duration) error {
	q := p.queues[r.Model]
	if err := q.Enter(); err != nil {
		return err
	}
	err := q.Push(&r.Request, now)
	if err != nil {
		q.Leave()
	}
	return err
}

func (p *ours) Leave(r *Request) { p.queues[r.Model].Leave() }

func (p *ours) Drop(r *Request) bool {
	p.queues[r.Model].Drop(&r.Request)
	return true
}

func (p *ours) Next(device int, b *schedule.Batch, now time.Duration) (bool, time.Duration) {
	return p.devices[device].Next(b, now)
}

func (p *ours) Done(device int, b *schedule.Batch, now time.Duration) { p.devices[device].Done(b, now) }

// Router picks the model that gets a request, where each model is a node of a fleet with devices of its own. requests has
// how many each of them has accepted and not ended.
type Router func(requests []int, random *rand.Rand) int

// Random picks any node.
func Random(requests []int, random *rand.Rand) int { return random.IntN(len(requests)) }

// RoundRobin returns a Router that picks nodes in turn.
func RoundRobin() Router {
	next := -1
	return func(requests []int, _ *rand.Rand) int {
		next = (next + 1) % len(requests)
		return next
	}
}

// LeastRequests picks one of the nodes with the fewest requests, as a load balancer does that counts connections ("balance
// leastconn" in HAProxy).
func LeastRequests(requests []int, random *rand.Rand) int {
	offset := random.IntN(len(requests)) // so that none is preferred
	best := offset
	for i := range requests {
		at := i + offset
		if at >= len(requests) {
			at -= len(requests)
		}
		if requests[at] < requests[best] {
			best = at
		}
		if requests[best] == 0 {
			break
		}
	}
	return best
}
