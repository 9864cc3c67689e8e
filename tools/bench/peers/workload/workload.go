// Package workload makes the requests that the systems are compared on, from a seed: the lengths that people's requests
// have, with texts of this project. It knows no peer.
package workload

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/metalrank/metalrank/tools/bench/peers/wire"
)

// Spec describes a workload by the lengths of its pairs in tokens, special tokens included.
type Spec struct {
	Name      string
	Requests  int
	Documents int     // in a request
	Mean      float64 // length of a pair
	Sigma     float64 // of the logarithm of the lengths; 0: all pairs have the mean
}

// Names of workloads that are not timed as the others are.
const (
	Latency     = "latency"     // small requests, of which the median time counts
	Evaluation  = "evaluation"  // two sets of tools/model/quality as they are, for scores alone
	Calibration = "calibration" // for quantisation, never timed or compared
	Few         = "few"         // the three for large models
	Long        = "long"
	FewMixed    = "fewmixed"
	Prompted    = "prompted" // for decoders, whose prompt comes on top
)

// Specs are the workloads that are generated. The cost of padding to the longest document of a request follows from
// sigma: of 32 log-normal lengths the longest is about exp(2.07σ − σ²/2) times the mean.
func Specs() []Spec {
	return []Spec{
		{"equal", 4, 32, 128, 0},
		{"msmarco", 4, 32, 89, 0.39}, // ×2.0 padded, like MS MARCO's passages
		{"mixed", 4, 32, 107, 0.78},  // ×3.9 padded: notes beside articles, cut at 512
		{"short", 8, 32, 33, 0.18},   // ×1.4 padded: titles, product names
		{Latency, 24, 8, 33, 0.18},
		{Calibration, 16, 32, 107, 0.78},
		// For shapes of large models, which take seconds for a request.
		{Few, 1, 4, 128, 0},
		{Long, 1, 1, 1024, 0},
		{FewMixed, 1, 6, 107, 0.78},
		{Prompted, 1, 32, 115, 0},
	}
}

const (
	minLength = 20
	maxLength = 512 // of a document, where the mean is not above it
	maxQuery  = 12  // tokens
	filler    = "so"
)

// Generate makes the workloads of all specs, and Evaluation. The same seed gives the same texts.
func Generate(corpus *Corpus, counter *Counter, specs []Spec, seed uint64) ([]wire.Request, error) {
	if err := checkFiller(counter); err != nil {
		return nil, err
	}
	queries := corpus.Topics(counter, 0, maxQuery)
	if len(queries) == 0 {
		return nil, fmt.Errorf("workload: no query of at most %d tokens", maxQuery)
	}
	var requests []wire.Request
	for i, spec := range specs {
		w := Writer{corpus, counter, rand.New(rand.NewPCG(seed, uint64(i)))}
		lengths := lengths(w.random, spec.Requests*spec.Documents, spec.Mean, spec.Sigma, minLength, max(maxLength, int(spec.Mean)))
		for range spec.Requests {
			t := queries[w.random.IntN(len(queries))]
			request := wire.Request{Workload: spec.Name, Query: t.Query}
			used := counter.Text(t.Query) + SpecialTokens
			for range spec.Documents {
				request.Documents = append(request.Documents, w.Document(t, lengths[0]-used))
				lengths = lengths[1:]
			}
			requests = append(requests, request)
		}
	}
	for _, t := range corpus.evaluation {
		requests = append(requests, wire.Request{Workload: Evaluation, Query: t.Query, Documents: t.Docs})
	}
	return requests, nil
}

// Writer writes documents. It is not for several goroutines at once.
type Writer struct {
	corpus  *Corpus
	counter *Counter
	random  *rand.Rand
}

// NewWriter returns a Writer that draws from random.
func NewWriter(corpus *Corpus, counter *Counter, random *rand.Rand) (Writer, error) {
	return Writer{corpus, counter, random}, checkFiller(counter)
}

// checkFiller makes sure that a text of any number of tokens can be written.
func checkFiller(counter *Counter) error {
	if counter.Text(filler) != 1 {
		return fmt.Errorf("workload: %q is not one token", filler)
	}
	return nil
}

// Document returns a text of exactly so many tokens: every other one begins with a sentence of the topic, the rest is
// sentences from anywhere, cut where the tokens are used up.
func (w Writer) Document(t Topic, tokens int) string {
	pool := w.corpus.sentences
	if w.random.IntN(2) == 0 {
		pool = t.Docs
	}
	var words []string
	for tokens > 0 {
		for word := range strings.FieldsSeq(pool[w.random.IntN(len(pool))]) {
			if n := w.counter.word(word); n > tokens {
				for ; tokens > 0; tokens-- {
					words = append(words, filler)
				}
			} else {
				words = append(words, word)
				tokens -= n
			}
			if tokens == 0 {
				break
			}
		}
		pool = w.corpus.sentences
	}
	return strings.Join(words, " ")
}

// Shape is the size of a workload in tokens.
type Shape struct {
	Name      string  `json:"name"`
	Documents []int   `json:"documents"` // of each request
	Pairs     int     `json:"pairs"`
	Mean      float64 `json:"mean_tokens"` // tokens of a pair
	Longest   int     `json:"longest_tokens"`
	Padding   float64 `json:"padding"` // tokens with every pair padded to the longest of its request, over tokens without
}

// Measure counts the tokens of requests of one workload; pairs are cut to so many.
func Measure(counter *Counter, requests []wire.Request, limit int) Shape {
	shape := Shape{}
	tokens, padded := 0, 0
	for _, r := range requests {
		shape.Name = r.Workload
		longest := 0
		for _, document := range r.Documents {
			n := min(counter.Pair(r.Query, document), limit)
			tokens += n
			longest = max(longest, n)
		}
		shape.Documents = append(shape.Documents, len(r.Documents))
		shape.Pairs += len(r.Documents)
		shape.Longest = max(shape.Longest, longest)
		padded += longest * len(r.Documents)
	}
	if tokens > 0 {
		shape.Mean, shape.Padding = float64(tokens)/float64(shape.Pairs), float64(padded)/float64(tokens)
	}
	return shape
}

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
