// Package plan says how many nodes a load takes, from measurements of one node: by a formula, checked in simulated time
// with the engine's own scheduler on every node.
//
// The formula: behind a balancer that picks the node with the fewest requests, the nodes are one queue with a server for
// each node (G/G/n); its service times are those of the requests' tokens at the node's best rate. Behind a balancer that
// doesn't look at the nodes, each node is a queue of its own (G/G/1). Two times are added, since a node computes in
// batches: the batch that runs when a request comes has to end, and requests that come meanwhile share the next batch.
// plan_test.go bounds the formula's error.
package plan

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/metalrank/metalrank/internal/record"
)

// maxNodes bounds a plan.
const maxNodes = 10_000

// Plan is a fleet of nodes of one kind.
type Plan struct {
	Curve Curve
	// Nodes is how many there should be, including Load.Survive; 0: no number is enough, and Reason says why.
	Nodes int
	// Reason is the limit that determines Nodes.
	Reason string
	// Utilisation is the part of the capacity in use when Survive nodes are down.
	Utilisation float64
	// PairsPerSecond is the most that a node reaches with pairs of the load's length.
	PairsPerSecond float64
	// Alone is the 99th percentile of requests that have a node to themselves.
	Alone time.Duration
	// P50 and P99 are the formula's latencies with Survive nodes down, Simulated the simulation's.
	P50, P99  time.Duration
	Simulated *Simulation
	// Far says that the load's pairs are much shorter or longer than those that were measured.
	Far bool
}

// sizing is a curve under a load.
type sizing struct {
	curve *Curve
	load  *Load
	sizes []float64 // tokens of requests, sorted

	mean, scv    float64 // of the sizes
	fixed, token float64 // of a batch, in seconds
}

func newSizing(c *Curve, l *Load) (*sizing, error) {
	sizes, err := l.sizes()
	if err != nil {
		return nil, err
	}
	s := &sizing{curve: c, load: l, sizes: sizes}
	s.mean, s.scv = moments(sizes)
	s.fixed, s.token = c.device()
	return s, nil
}

// utilisation is the part of n nodes' capacity that the load takes.
func (s *sizing) utilisation(n int) float64 {
	return s.load.Rate * s.mean / (s.curve.TokensPerSecond * float64(n))
}

// batch returns the time, in seconds, of a batch on one of n nodes. Requests that come during one batch make up the next,
// so that its time t is fixed + token·(tokens a second)·t; at least that of one request, at most that of a full batch.
func (s *sizing) batch(n int) float64 {
	one := s.fixed + s.token*min(s.mean, batchTokens)
	full := s.fixed + s.token*batchTokens
	busy := s.token * s.load.Rate * s.mean / float64(n)
	if busy >= 1 {
		return full
	}
	return min(max(s.fixed/(1-busy), one), full)
}

// queue describes the queue that a request joins on n nodes: its number of servers, its arrivals a second, and their index
// of dispersion. With random routing, a node gets a part of each burst; with round-robin, it gets every nth request, which
// is more even.
func (s *sizing) queue(n int) (servers int, rate, dispersion float64) {
	each := s.load.Rate / float64(n)
	switch s.load.Routing {
	case RoundRobin:
		return 1, each, s.load.Dispersion / float64(n)
	case Random:
		return 1, each, 1 + (s.load.Dispersion-1)/float64(n)
	default:
		return n, s.load.Rate, s.load.Dispersion
	}
}

// quantile is the latency, in seconds, that a part of the requests exceed with n nodes.
func (s *sizing) quantile(n int, part float64) float64 {
	service := s.mean / s.curve.TokensPerSecond
	servers, rate, dispersion := s.queue(n)
	wait := waitQuantile(servers, rate*service, dispersion, service, s.scv, part)
	own := s.curve.alone(record.PercentileOfSorted(s.sizes, 100*(1-part)))
	// A request that finds no node idle waits for the batch that runs, and shares the next.
	batch := s.batch(n)
	if waitExceededInBursts(servers, rate*(s.fixed+s.token*s.mean), dispersion) > part {
		shared := s.fixed + s.token*min(s.mean, batchTokens)
		wait += batch + max(batch-shared, 0)
	}
	return own + wait
}

// least is how many nodes the load's utilisation takes; more than maxNodes where that many can't bear it.
func (s *sizing) least() int {
	return max(1, int(min(math.Ceil(s.utilisation(1)/s.load.MaxUtilisation), maxNodes+1)))
}

// smallest returns the smallest number from least to maxNodes for which ok holds, or 0 if there is none; from 100 on, it
// may be 1 % too large. If ok holds for a number, it must hold for all larger ones. guess is tried first.
func smallest(least, guess int, ok func(n int) (bool, error)) (int, error) {
	low, high := least, max(least, guess)
	for {
		enough, err := ok(high)
		if err != nil {
			return 0, err
		}
		if enough {
			break
		}
		if high >= maxNodes {
			return 0, nil
		}
		low, high = high+1, min(2*high, maxNodes)
	}
	for high-low > high/100 {
		middle := (low + high) / 2
		enough, err := ok(middle)
		if err != nil {
			return 0, err
		}
		if enough {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return high, nil
}

// Make plans with one curve. With simulated, the simulation decides, and the formula only says where to begin.
func Make(ctx context.Context, c Curve, load Load, simulated bool) (*Plan, error) {
	if err := load.Validate(); err != nil {
		return nil, err
	}
	s, err := newSizing(&c, &load)
	if err != nil {
		return nil, err
	}
	p := &Plan{
		Curve: c, PairsPerSecond: c.TokensPerSecond / load.Tokens, Alone: duration(c.alone(record.PercentileOfSorted(s.sizes, 99))),
		Far: load.Tokens < c.LeastTokensPerPair/2 || load.Tokens > 2*c.MostTokensPerPair,
	}
	least := s.least()
	limit := fmt.Sprintf("utilisation, at most %.0f %%", 100*load.MaxUtilisation)
	switch {
	case p.Alone > load.P99:
		p.Reason = fmt.Sprintf("no number is enough: a request alone takes %v at the 99th percentile, more than %v", p.Alone.Round(time.Millisecond/10), load.P99)
		return p, nil
	case least+load.Survive > maxNodes:
		p.Reason = tooMany(limit)
		return p, nil
	}
	n, err := p.find(ctx, s, least, simulated)
	if err != nil {
		return nil, err
	}
	if n > least || n == 0 {
		limit = fmt.Sprintf("p99, at most %v", load.P99)
	}
	if n == 0 || n+load.Survive > maxNodes {
		p.Reason, p.Simulated = tooMany(limit), nil
		return p, nil
	}
	p.Utilisation, p.P50, p.P99 = s.utilisation(n), duration(s.quantile(n, 0.5)), duration(s.quantile(n, 0.01))
	p.Nodes, p.Reason = n+load.Survive, limit
	if n == 1 {
		p.Reason = "one is enough"
	}
	if load.Survive > 0 {
		p.Reason += fmt.Sprintf("; %d may be down", load.Survive)
	}
	return p, nil
}

func tooMany(limit string) string {
	return fmt.Sprintf("more than %d nodes would be needed (%s)", maxNodes, limit)
}

// find returns how many nodes are enough, from least on; 0: there is no such number up to maxNodes.
func (p *Plan) find(ctx context.Context, s *sizing, least int, simulated bool) (int, error) {
	n, err := smallest(least, least, func(n int) (bool, error) { return s.quantile(n, 0.01) <= s.load.P99.Seconds(), nil })
	if err != nil || !simulated {
		return n, err
	}
	if n == 0 {
		n = least
	}
	return smallest(least, n, func(n int) (bool, error) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		simulation, err := s.simulate(n, leastSimulated)
		if err != nil || simulation.Refused > 0 || simulation.P99 > s.load.P99 {
			return false, err
		}
		p.Simulated = simulation // the last one that is enough belongs to the number returned
		return true, nil
	})
}
