package main

import "github.com/metalrank/metalrank/metal/sim"

// counters are the simulator's of some dispatches.
type counters struct {
	sim.Counters

	Dispatches uint64 `json:"dispatches"`
	// Occupancy is the estimate of how full cores are: the mean over dispatches, weighted by their threads.
	Occupancy float64 `json:"occupancy"`
}

// countersOf adds up what was executed for some reports.
func countersOf(reports []sim.Report) *counters {
	var all counters
	for i := range reports {
		r := &reports[i]
		all.add(&counters{Counters: r.Counters, Dispatches: 1, Occupancy: occupancy(r)})
	}
	return &all
}

func (c *counters) add(other *counters) {
	threads := float64(c.Threads + other.Threads)
	c.Occupancy = ratio(c.Occupancy*float64(c.Threads)+other.Occupancy*float64(other.Threads), threads)
	c.Dispatches += other.Dispatches
	c.Counters = c.Plus(other.Counters, 1)
}

// What a core of Apple's GPUs has room for, and how many cores the smallest has of the kind that macOS runs on. The number
// of threads depends on their registers, which the simulator can't know: 1,024 is what 208 KB allow at 52 registers.
const (
	coreThreads     = 1024
	coreMemoryBytes = 32 << 10
	estimatedCores  = 10
)

// occupancy estimates which part of the threads that cores have room for is taken, on average, while a dispatch runs: how
// many threadgroups fit a core side by side, by their threads and by their memory, and how full the last round of them is.
func occupancy(r *sim.Report) float64 {
	groups := float64(r.Counters.Threadgroups)
	if groups == 0 {
		return 0
	}
	threads := int(r.Counters.Threads / r.Counters.Threadgroups)
	beside := max(coreThreads/max(threads, 1), 1)
	if r.ThreadgroupMemoryBytes > 0 {
		beside = max(min(beside, coreMemoryBytes/r.ThreadgroupMemoryBytes), 1)
	}
	slots := float64(beside * estimatedCores)
	rounds := float64(int((groups + slots - 1) / slots))
	resident := min(float64(beside*threads)/coreThreads, 1)
	return resident * groups / (rounds * slots)
}

// deviceBytes are read and written; uniqueBytes those that no cache could save.
func (c *counters) deviceBytes() float64 { return float64(c.DeviceReadBytes + c.DeviceWrittenBytes) }
func (c *counters) uniqueBytes() float64 {
	return float64(c.DeviceReadUniqueBytes + c.DeviceWrittenUniqueBytes)
}
func (c *counters) threadgroupBytes() float64 {
	return float64(c.ThreadgroupReadBytes + c.ThreadgroupWrittenBytes)
}
