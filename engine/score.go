package engine

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// Pair is one query with one document.
type Pair struct {
	Query, Document string
}

// Options of one call. The zero value truncates on the right and applies the model's activation.
type Options struct {
	RawScores  bool // logits, without the activation
	Truncation Truncation
}

// Scores are the results of Score.
type Scores struct {
	Labels []string  // [C]; one for a reranker
	Values []float64 // [n, C], row by row, in the order of the pairs
	Stats  Stats
}

// Row returns the scores of pair i, in the order of Labels.
func (s *Scores) Row(i int) []float64 {
	c := len(s.Labels)
	return s.Values[i*c : (i+1)*c]
}

// Ranking is the result of Rerank.
type Ranking struct {
	Results []Result // best first; equal scores keep the order of the documents
	Stats   Stats
}

// Result is the score of one document.
type Result struct {
	Index int // of the document, from 0
	Score float64
}

// Stats says what one call cost.
type Stats struct {
	Tokens   int           // scored, special tokens included
	Tokenize time.Duration // wall time of tokenising
	Compute  time.Duration // wall time of the forward passes, waiting for the backend included
}

// Score scores every pair. Errors: ErrClosed, ErrTokenizer, ErrBackend, a *LengthError, ctx's.
func (e *Engine) Score(ctx context.Context, pairs []Pair, options Options) (*Scores, error) {
	logits, stats, err := e.logits(ctx, pairs, options.Truncation)
	if err != nil {
		return nil, err
	}
	scores := &Scores{Labels: e.labels, Values: widen(logits), Stats: stats}
	if !options.RawScores {
		for i := range pairs {
			e.activation.apply(scores.Row(i))
		}
	}
	return scores, nil
}

// Rerank scores every document against the query and sorts them. Errors: as Score's, and ErrNotReranker.
func (e *Engine) Rerank(ctx context.Context, query string, documents []string, options Options) (*Ranking, error) {
	if len(e.labels) != 1 {
		return nil, ErrNotReranker
	}
	pairs := make([]Pair, len(documents))
	for i, document := range documents {
		pairs[i] = Pair{Query: query, Document: document}
	}
	logits, stats, err := e.logits(ctx, pairs, options.Truncation)
	if err != nil {
		return nil, err
	}
	ranking := &Ranking{Results: make([]Result, len(documents)), Stats: stats}
	values := widen(logits)
	for i := range values {
		if !options.RawScores {
			e.activation.apply(values[i : i+1])
		}
		ranking.Results[i] = Result{Index: i, Score: values[i]}
	}
	// By logit and not by score: the activation may make equal what the model told apart.
	slices.SortStableFunc(ranking.Results, func(a, b Result) int {
		switch x, y := logits[a.Index], logits[b.Index]; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	return ranking, nil
}

// logits tokenises and runs the forward passes; the result is [n, C].
func (e *Engine) logits(ctx context.Context, pairs []Pair, mode Truncation) ([]float32, Stats, error) {
	if err := e.enter(); err != nil {
		return nil, Stats{}, err
	}
	defer e.calls.Done()
	begin := time.Now()
	sequences, err := e.encode(ctx, pairs, mode)
	if err != nil {
		return nil, Stats{}, err
	}
	stats := Stats{Tokenize: time.Since(begin)}
	begin = time.Now()
	logits := make([]float32, len(sequences)*len(e.labels))
	if err := e.forward(ctx, sequences, logits); err != nil {
		return nil, Stats{}, err
	}
	stats.Compute = time.Since(begin)
	for i := range sequences {
		stats.Tokens += len(sequences[i].ids)
	}
	for i, v := range logits {
		if v64 := float64(v); math.IsNaN(v64) || math.IsInf(v64, 0) {
			return nil, Stats{}, fmt.Errorf("%w: the logit of pair %d is %g", ErrBackend, i/len(e.labels), v)
		}
	}
	return logits, stats, nil
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}
