package main

import (
	"bytes"
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
	status, stdout, stderr := execute(t, t.Context(), "", "doctor", "--driver="+drivers, "--speed-time=0", "--format=json")
	var report doctor.Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("%v; stderr %q", err, stderr)
	}
	// The exit status reports a missing Metal device if Metal's kernels are asked for.
	if present := !report.Drivers[0].Absent; present != (status == 0) || report.Healthy() != (status == 0) {
		t.Errorf("status %d with metal present %v; faults %q; stderr %q", status, present, report.Faults, stderr)
	}
	if report.Speeds != nil || len(report.Goldens) < 2 || report.Machine.Cores == 0 {
		t.Errorf("%+v", report)
	}
}

func TestDoctorUsage(t *testing.T) {
	for _, args := range [][]string{{"--driver=cuda"}, {"--speed-time=2h"}, {"--speed-time=-1s"}, {"--format=xml"}} {
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
		Drivers: []doctor.Driver{{Name: "metal", Device: "Apple M2", Families: []string{"apple8"}, Cases: 5, Failures: []doctor.Failure{failure}}},
		Goldens: []doctor.Golden{{System: "metal fp16", Error: "broken\nin two"}},
		Faults:  append([]string{"metal: " + failure.String()}, make([]string, 20)...),
	}
	var out bytes.Buffer
	if err := printReport(&out, &r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Apple M2 apple8", "5 cases, 1 wrong", "metal fp16: broken in two", "and 9 more", "NOT WELL",
		"norm_f16_2 (norm.metal): norm f16 3x124, exact buffers: element 7 is NaN, want 0.5; 2 of 372 elements are wrong",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
