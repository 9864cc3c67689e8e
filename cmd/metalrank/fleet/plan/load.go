package plan

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/metalrank/metalrank/engine/schedule/simulate"
)

// Load is the peak load of a fleet.
type Load struct {
	// Rate is requests a second. Bounds: above 0, to 1,000,000.
	Rate float64
	// Dispersion is the variance over the mean of how many requests come in a long time (the index of dispersion of
	// counts). 1: they come independently of each other; more: in bursts. Bounds: 1 to 1,000.
	Dispersion float64
	// Routing is how a balancer spreads requests.
	Routing Routing
	// LeastDocuments and MostDocuments bound the documents of a request; between them, each order of magnitude is equally
	// likely. Bounds: 1 to 10,000.
	LeastDocuments, MostDocuments int
	// Tokens is the mean length of a pair, query and special tokens included. Lengths vary as those of passages do.
	// Bounds: 4 to 8,192.
	Tokens float64
	// P99 is the time within which 99 % of requests must be answered. Bounds: 1 ms to 1 h.
	P99 time.Duration
	// MaxUtilisation is how much of the nodes' capacity may be used. Bounds: above 0, to 0.95.
	MaxUtilisation float64
	// Survive is how many nodes may be down without breaking any of this. Bounds: 0 to 1,000.
	Survive int
	// Seed is for the simulated requests.
	Seed uint64
}

// Bounds of a Load.
const (
	maxRate      = 1e6
	leastP99     = time.Millisecond
	mostP99      = time.Hour
	maxDocuments = 10_000
	maxTokens    = 8192
	maxSurvive   = 1000

	maxDispersion = 1000
)

// Routing is how a balancer spreads requests over nodes.
type Routing string

// Values of a Routing.
const (
	LeastRequests Routing = "least"       // to the node with the fewest: HAProxy's leastconn
	RoundRobin    Routing = "round-robin" // to each in turn
	Random        Routing = "random"      // to any
)

// router returns the simulator's counterpart of a Routing; nil for any other text.
func (r Routing) router() simulate.Router {
	switch r {
	case LeastRequests:
		return simulate.LeastRequests
	case RoundRobin:
		return simulate.RoundRobin()
	case Random:
		return simulate.Random
	}
	return nil
}

// BoundsError says that a field of a Load has a value that it can't have.
type BoundsError struct {
	Field, Got, Want string
}

// Error implements error.
func (e *BoundsError) Error() string {
	return fmt.Sprintf("plan: %s is %s, want %s", e.Field, e.Got, e.Want)
}

// Validate returns a *BoundsError for the first field that is out of its bounds.
func (l *Load) Validate() error {
	in := func(field string, value, least, most float64) error {
		if value >= least && value <= most {
			return nil
		}
		return &BoundsError{field, fmt.Sprintf("%g", value), fmt.Sprintf("%g to %g", least, most)}
	}
	if !(l.Rate > 0 && l.Rate <= maxRate) {
		return &BoundsError{"rate", fmt.Sprintf("%g", l.Rate), fmt.Sprintf("above 0, to %g", float64(maxRate))}
	}
	if l.MostDocuments < l.LeastDocuments {
		return &BoundsError{"documents", fmt.Sprintf("%d to %d", l.LeastDocuments, l.MostDocuments), "the smaller first"}
	}
	if l.Routing.router() == nil {
		return &BoundsError{"routing", fmt.Sprintf("%q", l.Routing), fmt.Sprintf("%s, %s or %s", LeastRequests, RoundRobin, Random)}
	}
	if l.P99 < leastP99 || l.P99 > mostP99 {
		return &BoundsError{"p99", l.P99.String(), fmt.Sprintf("%v to %v", leastP99, mostP99)}
	}
	return cmp.Or(
		in("dispersion", l.Dispersion, 1, maxDispersion),
		in("documents", float64(l.LeastDocuments), 1, maxDocuments), in("documents", float64(l.MostDocuments), 1, maxDocuments),
		in("tokens", l.Tokens, 4, maxTokens),
		in("utilisation", l.MaxUtilisation, 1e-3, 0.95),
		in("survive", float64(l.Survive), 0, maxSurvive),
	)
}

// stream returns the simulator's requests for the load, until a time. With bursts, half of the time is spent in them: such
// an interrupted Poisson process has the index of dispersion 1 + Rate · On (Fischer and Meier-Hellstern, The
// Markov-modulated Poisson process cookbook, 1993, section 2).
func (l *Load) stream(until time.Duration) *simulate.Synthetic {
	burst := duration((l.Dispersion - 1) / l.Rate)
	return &simulate.Synthetic{Seed: l.Seed, Until: until, Streams: []simulate.Stream{{
		Rate: l.Rate, On: burst, Off: burst, Lengths: l.lengths(),
		Documents: []simulate.Part{{Of: 1, Least: l.LeastDocuments, Most: l.MostDocuments}},
	}}}
}

// lengths returns lengths with the spread of passages (simulate.Passages) and the load's mean. The mean of a log-normal
// variable is its median times exp(spread²/2).
func (l *Load) lengths() simulate.Lengths {
	lengths := simulate.Passages()
	if passage := l.Tokens - float64(lengths.Fixed); passage > float64(lengths.Fixed) {
		lengths.Median = passage / math.Exp(lengths.Spread*lengths.Spread/2)
		lengths.Least, lengths.Most = 1, 4*lengths.Median
		return lengths
	}
	return simulate.Lengths{Median: l.Tokens, Least: l.Tokens, Most: l.Tokens} // too short to vary
}

// sampled is the number of requests from which the distribution of sizes is taken.
const sampled = 20_000

// sizes returns the tokens of sampled requests, sorted.
func (l *Load) sizes() ([]float64, error) {
	steady := *l
	steady.Dispersion = 1
	trace := steady.stream(math.MaxInt64).Trace()
	sizes := make([]float64, 0, sampled)
	var r simulate.Request
	for range min(sampled, 50_000_000/l.MostDocuments) {
		r.Lengths = r.Lengths[:0]
		if err := trace.Next(&r); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		tokens := 0.0
		for _, n := range r.Lengths {
			tokens += float64(n)
		}
		sizes = append(sizes, tokens)
	}
	slices.Sort(sizes)
	return sizes, nil
}
