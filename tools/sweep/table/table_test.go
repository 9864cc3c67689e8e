package table

import (
	"os"
	"strings"
	"testing"
)

func study(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("study.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestStudyPrintsBackByteForByte(t *testing.T) {
	text := study(t)
	d, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.String(); got != text {
		t.Error("what is printed is not what was read")
	}
	if len(d.Sections) != strings.Count(text, "\n## ") {
		t.Errorf("%d sections", len(d.Sections))
	}
	first := d.Sections[0].Rows[0]
	want := Row{
		Batch: 32, Concurrency: 4, Pairs: 16000, Seconds: 26.5, LatAvg: 211.6, LatP50: 195.9, LatP95: 322.7, LatP99: 393.8,
		TPAvg: 604.4, TPP50: 163.4, TPP95: 197.2, TPP99: 235.5,
	}
	if first != want {
		t.Errorf("the first row is %+v", first)
	}
}

// Summarize computes the study's summaries from its rows, to the rounding of the rows.
func TestSummariesFollowFromRows(t *testing.T) {
	d, err := Parse(study(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range d.Sections {
		got := Summarize(s.Rows)
		if (got == nil) != (s.Summary == nil) {
			t.Errorf("%s: summary %v, want %v", s.Name, got, s.Summary)
			continue
		}
		if got == nil {
			continue
		}
		w := s.Summary
		for i, d := range []float64{got.BestTP - w.BestTP, got.AvgTP - w.AvgTP, got.AvgLat - w.AvgLat, got.AvgP99 - w.AvgP99} {
			if d > 0.11 || d < -0.11 {
				t.Errorf("%s %v: figure %d is %+.2f off", s.Name, s.Time, i, d)
			}
		}
	}
}

func TestParseNamesTheLine(t *testing.T) {
	text := study(t)
	for name, c := range map[string]struct{ old, new, want string }{
		"nothing":       {text, "", "line 1"},
		"heading":       {"## cross_encoder_mlx_int16_dynamic (2025-12-22 22:53:42)", "## x", "line 7"},
		"no such day":   {"2025-12-22 22:53:42", "2025-02-31 22:53:42", "is no time"},
		"backend":       {"**Backend:** `mlx`", "**Backend:** mlx", "line 9"},
		"columns":       {"| 235.5 |\n", "|\n", "11 columns"},
		"no number":     {"| 235.5 |\n", "| lots |\n", `"lots" is no number`},
		"two decimals":  {"| 235.5 |\n", "| 235.55 |\n", "one decimal"},
		"negative":      {"| 32 | 4 | 16000", "| 32 | -4 | 16000", "no count"},
		"seconds":       {"| 26.5s |", "| 26.5 |", "want seconds"},
		"failed row":    {"| ERROR | - |", "| ERROR | 1 |", "ERROR"},
		"not ended":     {"\n---\n", "\n", "want"},
		"more spaces":   {"| 32 | 4 | 16000", "|  32 | 4 | 16000", "no count"},
		"extra content": {"\n---\n", "\n---\nhello\n", "want"},
	} {
		if _, err := Parse(strings.Replace(text, c.old, c.new, 1)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	sections := strings.SplitAfter(study(f), "---\n\n")
	for _, s := range []string{sections[0] + sections[1], sections[1], "## 04_backend_onnx" + strings.SplitN(study(f), "## 04_backend_onnx", 3)[1]} {
		f.Add(strings.TrimSuffix(s, "\n"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(text)
		if err == nil && d.String() != text {
			t.Error("read, but written otherwise")
		}
	})
}
