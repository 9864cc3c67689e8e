package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
)

// burstBytes is how much more memory Go may have than it has before the first request, while it collects garbage rarely.
const burstBytes = 192 << 20

// limitMemory has garbage be collected more often once requests take much memory: at gcPercent alone, Go's heap could become five
// times what they need.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	debug.SetMemoryLimit(int64(samples[0].Value.Uint64()-samples[1].Value.Uint64()) + burstBytes)
}
