package main

import (
	"math"
	"slices"

	"github.com/metalrank/metalrank/internal/record"
)

// pass is one system's pass over a workload's requests: seconds of each that it did, from the first on. A slow system
// runs out of time before the last.
type pass []float64

// series is all runs of one system over one workload, one for each round.
type series struct {
	System      system `json:"system"`
	Workload    string `json:"workload"`
	MicroTokens int    `json:"micro_tokens,omitempty"` // of a tuned system: the fastest size for this workload
	Runs        []pass `json:"seconds"`
}

// pairsPerSecond returns a run's speed; documents[i] is how many pairs request i has.
func pairsPerSecond(p pass, documents []int) float64 {
	pairs, seconds := 0, 0.0
	for i, s := range p {
		pairs += documents[i]
		seconds += s
	}
	return float64(pairs) / seconds
}

// speeds returns the speed of every run.
func (s *series) speeds(documents []int) []float64 {
	speeds := make([]float64, len(s.Runs))
	for i, r := range s.Runs {
		speeds[i] = pairsPerSecond(r, documents)
	}
	return speeds
}

// whole says whether every run got through all requests.
func (s *series) whole(requests int) bool {
	for _, r := range s.Runs {
		if len(r) < requests {
			return false
		}
	}
	return true
}

// each returns the seconds of every request of every run.
func (s *series) each() []float64 {
	var all []float64
	for _, r := range s.Runs {
		all = append(all, r...)
	}
	return all
}

// speedups returns, for each round, how many times faster s was than other in it, over the requests that both did.
func (s *series) speedups(other *series) []float64 {
	ratios := make([]float64, min(len(s.Runs), len(other.Runs)))
	for i := range ratios {
		mine, theirs := s.Runs[i], other.Runs[i]
		n := min(len(mine), len(theirs))
		ratios[i] = sum(theirs[:n]) / sum(mine[:n])
	}
	return ratios
}

func sum(values []float64) float64 {
	total := 0.0
	for _, v := range values {
		total += v
	}
	return total
}

// median returns the middle value, or the mean of the two in the middle; NaN of none.
func median(values []float64) float64 { return record.Percentile(values, 50) }

// spread returns (largest − smallest) / median.
func spread(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	return (slices.Max(values) - slices.Min(values)) / median(values)
}
