package simulate

import "math/rand/v2"

// Router picks the model that gets a request, where each model is a node of a fleet with devices of its own. requests has
// how many each of them has accepted and not ended.
type Router func(requests []int, random *rand.Rand) int

// Random picks any node.
func Random(requests []int, random *rand.Rand) int { return random.IntN(len(requests)) }

// RoundRobin returns a Router that picks nodes in turn.
func RoundRobin() Router {
	next := -1
	return func(requests []int, _ *rand.Rand) int {
		next = (next + 1) % len(requests)
		return next
	}
}

// LeastRequests picks one of the nodes with the fewest requests, as a load balancer does that counts connections ("balance
// leastconn" in HAProxy).
func LeastRequests(requests []int, random *rand.Rand) int {
	offset := random.IntN(len(requests)) // so that none is preferred
	best := offset
	for i := range requests {
		at := i + offset
		if at >= len(requests) {
			at -= len(requests)
		}
		if requests[at] < requests[best] {
			best = at
		}
		if requests[best] == 0 {
			break
		}
	}
	return best
}
