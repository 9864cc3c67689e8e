package plan

import "math"

// waitExceeded returns the chance that none of n servers is free when a request comes: Erlang's C for the offered work
// (arrivals a second times seconds of service), from Erlang's B by the usual recursion, which doesn't overflow. It is 1
// where the work is more than the servers can do.
func waitExceeded(n int, offered float64) float64 {
	if offered >= float64(n) {
		return 1
	}
	b := 1.0
	for i := 1; i <= n; i++ {
		b = offered * b / (float64(i) + offered*b)
	}
	return b / (1 - offered/float64(n)*(1-b))
}

// waitExceededInBursts is waitExceeded for arrivals with an index of dispersion, by Hayward's approximation: as if
// requests came in groups of that size, each to a group of servers (Fredericks, Congestion in blocking systems, 1980).
func waitExceededInBursts(n int, offered, dispersion float64) float64 {
	groups := max(int(float64(n)/max(dispersion, 1)), 1)
	return waitExceeded(groups, offered*float64(groups)/float64(n))
}

// waitQuantile returns the wait, in seconds, that a part of the requests exceed, for n servers, with arrivals of an index
// of dispersion and a mean service time of s with squared coefficient of variation scv. The mean wait of M/M/n, given that
// there is one, is multiplied by (dispersion+scv)/2 as in Allen and Cunneen's approximation for G/G/n (Allen, Probability,
// Statistics and Queueing Theory, 1990, section 5.3), and taken to be exponential. That is for requests that are served
// one after another, as a node's scheduler serves requests that are alike.
func waitQuantile(n int, offered, dispersion, s, scv, part float64) float64 {
	waits := waitExceededInBursts(n, offered, dispersion)
	if waits <= part {
		return 0
	}
	if offered >= float64(n) {
		return math.Inf(1)
	}
	mean := s / (float64(n) - offered) * (dispersion + scv) / 2
	return mean * math.Log(waits/part)
}

// moments returns the mean of values and their squared coefficient of variation.
func moments(values []float64) (mean, scv float64) {
	for _, v := range values {
		mean += v
	}
	mean /= float64(len(values))
	for _, v := range values {
		scv += (v - mean) * (v - mean)
	}
	return mean, scv / float64(len(values)) / (mean * mean)
}
