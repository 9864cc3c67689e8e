package record

import (
	"math"
	"slices"
)

// Percentile interpolates between the two nearest ranks, as numpy.percentile does by default; NaN of no values.
func Percentile(values []float64, percent float64) float64 {
	return PercentileOfSorted(slices.Sorted(slices.Values(values)), percent)
}

// PercentileOfSorted is Percentile of values that are sorted already.
func PercentileOfSorted(sorted []float64, percent float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	rank := percent / 100 * float64(len(sorted)-1)
	below := int(rank)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (rank-float64(below))*(sorted[above]-sorted[below])
}

// Mean returns the mean of values; NaN of none.
func Mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// Summarize computes Requests, Pairs, Latency and Throughput from Latencies, Documents and Seconds.
func (c *Cell) Summarize() {
	c.Requests, c.Pairs, c.Latency, c.Throughput = len(c.Latencies), 0, Quantiles{}, Throughput{}
	if c.Requests == 0 {
		return
	}
	speeds := make([]float64, c.Requests) // pairs per second of each request
	for i, ms := range c.Latencies {
		c.Pairs += c.documentsOf(i)
		speeds[i] = float64(c.documentsOf(i)) / (ms / 1e3)
	}
	sorted := slices.Sorted(slices.Values(c.Latencies))
	c.Latency = Quantiles{
		Mean: Mean(sorted), P50: PercentileOfSorted(sorted, 50), P90: PercentileOfSorted(sorted, 90), P95: PercentileOfSorted(sorted, 95),
		P99: PercentileOfSorted(sorted, 99), Max: sorted[len(sorted)-1],
	}
	slices.Sort(speeds)
	c.Throughput = Throughput{
		Mean: float64(c.Pairs) / c.Seconds, P50: PercentileOfSorted(speeds, 50), P95: PercentileOfSorted(speeds, 95), P99: PercentileOfSorted(speeds, 99),
	}
}

// documentsOf returns how many documents request i had.
func (c *Cell) documentsOf(i int) int {
	if c.Documents != nil {
		return c.Documents[i]
	}
	return c.Batch
}
