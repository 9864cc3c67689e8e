package workload

import (
	"math"
	"math/rand/v2"
)

// lengths returns n lengths in tokens with the shape of a log-normal distribution of the given sigma, between the
// bounds and with the given mean to within half a token: its quantiles at (i+½)/n, in random order. Drawn at random
// instead, a few hundred lengths would miss the mean by several per cent.
func lengths(random *rand.Rand, n int, mean, sigma float64, least, most int) []int {
	fill := func(scale float64) (out []int, sum float64) {
		out = make([]int, n)
		for i := range out {
			normal := math.Sqrt2 * math.Erfinv(2*(float64(i)+0.5)/float64(n)-1)
			out[i] = int(math.Round(min(max(scale*math.Exp(sigma*normal), float64(least)), float64(most))))
			sum += float64(out[i])
		}
		return out, sum
	}
	low, high := 0.0, float64(most)*math.Exp(4*sigma)
	for range 60 {
		if middle := (low + high) / 2; second(fill(middle)) < mean*float64(n) {
			low = middle
		} else {
			high = middle
		}
	}
	out, _ := fill(high)
	random.Shuffle(n, func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func second(_ []int, sum float64) float64 { return sum }
