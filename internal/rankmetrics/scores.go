package rankmetrics

import (
	"math"
	"slices"
)

// LargestDifference returns the largest |a−b| over all requests, +Inf where one is not finite.
func LargestDifference(a, b [][]float64) float64 {
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

// MeanTau is the mean of Kendall's tau within each request, over requests that have an order.
func MeanTau(a, b [][]float64) float64 {
	sum, n := 0.0, 0
	for i := range a {
		if tau := KendallTau(a[i], b[i]); !math.IsNaN(tau) {
			sum += tau
			n++
		}
	}
	return sum / float64(n)
}

// Deviation is the standard deviation of all values.
func Deviation(lists [][]float64) float64 {
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
