package jsonl

import (
	"fmt"
	"io"

	"github.com/go-json-experiment/json"

	"github.com/metalrank/metalrank/engine"
)

// ParsePair reads a line {"query": …, "text": …}; other fields are left alone.
func ParsePair(l Line) (engine.Pair, error) {
	var pair struct {
		Query *string `json:"query"`
		Text  *string `json:"text"`
	}
	if err := l.Decode(&pair); err != nil {
		return engine.Pair{}, err
	}
	if pair.Query == nil {
		return engine.Pair{}, fmt.Errorf(`line %d: no "query"`, l.Number)
	}
	if pair.Text == nil {
		return engine.Pair{}, fmt.Errorf(`line %d: no "text"`, l.Number)
	}
	return engine.Pair{Query: *pair.Query, Document: *pair.Text}, nil
}

// WriteScores writes one result line: a single label as "score", several as "scores" in the order of the labels.
func WriteScores(w io.Writer, index int, row []float64) error {
	var value any = struct {
		Index  int       `json:"index"`
		Scores []float64 `json:"scores"`
	}{index, row}
	if len(row) == 1 {
		value = struct {
			Index int     `json:"index"`
			Score float64 `json:"score"`
		}{index, row[0]}
	}
	if err := json.MarshalWrite(w, value); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}
