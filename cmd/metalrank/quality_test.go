package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/metalrank/metalrank/metal/sim/simtest"
)

// distance bounds how far NDCG@10 may fall, and how much a ranking may differ, from the embedded model's in fp32. int8 and
// int4 of a query set move NDCG by a few exchanged neighbours: at most 0.03 for one of 36 queries.
type distance struct{ ndcg, tau float64 }

var (
	int8Distance = distance{0.005, 0.97}
	int4Distance = distance{0.03, 0.9}
)

// TestQuality compares the embedded model with the given order, which is BM25's or the author's, and its cheaper forms with
// fp32.
func TestQuality(t *testing.T) {
	if testing.Short() {
		t.Skip("scores two thousand pairs four times")
	}
	int4 := filepath.Join(t.TempDir(), "int4")
	if status, _, stderr := execute(t, t.Context(), "", "convert", "builtin", int4, "--dtype=int4"); status != 0 {
		t.Fatal(stderr)
	}
	for _, set := range []struct {
		name  string
		every int     // one query in so many: a set takes a minute on two cores
		least float64 // of fp32's NDCG, of the sample and of the whole set
	}{{"everyday", 2, 0.70}, {"synthetic", 16, 0.98}, {"livemed", 18, 0.80}} {
		t.Run(set.name, func(t *testing.T) {
			if simtest.Long() {
				set.every = 1
			}
			rows := evaluated(t, sample(t, set.name, set.every), "--precision=fp32,int8", "--model=builtin,"+int4)
			given, full := rows[0], rows[1]
			if !(full.NDCG >= set.least && full.NDCG > given.NDCG) {
				t.Errorf("NDCG@10 %.4f, want at least %.2f and more than %.4f of the order given", full.NDCG, set.least, given.NDCG)
			}
			hold(t, full, rows[2], int8Distance)
			hold(t, full, rows[3], int4Distance)
		})
	}
}

// TestQualityOnKernels wants the kernels in fp16 to have the same NDCG as the CPU in fp32, on a sample, since the simulator
// is slow. The engine's tests compare logits on kernels with transformers'.
func TestQualityOnKernels(t *testing.T) {
	if testing.Short() {
		t.Skip("the simulator takes its time")
	}
	every := 20
	if simtest.Long() {
		every = 1
	}
	lines := sample(t, "everyday", every)
	want := evaluated(t, lines, "--backend=cpu", "--precision=fp32")[1].NDCG
	if got := evaluated(t, lines, "--backend=sim", "--precision=fp16")[1].NDCG; math.Abs(got-want) > 0.01 {
		t.Errorf("NDCG@10 %.4f, want %.4f", got, want)
	}
}

// sample returns one query of a set in so many, as lines.
func sample(t *testing.T, set string, every int) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "tools", "model", "quality", set+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for i, line := range strings.SplitAfter(string(text), "\n") {
		if i%every == 0 {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// evaluated runs eval.
func evaluated(t *testing.T, lines string, flags ...string) []evaluation {
	t.Helper()
	status, stdout, stderr := execute(t, t.Context(), lines, append([]string{"eval", "--format=json", "-"}, flags...)...)
	if status != 0 {
		if strings.Contains(stderr, "no such device") && os.Getenv("CI") != "true" {
			t.Skip(stderr)
		}
		t.Fatal(stderr)
	}
	var rows []evaluation
	if err := json.Unmarshal([]byte(stdout), &rows); err != nil || len(rows) < 2 {
		t.Fatalf("%v: %s", err, stdout)
	}
	return rows
}

func hold(t *testing.T, full, got evaluation, allowed distance) {
	t.Helper()
	where := fmt.Sprintf("%s: NDCG@10 %.4f of %.4f, tau %.4f", got.Model, got.NDCG, full.NDCG, got.Tau)
	if !(got.NDCG >= full.NDCG-allowed.ndcg && got.Tau >= allowed.tau) {
		t.Errorf("%s: want at most %.3f less, and a tau of at least %.2f", where, allowed.ndcg, allowed.tau)
	}
	t.Log(where)
}
