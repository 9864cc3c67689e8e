package sim_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/metaltest"
	"github.com/metalrank/metalrank/metal/problem"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
)

// TestConformance runs the suite that every driver must pass, in every mode.
func TestConformance(t *testing.T) {
	for name, config := range map[string]sim.Config{
		"plain":      {},
		"one thread": {Threads: 1},
		"shuffled":   {Seed: 4711},
		"checked":    {Checked: true},
	} {
		t.Run(name, func(t *testing.T) {
			metaltest.Run(t, func(tb testing.TB) metal.Device {
				tb.Helper()
				return simtest.Open(tb, config)
			})
		})
	}
}

// schedules is the number of orders of threads and threadgroups that TestSchedules tries.
const schedules = 100

// TestSchedules runs right kernels, in checked mode, in many orders: their answers are right and there are no findings.
func TestSchedules(t *testing.T) {
	seeds := schedules
	if testing.Short() {
		seeds = 10
	}
	cases := []problem.Case{
		metaltest.Reduce(1031, 97, 97),
		metaltest.Reduce(300, 300, 256),
		metaltest.Softmax(3, 33, 64),
		metaltest.Softmax(2, 101, 96),
		metaltest.Gemm(7, 66, 33, true, true),
		metaltest.Gemm(65, 5, 65, false, false),
	}
	for seed := range uint64(seeds) {
		device := simtest.Open(t, sim.Config{Checked: true, Seed: seed})
		libraries := metaltest.Libraries(t, device)
		for i := range cases {
			pending, err := cases[i].Run(t.Context(), device, libraries[cases[i].Source], problem.Exact)
			if err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			if pending == nil {
				continue
			}
			for _, f := range simtest.Findings(t, pending) {
				t.Errorf("seed %d: %v", seed, f)
			}
		}
		for _, library := range libraries {
			if err := library.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := device.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			return
		}
	}
}

// TestKernelFindings runs all cases of the test kernels once in checked mode: no findings.
func TestKernelFindings(t *testing.T) {
	device := simtest.Open(t, sim.Config{Checked: true})
	libraries := metaltest.Libraries(t, device)
	for _, c := range metaltest.Cases() {
		pending, err := c.Run(t.Context(), device, libraries[c.Source], problem.Exact)
		if err != nil {
			t.Error(err)
		}
		if pending == nil {
			continue
		}
		for _, f := range simtest.Findings(t, pending) {
			t.Errorf("%s: %v", c.Name, f)
		}
	}
}

// minilmLayer is the work of one layer of MiniLM-L6 over 128 tokens: its four linear layers, and the softmax of its
// twelve heads.
func minilmLayer() []problem.Case {
	return []problem.Case{
		metaltest.Gemm(128, 1152, 384, true, false),
		metaltest.Gemm(128, 384, 384, true, false),
		metaltest.Gemm(128, 1536, 384, true, true),
		metaltest.Gemm(128, 384, 1536, true, false),
		metaltest.Softmax(12*128, 128, 128),
	}
}

// BenchmarkMiniLMLayer measures the simulator's time for a layer, and the GFLOP/s of a host thread.
func BenchmarkMiniLMLayer(b *testing.B) {
	cases := minilmLayer()
	for _, config := range []sim.Config{{Threads: 1}, {Threads: 2}, {Threads: 1, Checked: true}, {Threads: 1, Seed: 1}} {
		b.Run(fmt.Sprintf("threads=%d,checked=%v,seed=%d", config.Threads, config.Checked, config.Seed), func(b *testing.B) {
			device := simtest.Open(b, config)
			libraries := metaltest.Libraries(b, device)
			var busy time.Duration
			var flops float64
			for b.Loop() {
				for i := range cases {
					pending, err := cases[i].Run(b.Context(), device, libraries[cases[i].Source], problem.Exact)
					if err != nil {
						b.Fatal(err)
					}
					timing, err := pending.Wait(context.Background())
					if err != nil {
						b.Fatal(err)
					}
					busy += timing.Elapsed()
					flops += cases[i].FLOPs
				}
			}
			b.ReportMetric(busy.Seconds()/float64(b.N), "simulated-s/op")
			b.ReportMetric(flops/busy.Seconds()/float64(config.Threads)/1e9, "GFLOP/s/thread")
		})
	}
}
