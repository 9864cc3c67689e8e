package target

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadScores(t *testing.T) {
	for _, answer := range []string{
		`[{"index":1,"score":0.5},{"index":0,"score":0.25,"text":"x"}]`,
		` {"model":"m","results":[{"index":1,"relevance_score":0.5},{"index":0,"relevance_score":0.25}]}`,
	} {
		got, err := readScores([]byte(answer), 2)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]float64{0.25, 0.5}, got); diff != "" {
			t.Errorf("%s: %s", answer, diff)
		}
	}
	for answer, want := range map[string]string{
		``:                          "unexpected end",
		`"yes"`:                     "cannot unmarshal",
		`[]`:                        "not every document",
		`{"data":[]}`:               "not every document",
		`[{"index":0,"score":1}]`:   "not every document",
		`[{"index":0},{"index":1}]`: "without score",
		`[{"index":0,"score":1},{"index":0,"score":1}]`:  "again",
		`[{"index":0,"score":1},{"index":2,"score":1}]`:  "index 2",
		`[{"index":-1,"score":1},{"index":2,"score":1}]`: "index -1",
	} {
		if _, err := readScores([]byte(answer), 2); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", answer, err, want)
		}
	}
}

func FuzzReadScores(f *testing.F) {
	f.Add([]byte(`[{"index":1,"score":0.5},{"index":0,"score":0.25}]`), 2)
	f.Add([]byte(`{"results":[{"index":0,"relevance_score":0.5}]}`), 1)
	f.Fuzz(func(t *testing.T, answer []byte, documents int) {
		documents = min(max(documents, 1), 100)
		scores, err := readScores(answer, documents)
		if err != nil {
			return
		}
		for i, s := range scores {
			if math.IsNaN(s) {
				t.Errorf("document %d has no score", i)
			}
		}
	})
}

func TestParseURL(t *testing.T) {
	for text, want := range map[string]string{
		"http://h:1":            "http://h:1/rerank",
		"https://h/":            "https://h/rerank",
		"http://h/v2/rerank?a=": "http://h/v2/rerank?a=",
	} {
		u, err := ParseURL(text)
		if err != nil || u.String() != want {
			t.Errorf("%s: %v, %v", text, u, err)
		}
	}
	for _, text := range []string{"", "h:1", "ftp://h", "http://", "http://%"} {
		if u, err := ParseURL(text); err == nil {
			t.Errorf("%q: %v", text, u)
		}
	}
}

// The URL's path decides the dialect, unless the options name it.
func TestDialect(t *testing.T) {
	for url, want := range map[string]string{
		"http://h": "tei", "http://h/rerank": "tei", "http://h/v1/rerank": "jina", "http://h/v2/rerank": "cohere",
	} {
		h, err := openHTTP(Options{URL: url, API: "auto"})
		if err != nil || h.api != want {
			t.Errorf("%s: %+v, %v", url, h, err)
		}
	}
	if _, err := openHTTP(Options{URL: "http://h", API: "soap"}); err == nil {
		t.Error("no error")
	}
}

// Every dtype has a plan on every backend, or an error that names the missing dtype.
func TestPlans(t *testing.T) {
	for _, backend := range []string{"auto", "cpu", "metal", "sim", "reference"} {
		for _, dtype := range []string{"fp32", "fp16", "bf16", "int8", "int4"} {
			how, err := planFor(backend, dtype)
			if wanted := dtype == "bf16" && (backend == "metal" || backend == "sim"); (err != nil) != wanted {
				t.Errorf("%s %s: %v", backend, dtype, err)
			}
			if dtype == "int4" && backend != "reference" && (how.convert == nil || how.convert.Bits != 4) {
				t.Errorf("%s int4: %+v", backend, how)
			}
		}
	}
}
