package main

import (
	"github.com/metalrank/metalrank/metal/sim"
)

// A contender solves problems by kernels of its own.
type contender interface {
	name() string
	// solve runs p's kernels in the simulator, in checked mode.
	solve(p *operation) (entry, error)
}

// An entry is what came of one contender's attempt at a problem.
type entry struct {
	contender string
	counters  sim.Counters // sums
	// dispatches is how many there were.
	dispatches int
	kernels    string    // for the table: names or a summary
	output     []float64 // what the problem's reference is held against; nil where the contender has verified parts itself
}

// total adds up reports.
func total(reports []sim.Report) (c sim.Counters) {
	for _, r := range reports {
		c = c.Plus(r.Counters, 1)
	}
	return c
}
