// Package dataset makes the pairs that a sweep scores, from a seed and a distribution of lengths, or takes them from a
// user's file. It must not know the systems that score them.
package dataset

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/internal/record"
	"github.com/metalrank/metalrank/tools/bench/peers/workload"
)

// Request is a query with the documents to score against it.
type Request struct {
	Query     string
	Documents []string
}

// shape is a distribution of lengths, in tokens of the embedded model's tokenizer.
type shape struct {
	minQuery, maxQuery int
	// document draws the number of tokens of a document, for a query of so many tokens.
	document func(random *rand.Rand, query int) int
}

// shapes are the sets that are generated. Pairs of the embedded model have at most 512 tokens.
var shapes = map[string]shape{
	"equal":   {4, 12, whole(128, 128)},
	"msmarco": {4, 12, logNormal(75, 0.45, 15, 250)}, // web passages
	"mixed":   {4, 12, logNormal(70, 1.0, 10, 500)},  // notes beside articles
	"short":   {3, 8, whole(16, 48)},                 // titles, product names
	"long":    {4, 12, whole(512, 512)},
}

// Names returns the names of the sets that are generated.
func Names() []string { return []string{"equal", "msmarco", "mixed", "short", "long"} }

// longest is the most tokens that the embedded model takes.
const longest = 512

// whole draws pairs of least to most tokens, special tokens included.
func whole(least, most int) func(*rand.Rand, int) int {
	return func(random *rand.Rand, query int) int {
		return max(1, least+random.IntN(most-least+1)-query-workload.SpecialTokens)
	}
}

// logNormal draws documents with the given median, within the bounds.
func logNormal(median, sigma float64, least, most int) func(*rand.Rand, int) int {
	return func(random *rand.Rand, query int) int {
		n := int(math.Round(median * math.Exp(sigma*random.NormFloat64())))
		return min(max(n, least), most, longest-query-workload.SpecialTokens)
	}
}

// Set is a source of requests. It is not safe for concurrent use.
type Set struct {
	data    record.Data
	counter *workload.Counter
	corpus  *workload.Corpus
	topics  []workload.Topic
	shape   shape
	lines   []Request // of a file, instead of corpus, topics and shape
}

// Open returns the set that is called name: one of Names, or a JSON lines file. The caller closes it.
func Open(name string, seed uint64) (*Set, error) {
	counter, err := workload.NewCounter()
	if err != nil {
		return nil, err
	}
	s := &Set{data: record.Data{Set: name, Seed: seed}, counter: counter}
	if err := s.open(name); err != nil {
		return nil, errors.Join(err, counter.Close())
	}
	return s, nil
}

func (s *Set) open(name string) error {
	var known bool
	if s.shape, known = shapes[name]; !known {
		if !strings.ContainsAny(name, "./\\") {
			return fmt.Errorf("no data set %q: want one of %s, or a file such as pairs.jsonl", name, strings.Join(Names(), ", "))
		}
		return s.readFile(name)
	}
	var err error
	if s.corpus, err = workload.ReadCorpus(); err != nil {
		return err
	}
	s.topics = s.corpus.Topics(s.counter, s.shape.minQuery, s.shape.maxQuery)
	if len(s.topics) == 0 {
		return fmt.Errorf("BUG: no query of %d to %d tokens", s.shape.minQuery, s.shape.maxQuery)
	}
	return nil
}

// Close frees the tokenizer that Open loaded.
func (s *Set) Close() error { return s.counter.Close() }

// Data returns the set's name and seed, and the hash of a file.
func (s *Set) Data() record.Data { return s.data }

// Requests returns n requests of so many documents. The same seed and stream give the same ones; another stream gives
// others of the same kind.
func (s *Set) Requests(n, documents int, stream uint64) ([]Request, error) {
	if s.lines != nil {
		return s.fromLines(n, documents, stream), nil
	}
	random := rand.New(rand.NewPCG(s.data.Seed, stream))
	writer, err := workload.NewWriter(s.corpus, s.counter, random)
	if err != nil {
		return nil, err
	}
	requests := make([]Request, n)
	for i := range requests {
		topic := s.topics[random.IntN(len(s.topics))]
		query := s.counter.Text(topic.Query)
		requests[i] = Request{Query: topic.Query, Documents: make([]string, documents)}
		for j := range documents {
			requests[i].Documents[j] = writer.Document(topic, s.shape.document(random, query))
		}
	}
	return requests, nil
}

// Lengths returns statistics of the pairs' tokens, with each pair cut to maxLength.
func (s *Set) Lengths(requests []Request, maxLength int) record.Lengths {
	var tokens []float64
	for _, r := range requests {
		query := s.counter.Text(r.Query)
		for _, d := range r.Documents {
			tokens = append(tokens, float64(min(query+s.counter.Text(d)+workload.SpecialTokens, maxLength)))
		}
	}
	if len(tokens) == 0 {
		return record.Lengths{}
	}
	return record.Lengths{
		Mean: record.Mean(tokens), P50: record.Percentile(tokens, 50), P95: record.Percentile(tokens, 95),
		Min: int(slices.Min(tokens)), Max: int(slices.Max(tokens)),
	}
}
