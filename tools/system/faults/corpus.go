package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/metalrank/metalrank/engine"
	"github.com/metalrank/metalrank/weights/builtin"
)

// corpus has the score of every pair of its queries and documents. No two pairs with the same query or the same
// document score alike, so that an answer shows whether it belongs to its request.
type corpus struct {
	queries, documents []string
	scores             [][]float64 // by query and document; raw
}

const (
	corpusQueries   = 12
	corpusDocuments = 40
	// tolerance is for printing alone: a score is the same bit for bit in any batch. distinct checks that scores differ
	// by more.
	tolerance = 1e-6
)

// newCorpus scores made-up texts with the embedded model.
func newCorpus(ctx context.Context) (c *corpus, err error) {
	e, err := engine.Open(ctx, engine.Config{Embedded: builtin.Open})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	nouns := strings.Fields("kettle train harbour violin garden bridge winter engine market island letter shadow")
	c = &corpus{}
	for i := range corpusQueries {
		c.queries = append(c.queries, fmt.Sprintf("where is the %s with number %d?", nouns[i%len(nouns)], i))
	}
	for i := range corpusDocuments {
		c.documents = append(c.documents, strings.Repeat(fmt.Sprintf("The %s of day %d stands near the %s. ",
			nouns[(i*7+1)%len(nouns)], i, nouns[(i*5)%len(nouns)]), 1+i%4))
	}
	for _, query := range c.queries {
		ranking, err := e.Rerank(ctx, query, c.documents, engine.Options{RawScores: true})
		if err != nil {
			return nil, err
		}
		scores := make([]float64, len(c.documents))
		for _, r := range ranking.Results {
			scores[r.Index] = r.Score
		}
		c.scores = append(c.scores, scores)
	}
	return c, c.distinct()
}

// distinct wants the scores of each query, and those of each document, at least 3 tolerances apart.
func (c *corpus) distinct() error {
	for q, scores := range c.scores {
		for d := range scores {
			for other := range d {
				if math.Abs(scores[d]-scores[other]) < 3*tolerance {
					return fmt.Errorf("BUG: query %d scores documents %d and %d alike", q, d, other)
				}
			}
			for other := range q {
				if math.Abs(scores[d]-c.scores[other][d]) < 3*tolerance {
					return fmt.Errorf("BUG: queries %d and %d score document %d alike", q, other, d)
				}
			}
		}
	}
	return nil
}

// testRequest is a request and its right answer.
type testRequest struct {
	body   []byte
	scores []float64 // by index
}

// ask makes up a request: a query, and some documents in any order.
func (c *corpus) ask() testRequest {
	q, n := rand.IntN(len(c.queries)), 1+rand.IntN(8)
	var a testRequest
	var texts []string
	for _, d := range rand.Perm(len(c.documents))[:n] {
		texts = append(texts, c.documents[d])
		a.scores = append(a.scores, c.scores[q][d])
	}
	var err error
	if a.body, err = json.Marshal(map[string]any{"query": c.queries[q], "texts": texts, "raw_scores": true}); err != nil {
		panic("BUG: " + err.Error())
	}
	return a
}

// wrongError is an answer that does not belong to its request, which must never happen.
type wrongError struct{ answer string }

func (e *wrongError) Error() string { return "WRONG ANSWER: " + e.answer }

// check wants an answer to be whole, sorted and right.
func (a *testRequest) check(answer []byte) error {
	var ranks []struct {
		Index int     `json:"index"`
		Score float64 `json:"score"`
	}
	if err := json.Unmarshal(answer, &ranks); err != nil || len(ranks) != len(a.scores) {
		return &wrongError{fmt.Sprintf("%d results of %d, %v: %.200s", len(ranks), len(a.scores), err, answer)}
	}
	seen := make([]bool, len(a.scores))
	for i, r := range ranks {
		if r.Index < 0 || r.Index >= len(seen) || seen[r.Index] || math.Abs(r.Score-a.scores[r.Index]) > tolerance ||
			(i > 0 && r.Score > ranks[i-1].Score) {
			return &wrongError{fmt.Sprintf("result %d, want scores %v: %.200s", i, a.scores, answer)}
		}
		seen[r.Index] = true
	}
	return nil
}

// send asks once. status is 0 where there was no answer.
func (a *testRequest) send(ctx context.Context, client *http.Client, base string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/rerank", bytes.NewReader(a.body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.GetBody = nil // the transport must not ask again by itself
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err // cut off, which the client notices
	}
	if response.StatusCode != http.StatusOK {
		return response.StatusCode, checkError(answer)
	}
	return response.StatusCode, a.check(answer)
}

// checkError wants the body of a refusal to name the error.
func checkError(body []byte) error {
	var refusal map[string]string
	if err := json.Unmarshal(body, &refusal); err != nil || refusal["error"] == "" || refusal["error_type"] == "" {
		return fmt.Errorf("a refusal that says nothing: %.200q", body)
	}
	return nil
}
