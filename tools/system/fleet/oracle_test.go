package main

import (
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/metalrank/metalrank/tools/system/fleet/oracle"
)

// scores is an answer in which each document has the score that one of the models gives.
func scores(t *testing.T, q *question, models ...string) string {
	t.Helper()
	results := []result{}
	for i, model := range models {
		results = append(results, result{Index: i, Score: oracle.Score(model, q.Query, q.Texts[i])})
	}
	text, err := json.Marshal(results)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
