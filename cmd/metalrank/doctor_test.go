package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/metalrank/metalrank/cmd/metalrank/doctor"
	"github.com/metalrank/metalrank/internal/record"
	"github.com/metalrank/metalrank/metal/sim/simtest"
)

func TestDoctor(t *testing.T) {
	if testing.Short() {
		t.Skip("scores all goldens twice")
	}
	drivers := "metal"
	if simtest.Long() { // package doctor's tests examine the simulator, too
		drivers = "metal,sim"
	}
	t.Setenv("METALRANK_FORMER", "1")
	t.Setenv("METALRANK_LISTEN", "127.0.0.1:0")
	status, stdout, stderr := execute(t, t.Context(), "", "doctor", "--driver="+drivers, "--speed-time=0", "--format=json",
		"--log="+filepath.Join(t.TempDir(), "log"))
	var report doctor.Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("%v; stderr %q", err, stderr)
	}
	// The exit status reports a missing Metal device if Metal's kernels are asked for.
	if present := !report.Drivers[0].Absent; present != (status == 0) || report.Healthy() != (status == 0) {
		t.Errorf("status %d with metal present %v; faults %q; stderr %q", status, present, report.Faults, stderr)
	}
	if text := strings.Join(report.Older, "\n"); !strings.Contains(text, "METALRANK_FORMER: ") || strings.Contains(text, "METALRANK_LISTEN") {
		t.Errorf("older: %q", text)
	}
	if report.Speeds != nil || len(report.Goldens) < 2 || report.Machine.Cores == 0 {
		t.Errorf("%+v", report)
	}
}

func TestDoctorUsage(t *testing.T) {
	for _, args := range [][]string{{"--driver=cuda"}, {"--speed-time=2h"}, {"--speed-time=-1s"}, {"--format=xml"}, {"--skip=speed"}, {"--compare=x", "--format=json"}} {
		if status, _, stderr := execute(t, t.Context(), "", append([]string{"doctor"}, args...)...); status != exitUsage {
			t.Errorf("%v: status %d, %q", args, status, stderr)
		}
	}
}

func TestPrintReport(t *testing.T) {
	element := 7
	failure := doctor.Failure{
		Case: "norm f16 3x124", File: "norm.metal", Kernels: []string{"norm_f16_2"}, Layout: "exact", Element: &element,
		Got: "NaN", Want: 0.5, Wrong: 2, Elements: 372,
	}
	r := doctor.Report{
		Version: "1.0", Time: time.Unix(0, 0).UTC(), Machine: record.Machine{CPU: "Apple M2", Cores: 8, OS: "macOS 15.1"},
		Drivers: []doctor.Driver{
			{
				Name: "metal", Device: "Apple M2", Families: []string{"apple8"}, Cases: 5, Failures: []doctor.Failure{failure},
				Architecture: "applegpu_g14g", Cores: 10, Limits: &doctor.Limits{MaxThreads: 1024}, Lanes: []string{"f16 lane 0: 1,0 0,1"},
				Pipelines: []doctor.Pipeline{{Kernel: "norm_f16_2", Specialised: 2, MaxThreads: 576}, {Kernel: "full", Specialised: 1, MaxThreads: 1024}},
				Times: &doctor.Times{Rates: map[string]float64{"copy": 9e10}, EmptyUS: 12, Shapes: []doctor.Shape{
					{Kernel: "gemm", Rows: 8, N: 64, K: 32, Variants: []doctor.Variant{{Name: "8x32", US: 5}, {Name: "64x32", Error: "too\nlarge"}}, PercentOfRoof: 40},
				}},
			},
			{Name: "sim", Simulated: true, NotMeasured: "simulated"},
		},
		Latencies:  []doctor.Latency{{System: "metal fp16", Pairs: 8, HotMS: 3, Idle: []doctor.Pause{{Seconds: 2, MS: 300}}}},
		Validation: &doctor.Validation{Cases: 4, Messages: []string{"Metal API Validation Enabled"}},
		Goldens:    []doctor.Golden{{System: "metal fp16", Error: "broken\nin two"}},
		Older:      []string{"METALRANK_FORMER: gone"},
		Faults:     append([]string{"metal: " + failure.String()}, make([]string, 20)...),
	}
	var out bytes.Buffer
	if err := printReport(&out, &r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Apple M2 applegpu_g14g apple8", "10 cores", "f16 lane 0: 1,0 0,1", "norm_f16_2: 576 threads", "3 of 2 kernels, 0 of these from a metallib",
		"copy: 90 G/s", "12 µs for an empty list", "gemm 8x64x32: 8x32 5.0 µs, 64x32 too large; 40 % of the roof",
		"limits, pipelines and times: not measured: simulated", "8 pairs, 3.00 ms; after 2 s of idling 300.00 ms",
		"4 cases, 0 faults under Metal's validation", "Metal API Validation Enabled", "5 cases, 1 wrong", "metal fp16: broken in two", "METALRANK_FORMER: gone", "and 9 more", "NOT WELL",
		"norm_f16_2 (norm.metal): norm f16 3x124, exact buffers: element 7 is NaN, want 0.5; 2 of 372 elements are wrong",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// TestDoctorCompares two reports, and refuses a third, other files, and JSON.
func TestDoctorCompares(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a := write("a", `{"format": 1, "version": "v1", "speeds": [{"system": "cpu", "pairs_per_second": 100}]}`)
	b := write("b", `{"format": 1, "version": "v2\u001b[31m", "speeds": [{"system": "cpu", "pairs_per_second": 150}]}`)
	status, out, stderr := execute(t, t.Context(), "", "doctor", "--compare="+a+","+b)
	want := "item       before       after          after/before\n" +
		"version    v1           v2[31m         \n" +
		"speed cpu  100 pairs/s  150 pairs/s    1.50\n"
	if status != 0 || strings.Join(strings.Fields(out), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("status %d, %s\n%s", status, stderr, out)
	}
	for args, want := range map[string]string{
		a + "," + b + "," + a:           "--compare has 3 files",
		write("c", "{}"):                "the report's format is 0",
		filepath.Join(folder, "absent"): "no such file",
	} {
		if status, _, stderr := execute(t, t.Context(), "", "doctor", "--compare="+args); status == 0 || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, %s", args, status, stderr)
		}
	}
}
