package kernels

import (
	"testing"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
)

// TestRecordAllocates wants recording not to allocate: a forward pass records 33 operations.
func TestRecordAllocates(t *testing.T) {
	device := simtest.Open(t, sim.Config{})
	library := Open(device, F16)
	simtest.CloseLater(t, library)
	buffer, err := device.NewBuffer(1 << 16)
	if err != nil {
		t.Fatal(err)
	}
	simtest.CloseLater(t, buffer)
	at := metal.At(buffer, 0)
	linear := Linear{Weights: Matrix{N: 64, K: 64, Data: at}, Bias: at, Residual: true}
	gemm, err := library.NewGemm(linear)
	if err != nil {
		t.Fatal(err)
	}
	norm, err := library.NewGemmNorm(linear, at, 1e-12)
	if err != nil {
		t.Fatal(err)
	}
	attention, err := library.NewAttention(2, 32)
	if err != nil {
		t.Fatal(err)
	}
	recorder := NewRecorder(device)
	rows := Rows{M: 64, A: at, Y: at, Residual: at}
	record := func() {
		for _, err := range [...]error{
			gemm.Record(recorder, rows), norm.Record(recorder, rows),
			attention.Record(recorder, AttentionRows{
				Q: at, K: at, V: at, QueryStride: 192, KeyStride: 192, Items: at, Count: 1, Out: at, OutStride: 64,
			}),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		recorder.Reset()
	}
	if n := testing.AllocsPerRun(100, record); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
