package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metalrank/metalrank/internal/record"
	"github.com/metalrank/metalrank/tools/sweep/table"
)

func runs() []*record.Run {
	t := &record.Table{
		Experiment: "concurrency_analysis", Begin: time.Unix(0, 0).UTC(),
		System: record.System{Backend: `<b>"us"`, Device: "cpu", DType: "int8"},
	}
	for _, clients := range []int{1, 2, 4} {
		c := &record.Cell{Batch: 64, Concurrency: clients, Loop: record.Closed, Latencies: []float64{50, 60, 70}, Seconds: 0.18}
		c.Summarize()
		t.Cells = append(t.Cells, c)
	}
	t.Cells = append(t.Cells, &record.Cell{Batch: 64, Concurrency: 8, Error: "no <memory>"})
	return []*record.Run{{
		Format: record.Format, Quick: true, Tables: []*record.Table{t},
		Comparisons: []*record.Comparison{{A: record.System{Backend: "onnx"}, Batch: 64, Concurrency: 1, Ratio: 2, Low: 1.8, High: 2.2}},
	}}
}

func TestPageStandsAlone(t *testing.T) {
	var page bytes.Buffer
	if err := WriteHTML(&page, runs(), table.Study(), "study"); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	if found := regexp.MustCompile(`(src|href)="[^"d]|https?:|@import|url\(`).FindString(text); found != "" {
		t.Errorf("something from outside: %q", found)
	}
	for _, want := range []string{
		"Latency against throughput", "Beside each peer", "Best throughput beside study", "throughput over concurrency",
		"Latency of the fastest cell", "study: mlx", "prefers-color-scheme: dark", "Not to be quoted", "no &lt;memory&gt;",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	if strings.Contains(text, "<b>") || strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error("a name that wasn't escaped, or no number")
	}
	for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1) {
		decoder := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v in %s", err, svg)
			}
		}
	}
}

func TestCSVAndJSONHaveEveryRow(t *testing.T) {
	rows := Rows(runs(), table.Study(), "study")
	var text, object bytes.Buffer
	if err := WriteCSV(&text, rows); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&text).ReadAll()
	if err != nil || len(lines) != 1+len(rows) {
		t.Errorf("%d lines for %d rows, error %v", len(lines), len(rows), err)
	}
	if err := WriteJSON(&object, rows, runs()); err != nil {
		t.Fatal(err)
	}
	var read struct {
		Rows        []Row
		Comparisons []record.Comparison
	}
	if err := json.Unmarshal(object.Bytes(), &read); err != nil || !slices.Equal(read.Rows, rows) || len(read.Comparisons) != 1 {
		t.Errorf("%d rows of %d, %d comparisons, error %v", len(read.Rows), len(rows), len(read.Comparisons), err)
	}
}

func TestTicks(t *testing.T) {
	for _, most := range []float64{0, 1e-3, 0.7, 1, 7, 99, 761.4, 1e6, math.Inf(1)} {
		ticks := roundTicks(most, 5)
		if last := ticks[len(ticks)-1]; ticks[0] != 0 || len(ticks) < 2 || len(ticks) > 7 || (!math.IsInf(most, 1) && last < most) {
			t.Errorf("up to %g: %v", most, ticks)
		}
	}
	for _, ends := range [][2]float64{{0.1, 0.1}, {3, 2500}, {99, 101}} {
		ticks := logTicks(ends[0], ends[1])
		if len(ticks) < 1 || !slices.IsSorted(ticks) || ticks[0] > ends[0]*2.5 || ticks[len(ticks)-1] < ends[1]/2.5 {
			t.Errorf("from %g to %g: %v", ends[0], ends[1], ticks)
		}
	}
}

func TestChartsOfNothing(t *testing.T) {
	if plot(nil, axes{}) != "" || bars(nil, nil, "", false) != "" {
		t.Error("something was drawn")
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"one two", []string{"one two"}},
		{"cross encoder mlx int8", []string{"cross", "encoder", "mlx int8"}},
		{"a very long name of something", []string{"a very", "long name", "of somet…"}},
		{"überlanges", []string{"überlang…"}},
	} {
		if got := wrap(c.text, 9, 3); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.text, got, c.want)
		}
	}
}
