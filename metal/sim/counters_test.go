package sim

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/metalrank/metalrank/metal"
)

// The counts of testdata/counters.metal, by hand: 3 groups of 64 threads are 192 threads and 6 simdgroups.
var counted = map[string]Counters{
	"counted": {
		Threadgroups: 3, Threads: 192, ThreadgroupBarriers: 3, SimdgroupBarriers: 6, SimdgroupOperations: 6,
		FLOPs:           2 * 192, // pair, and the product in exp
		Transcendentals: 192,
		DeviceReadBytes: 4*192 + 4*6, DeviceReadUniqueBytes: 4*96 + 4, // in[0] … in[95], and the total
		DeviceWrittenBytes: 4*192 + 4*6, DeviceWrittenUniqueBytes: 4*192 + 4,
		ConstantReadBytes: 8 * 192, ThreadgroupReadBytes: 8 * 192, ThreadgroupWrittenBytes: 4 * 192, Atomics: 6,
	},
	"counted_matrix": {
		Threadgroups: 3, Threads: 192, MatrixMultiplies: 9,
		DeviceReadBytes: 3 * 256, DeviceReadUniqueBytes: 3 * 256,
		DeviceWrittenBytes: 3 * 256, DeviceWrittenUniqueBytes: 3 * 256,
	},
	"counted_arithmetic": {
		Threadgroups: 3, Threads: 192, FLOPs: (2+1+4+1)*192 + 2*192,
		DeviceReadBytes: 4 * 192, DeviceReadUniqueBytes: 4 * 192,
		DeviceWrittenBytes: 4 * 192, DeviceWrittenUniqueBytes: 4 * 192,
	},
}

// TestCounters compares the counters with those counted by hand: threads in order and shuffled, with one host thread and
// four.
func TestCounters(t *testing.T) {
	clang(t)
	for _, config := range []Config{
		{Checked: true, Threads: 1}, {Checked: true, Threads: 4}, {Checked: true, Seed: 1}, {Checked: true, Seed: 99},
		{Threads: 1}, {Threads: 4}, {Threads: 4, Seed: 1},
	} {
		t.Run(fmt.Sprintf("checked=%v,threads=%d,seed=%d", config.Checked, config.Threads, config.Seed), func(t *testing.T) {
			device, err := Open(config)
			if err != nil {
				t.Fatal(err)
			}
			defer device.Close()
			for kernel, want := range counted {
				got := countersOf(t, device, kernel)
				if !config.Checked {
					want = Counters{
						Threadgroups: want.Threadgroups, Threads: want.Threads, ThreadgroupBarriers: want.ThreadgroupBarriers,
						SimdgroupBarriers: want.SimdgroupBarriers, SimdgroupOperations: want.SimdgroupOperations,
						MatrixMultiplies: want.MatrixMultiplies,
					}
				}
				if got != want {
					t.Errorf("%s:\n got %+v\nwant %+v", kernel, got, want)
				}
			}
			if err := device.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if got := counted["counted_matrix"].MatrixFLOPs(); got != 9*1024 {
		t.Errorf("9 multiplications are %d FLOPs, want %d", got, 9*1024)
	}
}

// countersOf runs a kernel of testdata/counters.metal twice in a list: its counters are the same both times.
func countersOf(t *testing.T, device *Device, kernel string) Counters {
	t.Helper()
	text, err := os.ReadFile("testdata/counters.metal")
	if err != nil {
		t.Fatal(err)
	}
	library, err := device.NewLibrary(metal.Source{Name: "counters.metal", Text: string(text)})
	if err != nil {
		t.Fatal(err)
	}
	pipeline, err := library.Pipeline(kernel)
	if err != nil {
		t.Fatal(err)
	}
	total, err := device.NewBuffer(4)
	if err != nil {
		t.Fatal(err)
	}
	clear(total.Bytes())
	out, in := floats(t, device, 192), floats(t, device, 192)
	arguments := binary.LittleEndian.AppendUint32(nil, 96)
	arguments = binary.LittleEndian.AppendUint32(arguments, math.Float32bits(1e-4))
	dispatch := metal.Dispatch{
		Pipeline: pipeline, Groups: metal.Size{X: 3}, Threads: metal.Size{X: 64}, Arguments: arguments, ArgumentsIndex: 2,
		Buffers: []metal.Binding{metal.At(out, 0), metal.At(in, 0), {}, metal.At(total, 0)},
	}
	encoder := metal.NewEncoder(device)
	for range 2 {
		if err := encoder.Dispatch(&dispatch); err != nil {
			t.Fatal(err)
		}
		encoder.Barrier()
	}
	pending, err := encoder.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pending.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	reports := pending.(*Pending).Reports()
	for _, report := range reports {
		for _, f := range report.Findings {
			t.Error(f)
		}
	}
	if reports[0].Counters != reports[1].Counters {
		t.Errorf("%s, twice: %+v, then %+v", kernel, reports[0].Counters, reports[1].Counters)
	}
	return reports[0].Counters
}
