package cpu

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/metalrank/metalrank/weights"
)

// Every variant widens every binary16 as the decoder of package weights does, whose own test has an independent one; rows need not
// be whole vectors.
func TestWidenHalves(t *testing.T) {
	const count = 1 << 16
	var from []byte
	for i := range count {
		from = binary.LittleEndian.AppendUint16(from, uint16(i))
	}
	got, want := make([]float32, count), make([]float32, count)
	weights.F16.Decode(want, from)
	for _, v := range Variants() {
		if !v.Available {
			continue
		}
		kernels := findKernels(v.Name)
		for begin, width := 0, 1; begin < count; begin, width = begin+width, width%40+1 {
			end := min(begin+width, count)
			widenHalves(kernels, got[begin:end], from[2*begin:2*end])
		}
		for i := range count {
			if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
				t.Fatalf("%s: %#04x is %x, want %x", v.Name, i, math.Float32bits(got[i]), math.Float32bits(want[i]))
			}
		}
	}
}
