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

// An entry is one contender's result on a problem.
type entry struct {
	contender string
	counters  sim.Counters // sums
	// dispatches is the number of dispatches.
	dispatches int
	kernels    string    // for the table: names or a summary
	output     []float64 // compared with the problem's reference; nil where the contender has verified parts itself
}

// total adds up reports.
func total(reports []sim.Report) (c sim.Counters) {
	for _, r := range reports {
		c = c.Plus(r.Counters, 1)
	}
	return c
}
