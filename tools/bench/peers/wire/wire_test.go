package wire

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRequestsSurviveTheFile(t *testing.T) {
	requests := []Request{
		{Workload: "a", Query: "quote \" and\nline", Documents: []string{"é <b>&amp;", ""}},
		{Workload: "b", Query: "", Documents: []string{"x"}},
		{Workload: "a", Query: "second", Documents: []string{"y"}},
	}
	var file bytes.Buffer
	if err := WriteRequests(&file, requests); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(file.String(), "\n"); lines != len(requests) {
		t.Errorf("%d lines for %d requests", lines, len(requests))
	}
	got, err := ReadRequests(&file)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]Request{"a": {requests[0], requests[2]}, "b": {requests[1]}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReadRequestsRefuses(t *testing.T) {
	for name, file := range map[string]string{
		"no JSON":       "hello\n",
		"half a line":   `{"workload": "a", "query": "q", "docu`,
		"no workload":   `{"query": "q", "documents": ["d"]}`,
		"no documents":  `{"workload": "a", "query": "q"}`,
		"unknown field": `{"workload": "a", "query": "q", "documents": ["d"], "docs": []}`,
	} {
		if _, err := ReadRequests(strings.NewReader(file)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestCheck(t *testing.T) {
	requests := []Request{{Documents: []string{"a", "b"}}, {Documents: []string{"c"}}}
	whole := Reply{Seconds: []float64{1, 2}, Logits: [][]float64{{1, 2}, {3}}}
	cut := Reply{Seconds: []float64{1}, Logits: [][]float64{{1, 2}}}
	for _, good := range []Reply{whole, cut} {
		if err := good.Check(requests); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for name, bad := range map[string]Reply{
		"error":              {Error: "no", Seconds: whole.Seconds, Logits: whole.Logits},
		"nothing":            {},
		"too many":           {Seconds: []float64{1, 2, 3}, Logits: [][]float64{{1, 2}, {3}, {4}}},
		"more times":         {Seconds: []float64{1, 2}, Logits: [][]float64{{1, 2}}},
		"a logit is missing": {Seconds: []float64{1}, Logits: [][]float64{{1}}},
		"no time":            {Seconds: []float64{0}, Logits: [][]float64{{1, 2}}},
	} {
		if err := bad.Check(requests); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
