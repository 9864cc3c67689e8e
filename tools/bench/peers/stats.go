package main

import (
	"math"
	"slices"

	"github.com/metalrank/metalrank/internal/record"
)

// median returns the middle value, or the mean of the two in the middle; NaN of none.
func median(values []float64) float64 { return record.Percentile(values, 50) }

// spread returns (largest − smallest) / median.
func spread(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	return (slices.Max(values) - slices.Min(values)) / median(values)
}
