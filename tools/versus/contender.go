package main

import (
	"github.com/metalrank/metalrank/metal/sim"
)

// A contender solves problems by kernels of its own.
type contender interface {
	name() string
	// solve runs p's kernels in the simulator, in checked mode.
	solve(p *problem) (entry, error)
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
		c = add(c, r.Counters, 1)
	}
	return c
}

// add returns a + times·b, field by field.
func add(a, b sim.Counters, times uint64) sim.Counters {
	return sim.Counters{
		Threadgroups:             a.Threadgroups + times*b.Threadgroups,
		Threads:                  a.Threads + times*b.Threads,
		ThreadgroupBarriers:      a.ThreadgroupBarriers + times*b.ThreadgroupBarriers,
		SimdgroupBarriers:        a.SimdgroupBarriers + times*b.SimdgroupBarriers,
		SimdgroupOperations:      a.SimdgroupOperations + times*b.SimdgroupOperations,
		MatrixMultiplies:         a.MatrixMultiplies + times*b.MatrixMultiplies,
		Transcendentals:          a.Transcendentals + times*b.Transcendentals,
		DeviceReadBytes:          a.DeviceReadBytes + times*b.DeviceReadBytes,
		DeviceWrittenBytes:       a.DeviceWrittenBytes + times*b.DeviceWrittenBytes,
		DeviceReadUniqueBytes:    a.DeviceReadUniqueBytes + times*b.DeviceReadUniqueBytes,
		DeviceWrittenUniqueBytes: a.DeviceWrittenUniqueBytes + times*b.DeviceWrittenUniqueBytes,
		ConstantReadBytes:        a.ConstantReadBytes + times*b.ConstantReadBytes,
		ThreadgroupReadBytes:     a.ThreadgroupReadBytes + times*b.ThreadgroupReadBytes,
		ThreadgroupWrittenBytes:  a.ThreadgroupWrittenBytes + times*b.ThreadgroupWrittenBytes,
		Atomics:                  a.Atomics + times*b.Atomics,
	}
}
