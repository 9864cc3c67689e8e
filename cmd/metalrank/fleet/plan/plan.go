// Package plan says how many nodes a load takes, from measurements of one node. It simulates the fleet, with the engine's
// own scheduler on every node, and looks for the smallest fleet that is quick enough.
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
	// Simulated is the fleet with Survive nodes down.
	Simulated *Simulation
	// Far says that the load's pairs are much shorter or longer than those that were measured.
	Far bool
}

// sizing is a curve under a load.
type sizing struct {
	curve *Curve
	load  *Load
	sizes []float64 // tokens of requests, sorted

	mean         float64 // of the sizes
	fixed, token float64 // of a batch, in seconds
}

func newSizing(c *Curve, l *Load) (*sizing, error) {
	sizes, err := l.sizes()
	if err != nil {
		return nil, err
	}
	s := &sizing{curve: c, load: l, sizes: sizes}
	for _, size := range sizes {
		s.mean += size / float64(len(sizes))
	}
	s.fixed, s.token = c.device()
	return s, nil
}

// utilisation is the part of n nodes' capacity that the load takes.
func (s *sizing) utilisation(n int) float64 {
	return s.load.Rate * s.mean / (s.curve.TokensPerSecond * float64(n))
}

// least is how many nodes the load's utilisation takes; more than maxNodes where that many can't bear it.
func (s *sizing) least() int {
	return max(1, int(min(math.Ceil(s.utilisation(1)/s.load.MaxUtilisation), maxNodes+1)))
}

// smallest returns the smallest number from least to maxNodes for which ok holds, or 0 if there is none; from 100 on, it
// may be 1 % too large. If ok holds for a number, it must hold for all larger ones.
func smallest(least int, ok func(n int) (bool, error)) (int, error) {
	low, high := least, least
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

// Make plans with one curve.
func Make(ctx context.Context, c Curve, load Load) (*Plan, error) {
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
	n, err := p.find(ctx, s, least)
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
	p.Utilisation, p.Nodes, p.Reason = s.utilisation(n), n+load.Survive, limit
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
func (p *Plan) find(ctx context.Context, s *sizing, least int) (int, error) {
	return smallest(least, func(n int) (bool, error) {
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
