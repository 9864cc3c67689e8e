package kernels

import (
	"strings"
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
	attention, err := library.NewAttention(Scores{Heads: 2, Size: 32})
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

// TestElements wants products refused that have more elements than offsets of 32 bits reach.
func TestElements(t *testing.T) {
	if err := (&Matrix{N: 1 << 16, K: 1 << 16}).check("gemm", F16); err != nil {
		t.Errorf("2^32 weights: %v", err)
	}
	if err := (&Matrix{N: 1 << 17, K: 1 << 16}).check("gemm", F16); err == nil {
		t.Error("2^33 weights are taken")
	}
	linear := Linear{Weights: Matrix{N: 2, K: 1 << 16}}
	if n := linear.elements(&Rows{M: 1 << 17}, F16); n != 1<<33 {
		t.Errorf("%d elements, want 2^33", n)
	}
	if err := linear.bind(nil, F16, &Rows{M: 1 << 17}, metal.Binding{}, 0); err == nil || !strings.Contains(err.Error(), "elements of a is 8589934592, want at most 2^32") {
		t.Errorf("2^33 elements of a: %v", err)
	}
	linear.GatherA = true
	rows := Rows{M: 1 << 17, A: metal.At(sized(80), 16)}
	if n := linear.elements(&rows, F16); n != 32 {
		t.Errorf("%d elements of a gathered buffer, want 32", n)
	}
}

// sized is a buffer of so many bytes.
type sized int

func (s sized) Bytes() []byte { return make([]byte, s) }
func (s sized) Close() error  { return nil }
