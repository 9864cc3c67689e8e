// Package plan says how many nodes a load takes, from what was measured of a node: by a formula, checked in simulated time
// with the engine's own scheduler on every node.
//
// The formula: nodes behind a balancer that picks the one with the fewest requests are taken for one queue with a server
// for each node (M/G/n), whose service times are those of the requests' tokens at the node's best rate. Two things come on
// top, as a node computes in batches: what runs when a request comes has to end, and what comes meanwhile is computed with
// it. It errs on the safe side; plan_test.go says by how much.
package plan

import (
	"fmt"
	"time"

	"github.com/metalrank/metalrank/record"
)

// maxNodes bounds a plan.
const maxNodes = 10_000

// Plan is a fleet of nodes of one kind.
type Plan struct {
	Curve Curve
	// Nodes is how many there should be, Load.Survive among them; 0: no number is enough, and Reason says why.
	Nodes int
	// Reason is what makes it so many.
	Reason string
	// Utilisation is the part of the capacity in use when Survive nodes are down.
	Utilisation float64
	// PairsPerSecond is what a node does at most with pairs of the load's length.
	PairsPerSecond float64
	// Alone is the 99th percentile of requests that have a node to themselves.
	Alone time.Duration
	// P50 and P99 are what the formula says of Nodes without Survive, and Simulated what the simulation does.
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

// batch is the time, in seconds, of the batches that n nodes run: what comes while one runs makes the next, so that its
// time t is fixed + token·(tokens a second)·t; at least that of one request, at most that of a full one.
func (s *sizing) batch(n int) float64 {
	one := s.fixed + s.token*min(s.mean, batchTokens)
	full := s.fixed + s.token*batchTokens
	busy := s.token * s.load.Rate * s.mean / float64(n)
	if busy >= 1 {
		return full
	}
	return min(max(s.fixed/(1-busy), one), full)
}

// quantile is the latency, in seconds, that a part of the requests exceed with n nodes.
func (s *sizing) quantile(n int, part float64) float64 {
	service := s.mean / s.curve.TokensPerSecond
	wait := waitQuantile(n, s.load.Rate*service, service, s.scv, part)
	own := s.curve.alone(record.Percentile(s.sizes, 100*(1-part)))
	// A request that finds no node idle waits for the batch that runs, and shares the next.
	batch := s.batch(n)
	if waitExceeded(n, s.load.Rate*(s.fixed+s.token*s.mean)) > part {
		shared := s.fixed + s.token*min(s.mean, batchTokens)
		wait += batch + max(batch-shared, 0)
	}
	return own + wait
}

// enough says whether n nodes do, by the formula; if not, why.
func (s *sizing) enough(n int) (ok bool, why string) {
	if u := s.utilisation(n); u > s.load.MaxUtilisation {
		return false, fmt.Sprintf("utilisation, at most %.0f %%", 100*s.load.MaxUtilisation)
	}
	if s.quantile(n, 0.01) > s.load.P99.Seconds() {
		return false, fmt.Sprintf("p99, at most %v", s.load.P99)
	}
	return true, ""
}

// fewest is the smallest number of nodes that is enough from least on; 0: there is none.
func (s *sizing) fewest(least int) (n int, why string) {
	low, high := least, least // enough(high) and not enough(low-1), in the end
	for {
		ok, reason := s.enough(high)
		if ok {
			break
		}
		why = reason
		if high == maxNodes {
			return 0, why
		}
		low, high = high+1, min(2*high, maxNodes)
	}
	for low < high {
		middle := (low + high) / 2
		if ok, reason := s.enough(middle); ok {
			high = middle
		} else {
			low, why = middle+1, reason
		}
	}
	return high, why
}

// Make plans with one curve. With simulated, the number is raised until the simulation agrees.
func Make(c Curve, load Load, simulated bool) (*Plan, error) {
	if err := load.Validate(); err != nil {
		return nil, err
	}
	s, err := newSizing(&c, &load)
	if err != nil {
		return nil, err
	}
	p := &Plan{
		Curve: c, PairsPerSecond: c.TokensPerSecond / load.Tokens, Alone: duration(c.alone(record.Percentile(s.sizes, 99))),
		Far: load.Tokens < c.LeastTokensPerPair/2 || load.Tokens > 2*c.MostTokensPerPair,
	}
	if p.Alone > load.P99 {
		p.Reason = fmt.Sprintf("a request alone takes %v at the 99th percentile, more than %v", p.Alone.Round(time.Millisecond/10), load.P99)
		return p, nil
	}
	return p, p.find(s, simulated)
}

func (p *Plan) find(s *sizing, simulated bool) error {
	n, why := s.fewest(1)
	for n > 0 && simulated {
		var err error
		if p.Simulated, err = s.simulate(n, leastSimulated); err != nil {
			return err
		}
		if p.Simulated.Refused == 0 && p.Simulated.P99 <= s.load.P99 {
			break
		}
		why = "p99, as simulated"
		if n, _ = s.fewest(n + max(1, n/20)); n > maxNodes {
			n = 0
		}
	}
	if n == 0 || n+s.load.Survive > maxNodes {
		p.Reason, p.Simulated = fmt.Sprintf("more than %d nodes would be needed (%s)", maxNodes, why), nil
		return nil
	}
	p.Utilisation, p.P50, p.P99 = s.utilisation(n), duration(s.quantile(n, 0.5)), duration(s.quantile(n, 0.01))
	p.Nodes, p.Reason = n+s.load.Survive, reasonOf(why, s.load.Survive)
	return nil
}

func reasonOf(why string, survive int) string {
	if why == "" {
		why = "one is enough"
	}
	if survive > 0 {
		why += fmt.Sprintf("; %d may be down", survive)
	}
	return why
}
