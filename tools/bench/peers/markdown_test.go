package main

import (
	"strings"
	"testing"
	"time"

	"github.com/metalrank/metalrank/tools/bench/peers/workload"
)

// TestMarkdown checks each table of a report with figures that can be worked out by hand.
func TestMarkdown(t *testing.T) {
	ours := system{peerName{"metalrank", "int8"}, false}
	used := system{peerName{"openvino", "int8"}, false}
	tuned := system{peerName{"openvino", "int8"}, true}
	eager := system{reference, false}
	r := report{
		Begin: time.Unix(0, 0).UTC(), End: time.Unix(60, 0).UTC(), Threads: 2, Rounds: 3, Seed: 1,
		Shapes: []workload.Shape{
			{Name: "short", Documents: []int{32, 32}, Pairs: 64, Mean: 33, Longest: 50, Padding: 1.4},
			{Name: workload.Latency, Documents: []int{8}, Pairs: 8, Mean: 33, Longest: 50, Padding: 1.3},
		},
		Series: []*series{
			{System: ours, Workload: "short", Runs: []pass{{0.05, 0.05}, {0.1, 0.1}, {0.05, 0.05}}},
			{System: used, Workload: "short", Runs: []pass{{0.1, 0.1}, {0.3, 0.3}, {0.1, 0.1}}},
			{System: tuned, Workload: "short", MicroTokens: 512, Runs: []pass{{0.075, 0.075}, {0.15, 0.15}, {0.2, 0.2}}},
			{System: eager, Workload: "short", Runs: []pass{{0.4}, {0.4}, {0.4}}},
			{System: ours, Workload: workload.Latency, Runs: []pass{{0.01}, {0.02}, {0.03}}},
			{System: used, Workload: workload.Latency, Runs: []pass{{0.04}, {0.04}, {0.04}}},
			{System: eager, Workload: workload.Latency, Runs: []pass{{0.06}, {0.06}, {0.06}}},
		},
		Scores: []agreement{
			{System: ours, Workload: "short", Difference: 0.1, Ordered: true, Tau: 0.98, Deviation: 2},
			{System: ours, Workload: workload.Latency, Difference: 0.2, Ordered: true, Tau: 1, Deviation: 2},
			{System: ours, Workload: workload.Evaluation, Difference: 0.3, Ordered: true, Tau: 0.97, Deviation: 3},
			{System: eager, Workload: "short", Difference: 0, Deviation: 2}, // of one document a request, so not ordered
		},
		LeftOut:  []omission{{tuned, workload.Latency, "scores that are not finite"}},
		Products: []product{{Name: peerName{"matmul", "fp32"}, GFLOPS: []float64{100, 300, 200}}},
		Versions: []version{{reference, "torch 1"}},
	}
	text := r.markdown()
	for _, line := range []string{
		"| metalrank int8 | any precision, as used | 2.00 (openvino int8) | 2.00 (openvino int8) |",
		"| metalrank int8 | fp32, as used | 8.00 (torch fp32) | 3.00 (torch fp32) |",
		"| metalrank int8 | any precision, tuned | 1.50 (openvino int8) | – |",
		"| metalrank int8 | fp32, tuned | – | – |",
		"| metalrank int8 | 640.0 | 20.0 / 29.0 |",
		"| openvino int8, tuned | 213.3 (512) | – |",
		"| torch fp32 | 80.0* | 60.0 / 60.0 |",
		"| metalrank int8 | 0.2 | 0.9900 | 0.3 | 0.9700 |",
		"| torch fp32 | 0 | – | 0 | – |",
		"\nLeft out on latency: openvino int8, tuned: scores that are not finite.\n",
		"| short | 64 | 33.0 | 50 | ×1.40 |",
		" fp32 200;",
		"- torch fp32: torch 1",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in the report:\n%s", line, text)
		}
	}
}
