package httpapi

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/engine"
)

// scaledRanker gives scores that show the scale asked for: 8 for logits, 4 for the checkpoint's function, 0.5 for the
// sigmoid or softmax.
type scaledRanker struct{ fakeRanker }

func scaleOf(o engine.Options) float64 {
	switch {
	case o.RawScores:
		return 8
	case o.Scale == engine.ScaleModel:
		return 4
	}
	return 0.5
}

func (r *scaledRanker) Rerank(_ context.Context, _ string, _ []string, o engine.Options) (*engine.Ranking, error) {
	return &engine.Ranking{Results: []engine.Result{{Score: scaleOf(o)}}}, nil
}

func (r *scaledRanker) Score(_ context.Context, pairs []engine.Pair, o engine.Options) (*engine.Scores, error) {
	scores := &engine.Scores{Labels: []string{"LABEL_0"}}
	for range pairs {
		scores.Values = append(scores.Values, scaleOf(o))
	}
	return scores, nil
}

// TestScale has every path with every dialect that it takes.
func TestScale(t *testing.T) {
	const logits, checkpoint, probability = 8, 4, 0.5
	_, address := start(t, &scaledRanker{}, Config{})
	s, err := New(only{&scaledRanker{}}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	rerank := []string{
		"/rerank", "/reranking", "/api/rerank", "/v1/rerank", "/v1/reranking", "/v2/rerank", "/infinity/rerank", "/", "/invocations",
	}
	vllm := []string{"/vllm/rerank", "/vllm/v1/rerank", "/vllm/v2/rerank"}
	score := []string{"/score", "/v1/score", "/vllm/score", "/vllm/v1/score"}
	const documents, texts, inputs, sides = `"query":"q","documents":["d"]`, `"query":"q","texts":["d"]`, `"inputs":["q","d"]`, `"text_1":"q","text_2":"d"`
	tried := map[string]bool{"/tokenize": true}
	for _, c := range []struct {
		paths []string
		body  string
		want  float64
	}{
		{rerank, documents, probability},
		{rerank, documents + `,"raw_scores":true`, logits},
		{rerank, documents + `,"raw_scores":false`, probability},
		{rerank, documents + `,"use_activation":false`, logits},
		{rerank, documents + `,"use_activation":true`, checkpoint},
		{rerank, documents + `,"use_activation":null`, probability},
		{append(rerank, vllm...), texts, probability},
		{append(rerank, vllm...), texts + `,"raw_scores":true`, logits},
		{vllm, documents, checkpoint},
		{vllm, documents + `,"use_activation":true`, checkpoint},
		{vllm, documents + `,"use_activation":false`, logits},
		{vllm, documents + `,"raw_scores":true`, logits},
		{score, sides, checkpoint},
		{score, sides + `,"use_activation":false`, logits},
		{[]string{"/predict", "/", "/invocations"}, inputs, probability},
		{[]string{"/predict", "/", "/invocations"}, inputs + `,"raw_scores":true`, logits},
	} {
		for _, path := range c.paths {
			tried[path] = true
			got := post(t, address, path, "{"+c.body+"}")
			if want := `score":` + strconv.FormatFloat(c.want, 'f', -1, 64); got.status != 200 || !strings.Contains(got.body, want) {
				t.Errorf("%s {%s}: %d %s, want %s", path, c.body, got.status, got.body, want)
			}
		}
	}
	for path, methods := range s.routes {
		if methods["POST"] != nil && !tried[path] {
			t.Errorf("%s was not tried", path)
		}
	}
}
