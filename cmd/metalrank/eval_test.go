package main

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/metalrank/metalrank/weights/weightstest"
)

const judgedLines = `{"query": "a b", "docs": ["c d", "a b", "e"], "relevant": [1]}
{"query": "c", "docs": ["c", "d", "a", "e f g"], "relevant": [0, 3]}
`

func TestEval(t *testing.T) {
	model := checkpoint(t, weightstest.Specs()[0])
	small := filepath.Join(t.TempDir(), "small")
	if status, _, stderr := execute(t, t.Context(), "", "convert", model, small, "--dtype=int4"); status != 0 {
		t.Fatal(stderr)
	}
	status, stdout, stderr := execute(t, t.Context(), judgedLines, "eval", "--model", model+","+model+","+small, "--format=json", "-")
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	var rows []evaluation
	if err := json.Unmarshal([]byte(stdout), &rows); err != nil || len(rows) != 4 {
		t.Fatalf("%d rows, %v: %s", len(rows), err, stdout)
	}
	if rows[0].Comparison != nil || strings.Count(stdout, "kendall_tau") != 3 {
		t.Errorf("the order given is compared with a model: %s", stdout)
	}
	// Of the two queries, the first has its document second, the other its two first and last of four.
	if g := rows[0]; math.Abs(g.NDCG-(1/math.Log2(3)+(1+1/math.Log2(5))/(1+1/math.Log2(3)))/2) > 1e-9 || g.MRR != 0.75 || g.Recall1 != 0.25 {
		t.Errorf("the order given: %+v", g)
	}
	rows = rows[1:]
	for i, r := range rows {
		same := i < 2
		if r.NDCG <= 0 || r.NDCG > 1 || r.Recall10 != 1 || r.MRR <= 0 || r.WeightMB <= 0 || (r.MaxDelta == 0) != same ||
			same && r.Tau != 1 || r.MeanDelta > r.MaxDelta {
			t.Errorf("row %d: %+v", i, r)
		}
	}
	if rows[2].WeightMB >= rows[0].WeightMB/2 {
		t.Errorf("int4 has %.2f MB of %.2f", rows[2].WeightMB, rows[0].WeightMB)
	}
	status, stdout, _ = execute(t, t.Context(), judgedLines, "eval", "--model", model, "-")
	if status != 0 || !strings.Contains(stdout, "NDCG@10") || strings.Count(stdout, "\n") != 3 {
		t.Errorf("status %d, stdout %q", status, stdout)
	}
	status, stdout, stderr = execute(t, t.Context(), judgedLines, "eval", "--model", model, "--precision=fp32,int8", "--format=json", "-")
	rows = nil
	if err := json.Unmarshal([]byte(stdout), &rows); status != 0 || err != nil || len(rows) != 3 || rows[1].MaxDelta != 0 || rows[2].MaxDelta == 0 {
		t.Errorf("two precisions: status %d, %v, %+v, stderr %q", status, err, rows, stderr)
	}
	if status, _, stderr := execute(t, t.Context(), judgedLines, "eval", "--model", model, "--precision=fp8", "-"); status == 0 || !strings.Contains(stderr, "fp8") {
		t.Errorf("precision fp8: status %d, stderr %q", status, stderr)
	}
	for line, want := range map[string]string{
		"":               "standard input: no queries",
		`{"query": "a"}`: "line 1: want query, docs, and either relevant or grades, none empty",
		`{"query": "a", "docs": ["b"], "relevant": [0], "grades": [1]}`: "line 1: want query, docs, and either relevant or grades",
		`{"query": "a", "docs": ["b"], "grades": [1, 0]}`:               "line 1: grades: 2, want one for each of 1 docs",
		`{"query": "a", "docs": ["b", "c"], "grades": [1, -2]}`:         "line 1: grades: number 1 is -2, want 0 to 16",
		`{"query": "a", "docs": ["b", "c"], "grades": [1e9, 0]}`:        "line 1: grades: number 0 is 1e+09, want 0 to 16",
		`{"query": "a", "docs": ["b"], "grades": [0]}`:                  "line 1: grades: all are 0",
		`{"query": "a", "docs": ["b"], "relevant": [1]}`:                "line 1: relevant: 1, want an index of docs, 0 to 0",
		`[]`: "line 1: ",
	} {
		status, stdout, stderr := execute(t, t.Context(), line, "eval", "--model", model, "-")
		if status != exitFailed || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, stderr %q, want %q", line, status, stderr, want)
		}
	}
}
