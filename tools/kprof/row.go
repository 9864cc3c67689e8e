package main

import (
	"slices"
	"time"

	"github.com/metalrank/metalrank/engine/cost"
)

// row is the cost of one kind of work in one layer, or a sum of several. JSON has all fields.
type row struct {
	Layer    int           `json:"layer"` // cost.NoLayer: of none
	Name     string        `json:"name"`
	Kernels  []string      `json:"kernels,omitempty"`
	Calls    uint64        `json:"calls"`
	Time     time.Duration `json:"time_ns"`        // of the device; on a CPU the workers' sum divided by their number
	FLOPs    float64       `json:"flops"`          // of products, for valid tokens
	Executed float64       `json:"flops_executed"` // with padding
	Bytes    float64       `json:"bytes"`          // of operands and results, once for each call
	Least    float64       `json:"bytes_least"`    // cost.Operation.Bytes; 0: not known

	Counters *counters `json:"counters,omitempty"` // of the simulator
}

// add adds the costs of another row.
func (r *row) add(other *row) {
	r.Calls += other.Calls
	r.Time += other.Time
	r.FLOPs += other.FLOPs
	r.Executed += other.Executed
	r.Bytes += other.Bytes
	r.Least += other.Least
	for _, k := range other.Kernels {
		if !slices.Contains(r.Kernels, k) {
			r.Kernels = append(r.Kernels, k)
		}
	}
	if other.Counters != nil {
		if r.Counters == nil {
			r.Counters = &counters{}
		}
		r.Counters.add(other.Counters)
	}
}

// intensity is in FLOPs to the byte.
func (r *row) intensity() float64 { return ratio(r.Executed, r.Bytes) }

// flopRate and byteRate are per second.
func (r *row) flopRate() float64 { return ratio(r.FLOPs, r.Time.Seconds()) }
func (r *row) byteRate() float64 { return ratio(r.Bytes, r.Time.Seconds()) }

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// grouped adds up rows with the same key, in the order of their first.
func grouped(rows []row, key func(*row) row) []row {
	var groups []row
	for i := range rows {
		k := key(&rows[i])
		at := slices.IndexFunc(groups, func(g row) bool { return g.Layer == k.Layer && g.Name == k.Name })
		if at < 0 {
			groups, at = append(groups, k), len(groups)
		}
		groups[at].add(&rows[i])
	}
	return groups
}

// byKernel adds up each kernel over all layers; byLayer adds up all kernels of each layer.
func byKernel(rows []row) []row {
	return grouped(rows, func(r *row) row { return row{Layer: cost.NoLayer, Name: r.Name} })
}

func byLayer(rows []row) []row {
	groups := grouped(rows, func(r *row) row { return row{Layer: r.Layer} })
	slices.SortStableFunc(groups, func(a, b row) int { return a.Layer - b.Layer }) // rows of no layer come first
	return groups
}

// total is all rows together.
func total(rows []row) row {
	all := row{Layer: cost.NoLayer, Name: "all"}
	for i := range rows {
		all.add(&rows[i])
	}
	return all
}
