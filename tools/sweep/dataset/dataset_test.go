package dataset

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func open(t *testing.T, name string, seed uint64) *Set {
	t.Helper()
	s, err := Open(name, seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func requests(t *testing.T, s *Set, n, documents int, stream uint64) []Request {
	t.Helper()
	r, err := s.Requests(n, documents, stream)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestShapes(t *testing.T) {
	for name, want := range map[string]struct {
		min, max          int // hard bounds
		leastP50, mostP50 float64
	}{
		"equal":   {128, 128, 128, 128},
		"msmarco": {15 + 4 + 3, 250 + 12 + 3, 75, 95},
		"mixed":   {10 + 4 + 3, 512, 65, 100},
		"short":   {16, 48, 28, 36},
		"long":    {512, 512, 512, 512},
	} {
		s := open(t, name, 1)
		l := s.Lengths(requests(t, s, 10, 32, 0), 512)
		if l.Min < want.min || l.Max > want.max || l.P50 < want.leastP50 || l.P50 > want.mostP50 {
			t.Errorf("%s: %+v, want %+v", name, l, want)
		}
	}
}

func TestSeedAndStreamDecide(t *testing.T) {
	first := requests(t, open(t, "msmarco", 1), 3, 4, 7)
	if diff := cmp.Diff(first, requests(t, open(t, "msmarco", 1), 3, 4, 7)); diff != "" {
		t.Error("one seed, two texts:", diff)
	}
	if cmp.Equal(first, requests(t, open(t, "msmarco", 2), 3, 4, 7)) || cmp.Equal(first, requests(t, open(t, "msmarco", 1), 3, 4, 8)) {
		t.Error("another seed or stream, the same texts")
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "own.jsonl")
	text := `{"query": "a", "documents": ["1", "2", "3"]}` + "\n\n" + `{"query": "b", "texts": ["x"], "id": 5}` + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, path, 1)
	want := []Request{
		{"a", []string{"1", "2"}}, {"b", []string{"x", "x"}}, {"a", []string{"3", "1"}}, {"b", []string{"x", "x"}},
	}
	if diff := cmp.Diff(want, requests(t, s, 4, 2, 0)); diff != "" {
		t.Error(diff)
	}
	if s.Data().SHA256 == "" {
		t.Error("no hash")
	}
}

func TestRefuses(t *testing.T) {
	if _, err := Open("marco", 1); err == nil || !strings.Contains(err.Error(), "want one of equal, msmarco") {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"":                               "no requests",
		"{":                              "line 1",
		"\n{\"query\": \"q\"}":           "line 2: want",
		`{"documents": ["d"]}`:           "line 1: want",
		`{"query": 1, "documents": [1]}`: "line 1",
	} {
		if _, err := readLines(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}

func FuzzReadLines(f *testing.F) {
	f.Add(`{"query": "a", "documents": ["1", "2", "3"]}`)
	f.Add("\n" + `{"query": "b", "texts": ["x"]}`)
	f.Fuzz(func(t *testing.T, text string) {
		lines, err := readLines(strings.NewReader(text))
		if err != nil {
			return
		}
		s := &Set{lines: lines}
		for _, r := range s.fromLines(3, 2, 1) {
			if len(r.Documents) != 2 {
				t.Error(len(r.Documents), "documents")
			}
		}
	})
}
