package cpu

import (
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/builtin"
)

// Speeds of a shared machine change within minutes. So each measurement has a round of its own beside a measurement of the
// cores' peak at that moment, and the median of the rounds' shares counts.
const (
	speedRounds = 7
	sliceMS     = "40"
)

// BenchmarkPeak reports, for the variant that would be chosen (METALRANK_CPU names another), in percent of the peak of its
// multiply-adds on all cores: each product at M = 2048, and the whole pass at 128 tokens a pair, at each precision. The
// arithmetic of a pass is that of valid tokens, less the savings of the last layer's pruning.
func BenchmarkPeak(b *testing.B) {
	kernels, _, err := chooseVariant("")
	if err != nil {
		b.Fatal(err)
	}
	variant := nameOf(kernels)
	program := build(b, compiler(), "testdata/speed.c", []string{"-O3", "-pthread"})
	checkpoint, err := builtin.Open()
	if err != nil {
		b.Fatal(err)
	}
	defer checkpoint.Close()
	shares := map[string][]float64{} // percent, by measurement
	for range speedRounds {
		for name, share := range productShares(b, program, variant) {
			shares[name] = append(shares[name], share)
		}
	}
	for _, precision := range []Precision{FP32, Int8, BF16} {
		if precision == BF16 && kernels.bf16.run == nil {
			continue
		}
		passShares(b, program, variant, checkpoint, precision, shares)
	}
	for b.Loop() { // all has been measured before
	}
	b.ReportMetric(0, "ns/op")
	for name, all := range shares {
		unit := "%" + name
		if strings.HasSuffix(name, "-peak-GOPS") {
			unit = name
		}
		b.ReportMetric(median(all), unit)
	}
}

// measureSpeed runs testdata/speed.c, and returns 10⁹ operations a second by name.
func measureSpeed(b *testing.B, program, variant string) map[string]float64 {
	b.Helper()
	threads := strconv.Itoa(runtime.GOMAXPROCS(0))
	output, err := exec.CommandContext(b.Context(), program, variant, threads, sliceMS).Output()
	if err != nil {
		b.Skipf("speed %s: %v: its chains are for x86", variant, err)
	}
	speeds := map[string]float64{}
	for line := range strings.Lines(string(output)) {
		var (
			name string
			rate float64
		)
		if _, err := fmt.Sscan(line, &name, &rate); err != nil {
			b.Fatalf("speed: %q: %v", line, err)
		}
		speeds[name] = rate
	}
	return speeds
}

func productShares(b *testing.B, program, variant string) map[string]float64 {
	b.Helper()
	speeds, shares := measureSpeed(b, program, variant), map[string]float64{}
	for name, rate := range speeds {
		element, shape, _ := strings.Cut(name, "/")
		if peak, ok := speeds[name+"/peak"]; ok {
			shares[element+"-"+shape] = 100 * rate / peak
			shares[element+"-peak-GOPS"] = peak
		}
		if peak, ok := speeds[name+"/vector-peak"]; ok {
			shares[element+"-"+shape+"-of-vector"] = 100 * rate / peak
			shares[element+"-vector-peak-GOPS"] = peak
		}
	}
	return shares
}

// passShares times whole passes, each between two measurements of the peaks, and adds to shares.
func passShares(b *testing.B, program, variant string, checkpoint *weights.Checkpoint, precision Precision, shares map[string][]float64) {
	b.Helper()
	const tokens, pairs = 128, 48
	model, err := New(checkpoint, Options{Precision: precision})
	if err != nil {
		b.Fatal(err)
	}
	defer model.Close()
	config := checkpoint.Config()
	plan, err := checkpoint.Plan()
	if err != nil {
		b.Fatal(err)
	}
	batch := modelOf(config).Batch(slices.Repeat([]int{tokens}, pairs)...)
	out := make([]float32, pairs*len(config.Labels))
	operations, _ := cost.Total(cost.Pass(cost.ShapeOf(plan), slices.Repeat([]int{tokens}, pairs), cost.Format{}))
	before := measureSpeed(b, program, variant)
	for range speedRounds {
		begin := time.Now()
		n := 0
		for ; time.Since(begin) < 300*time.Millisecond; n++ {
			if err := model.Forward(b.Context(), batch, out); err != nil {
				b.Fatal(err)
			}
		}
		rate := float64(n) * operations / time.Since(begin).Seconds() / 1e9
		after := measureSpeed(b, program, variant)
		for of, unit := range map[string]string{"peak": "-pass", "vector-peak": "-pass-of-vector"} {
			key := string(precision) + "/384x1536/" + of
			if peak := (before[key] + after[key]) / 2; peak > 0 {
				shares[string(precision)+unit] = append(shares[string(precision)+unit], 100*rate/peak)
			}
		}
		before = after
	}
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}
