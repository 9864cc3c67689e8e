package main

import (
	"math"
	"slices"
)

// median returns the middle value, or the mean of the two in the middle; NaN of none.
func median(values []float64) float64 { return percentile(values, 50) }

// percentile interpolates between the two nearest ranks; NaN of no values.
func percentile(values []float64, percent float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := percent / 100 * float64(len(sorted)-1)
	below := int(rank)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (rank-float64(below))*(sorted[above]-sorted[below])
}

// spread returns (largest − smallest) / median.
func spread(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	return (slices.Max(values) - slices.Min(values)) / median(values)
}

// kendallTau is Kendall's rank correlation of two lists, tau-b, which allows for ties; NaN where a list has no two
// values that differ.
func kendallTau(a, b []float64) float64 {
	var agree, untiedA, untiedB float64
	for i := range a {
		for j := range i {
			x, y := sign(a[i]-a[j]), sign(b[i]-b[j])
			agree += x * y
			untiedA += x * x
			untiedB += y * y
		}
	}
	return agree / math.Sqrt(untiedA*untiedB)
}

func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return 0
}

// largestDifference returns the largest |a−b| over all requests, +Inf where one is not finite.
func largestDifference(a, b [][]float64) float64 {
	largest := 0.0
	for i := range a {
		for j := range a[i] {
			d := math.Abs(a[i][j] - b[i][j])
			if math.IsNaN(d) {
				d = math.Inf(1)
			}
			largest = max(largest, d)
		}
	}
	return largest
}

// meanTau is the mean of Kendall's tau within each request, over requests that have an order.
func meanTau(a, b [][]float64) float64 {
	sum, n := 0.0, 0
	for i := range a {
		if tau := kendallTau(a[i], b[i]); !math.IsNaN(tau) {
			sum += tau
			n++
		}
	}
	return sum / float64(n)
}

// deviation is the standard deviation of all values.
func deviation(lists [][]float64) float64 {
	all := slices.Concat(lists...)
	mean, squares := 0.0, 0.0
	for _, v := range all {
		mean += v / float64(len(all))
	}
	for _, v := range all {
		squares += (v - mean) * (v - mean) / float64(len(all))
	}
	return math.Sqrt(squares)
}
