package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
)

// burstBytes is the memory that Go may take beyond that before the first request, until it collects garbage more often.
const burstBytes = 192 << 20

// limitMemory makes Go collect garbage more often once requests take much memory: at gcPercent alone, the heap could grow
// to five times the memory in use.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	debug.SetMemoryLimit(int64(samples[0].Value.Uint64()-samples[1].Value.Uint64()) + burstBytes)
}
