package main

import "github.com/metalrank/metalrank/metal/sim"

// counters are the simulator's counters of some dispatches.
type counters struct {
	sim.Counters

	Dispatches uint64 `json:"dispatches"`
	// Occupancy is the estimate of how full cores are: the mean over dispatches, weighted by their threads.
	Occupancy float64 `json:"occupancy"`
}

// countersOf adds up the counters of the reports.
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

// Capacity of a core of Apple's GPUs, and the number of cores of the smallest GPU that macOS runs on. The number of
// threads depends on their registers, which the simulator can't know: 208 KB allow 1,024 threads at 52 registers.
const (
	coreThreads     = 1024
	coreMemoryBytes = 32 << 10
	estimatedCores  = 10
)

// occupancy estimates the fraction of the cores' thread slots that a dispatch fills, on average, while it runs. It
// depends on how many threadgroups fit a core side by side, by their threads and by their memory, and on how full the
// last round of them is.
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

// deviceBytes counts the bytes read and written; uniqueBytes counts each once, as with a perfect cache.
func (c *counters) deviceBytes() float64 { return float64(c.DeviceReadBytes + c.DeviceWrittenBytes) }
func (c *counters) uniqueBytes() float64 {
	return float64(c.DeviceReadUniqueBytes + c.DeviceWrittenUniqueBytes)
}
func (c *counters) threadgroupBytes() float64 {
	return float64(c.ThreadgroupReadBytes + c.ThreadgroupWrittenBytes)
}
