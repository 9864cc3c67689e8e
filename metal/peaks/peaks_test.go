package peaks

import (
	"testing"

	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
)

// TestProbes runs every kernel in the simulator: its counters must have the work that Probes claim, and there are no
// findings.
func TestProbes(t *testing.T) {
	device := simtest.Open(t, sim.Config{Checked: true})
	b, err := Open(device, 500)
	if err != nil {
		t.Fatal(err)
	}
	simtest.CloseLater(t, b)
	const rounds, threads = 3, 512
	for _, p := range Probes {
		pending, err := b.Run(p.Kernel, rounds, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pending.Wait(t.Context()); err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		for _, f := range simtest.Findings(t, pending) {
			t.Errorf("%s: %v", p.Name, f)
		}
		work, ok := pending.(*sim.Pending)
		if !ok {
			t.Fatalf("submitted work is a %T", pending)
		}
		c := work.Reports()[0].Counters
		times := 1.0
		if p.Rounds {
			times = rounds
		}
		if want := p.FLOPs * threads * times; p.FLOPs > 0 {
			got := float64(c.FLOPs + c.MatrixFLOPs())
			// The sums at the end, which no round repeats, add some.
			if got < want || got > want+threads*20 {
				t.Errorf("%s: %g FLOPs, want %g", p.Name, got, want)
			}
		}
		if want := p.Bytes * threads * times; p.Bytes > 0 {
			got := float64(c.DeviceReadBytes + c.DeviceWrittenBytes)
			if p.Rounds {
				got = float64(c.ThreadgroupReadBytes)
			}
			if got != want {
				t.Errorf("%s: %g bytes, want %g", p.Name, got, want)
			}
		}
	}
}

// TestMeasure checks that Measure ends, on the simulator. Its times mean nothing.
func TestMeasure(t *testing.T) {
	if testing.Short() {
		t.Skip("nothing in it happens at once")
	}
	b, err := Open(simtest.Open(t, sim.Config{}), groupThreads)
	if err != nil {
		t.Fatal(err)
	}
	simtest.CloseLater(t, b)
	r, err := b.Measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range Probes {
		if r.Rates[p.Name] <= 0 {
			t.Errorf("%s: %g a second", p.Name, r.Rates[p.Name])
		}
	}
	if r.Commit <= 0 || r.Empty <= 0 {
		t.Errorf("a list costs %v, an empty one %v", r.Commit, r.Empty)
	}
}
