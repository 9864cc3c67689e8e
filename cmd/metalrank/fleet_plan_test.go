package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/internal/record"
)

// writeCurve writes a run of a node that takes 2 ms for a request and 20 µs for each of its tokens.
func writeCurve(t *testing.T, change func(*record.Run)) string {
	t.Helper()
	run := &record.Run{Format: record.Format, Host: record.Machine{CPU: "Chip", Cores: 8}, Tables: []*record.Table{{
		Experiment: "latency_optimal", System: record.System{Backend: "metalrank", Device: "cpu", DType: "int8"},
	}}}
	for _, batch := range []int{1, 8, 32, 128} {
		run.Tables[0].Cells = append(run.Tables[0].Cells, &record.Cell{
			Batch: batch, Concurrency: 1, Loop: record.Closed, Lengths: record.Lengths{Mean: 100}, Requests: 10, Pairs: 10 * batch,
			Seconds: 10 * (0.002 + 0.002*float64(batch)),
		})
	}
	if change != nil {
		change(run)
	}
	data, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "sweep.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFleetPlan(t *testing.T) {
	file := writeCurve(t, nil)
	for _, c := range []struct {
		name   string
		args   []string
		status int
		want   string // a part of the output
	}{
		{"table", []string{"--rate=100", "--documents=10", file}, 0, "Chip, 8 cores  metalrank cpu int8"},
		{"range", []string{"--rate=100", "--documents=1:50", file}, 0, "1 may be down"},
		{"json", []string{"--rate=100", "--format=json", file}, 0, `"TokensPerSecond"`},
		{"impossible", []string{"--rate=1", "--documents=100", "--p99=100ms", file}, 0, "alone takes"},
		{"another length", []string{"--rate=1", "--tokens=400", file}, 0, "pairs of 100 to 100 tokens"},
		{"a day's peak", []string{"--rate=100", "--peak=3", "--documents=10", "--headroom=40%", file}, 0, "utilisation, at most 60 %"},
		{"bursts", []string{"--rate=100", "--dispersion=20", "--routing=random", file}, 0, "Chip, 8 cores"},
		{"bad peak", []string{"--rate=1", "--peak=0", file}, exitUsage, "--peak is 0"},
		{"bad dispersion", []string{"--rate=1", "--dispersion=0", file}, exitUsage, "--dispersion is 0, want 1 to"},
		{"bad headroom", []string{"--rate=1", "--headroom=120%", file}, exitUsage, `"120%" is no percentage`},
		{"bad routing", []string{"--rate=1", "--routing=best", file}, exitUsage, "--routing"},
		{"no rate", []string{file}, exitUsage, "--rate is 0, want above 0"},
		{"bad rate", []string{"--rate=-1", file}, exitUsage, "--rate is -1, want above 0"},
		{"bad p99", []string{"--rate=1", "--p99=0", file}, exitUsage, "--p99 is 0s, want 1ms to 1h0m0s"},
		{"no number", []string{"--rate=NaN", file}, exitUsage, "--rate is NaN"},
		{"bad documents", []string{"--rate=1", "--documents=few", file}, exitUsage, `--documents is "few"`},
		{"no file", []string{"--rate=1", "no-such-file"}, exitFailed, "no-such-file"},
		{"no cells", []string{"--rate=1", writeCurve(t, func(r *record.Run) { r.Tables[0].Cells = nil })}, exitFailed, "no closed-loop cells"},
		{"not a record", []string{"--rate=1", writeCurve(t, func(r *record.Run) { r.Format = 7 })}, exitFailed, "format is 7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, stdout, stderr := execute(t, t.Context(), "", append([]string{"fleet", "plan"}, c.args...)...)
			if status != c.status || !strings.Contains(stdout+stderr, c.want) {
				t.Errorf("status %d, want %d; want %q in %q %q", status, c.status, c.want, stdout, stderr)
			}
		})
	}
}
