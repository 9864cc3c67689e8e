package record

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// near allows for another order of summation.
func near(got, want float64) bool { return math.Abs(got-want) <= 1e-9*math.Abs(want) }

func TestQuantilesAreNumpys(t *testing.T) {
	data, err := os.ReadFile("testdata/quantiles.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Cases []struct {
			Name      string
			Latencies []float64 `json:"latencies_ms"`
			Documents []int
			Latency   []float64
			Speed     []float64
		}
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Cases) < 6 {
		t.Fatalf("%d cases", len(golden.Cases))
	}
	for _, g := range golden.Cases {
		c := Cell{Latencies: g.Latencies, Documents: g.Documents, Seconds: 2}
		c.Summarize()
		l, s := c.Latency, c.Throughput
		for i, got := range []float64{l.Mean, l.P50, l.P90, l.P95, l.P99, l.Max} {
			if !near(got, g.Latency[i]) {
				t.Errorf("%s: latency %d is %.12g, numpy has %.12g", g.Name, i, got, g.Latency[i])
			}
		}
		for i, got := range []float64{s.P50, s.P95, s.P99} {
			if !near(got, g.Speed[i]) {
				t.Errorf("%s: speed %d is %.12g, numpy has %.12g", g.Name, i, got, g.Speed[i])
			}
		}
		if !near(s.Mean, float64(c.Pairs)/2) || c.Requests != len(g.Latencies) {
			t.Errorf("%s: %g pairs/s of %d pairs in 2 s, %d requests", g.Name, s.Mean, c.Pairs, c.Requests)
		}
	}
}

func TestPercentile(t *testing.T) {
	for _, c := range []struct {
		values        []float64
		percent, want float64
	}{
		{[]float64{3}, 50, 3},
		{[]float64{5, 1, 3}, 50, 3},
		{[]float64{4, 1, 3, 2}, 50, 2.5},
		{[]float64{5, 1, 2, 3, 4}, 95, 4.8},
		{[]float64{2, 1}, 0, 1},
		{[]float64{2, 1}, 100, 2},
		{nil, 50, math.NaN()},
	} {
		if got := Percentile(c.values, c.percent); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("Percentile(%v, %g) = %g, want %g", c.values, c.percent, got, c.want)
		}
	}
	values := []float64{3, 1, 2}
	if Percentile(values, 50); values[0] != 3 {
		t.Error("the caller's values were sorted")
	}
}

func example() *Run {
	cell := &Cell{Batch: 32, Concurrency: 1, Loop: Closed, Latencies: []float64{20, 30.5}, Seconds: 0.0505}
	cell.Summarize()
	return &Run{
		Format: Format, Begin: time.Unix(1, 0).UTC(), Options: []string{"03_backend_mlx"},
		Tables: []*Table{{Experiment: "03_backend_mlx", Cells: []*Cell{cell, {Batch: 64, Concurrency: 2, Error: "no device"}}}},
	}
}

func TestFileRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sweep.json")
	for range 2 { // the second replaces the first
		if err := example().WriteFile(path); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(example(), got); diff != "" {
		t.Error(diff)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files are left, error %v", len(entries), err)
	}
}

func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`nothing`:                            "invalid character",
		`{}`:                                 "format is 0, want 1",
		`{"format":2}`:                       "format is 2, want 1",
		`{"format":1,"tables":[null]}`:       "tables[0] is null",
		`{"format":1,"tables":[{}]}`:         "no experiment",
		`{"format":1,"comparisons":[null]}`:  "comparisons[0] is null",
		cells(`null`):                        "cells[0] is null",
		cells(`{"batch":0,"concurrency":1}`): "batch is 0",
		cells(`{"batch":1,"concurrency":1,"loop":"round"}`):                                                           `loop is "round"`,
		cells(`{"batch":1,"concurrency":1,"loop":"open","requests":2,"latencies_ms":[1]}`):                            "1 latencies of 2 requests",
		cells(`{"batch":1,"concurrency":1,"loop":"open","requests":1,"latencies_ms":[1],"documents":[],"seconds":1}`): "documents of 0 requests",
		cells(`{"batch":1,"concurrency":1,"loop":"open","requests":1,"latencies_ms":[1]}`):                            "took 0 seconds",
		cells(`{"batch":1,"concurrency":1,"loop":"open","requests":1,"latencies_ms":[-1],"seconds":1}`):               "latencies_ms[0] is -1",
		cells(`{"batch":1,"concurrency":1,"loop":"open","requests":-1}`):                                              "negative",
	} {
		if _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", text, err, want)
		}
	}
}

func cells(cell string) string {
	return `{"format":1,"tables":[{"experiment":"e","cells":[` + cell + `]}]}`
}

func FuzzRead(f *testing.F) {
	data, err := json.Marshal(example())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"format":1,"tables":[{"experiment":"e","cells":[{"batch":1,"concurrency":1,"error":"x"}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		run, err := Read(strings.NewReader(string(data)))
		if err != nil {
			return
		}
		for _, table := range run.Tables {
			for _, c := range table.Cells {
				c.Summarize() // must not panic on a cell that Read accepts
			}
		}
	})
}
