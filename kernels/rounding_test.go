package kernels

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/x448/float16"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
)

// TestRounding checks the bound for two rows of 64 weights that are worked out by hand: the first is 1 throughout; the second is -2
// in its first 32 terms, and 1 and 7 in turns in the rest.
func TestRounding(t *testing.T) {
	device := simtest.Open(t, sim.Config{})
	halves := func(values ...float32) (data []byte) {
		for _, v := range values {
			data = binary.LittleEndian.AppendUint16(data, float16.Fromfloat32(v).Bits())
		}
		return data
	}
	second := []byte{0, 3} // codes of the terms in turns
	for _, d := range []DType{F16, F32} {
		for _, bits := range []int{0, 4, 8} {
			var data []byte
			weights := Matrix{N: 2, K: 64, Bits: bits, GroupSize: 32}
			for i := range 128 {
				w, code := float32(1), byte(2)
				switch {
				case i >= 96:
					code = second[i%2]
					w = 1 + 2*float32(code)
				case i >= 64:
					w, code = -2, 0
				}
				switch {
				case bits == 0 && d == F16:
					data = append(data, halves(w)...)
				case bits == 0:
					data = binary.LittleEndian.AppendUint32(data, math.Float32bits(w))
				case bits == 4 && i%2 == 1:
					data[i/2] |= code << 4
				default:
					data = append(data, code)
				}
			}
			at := len(data)
			data = append(data, halves(1, 1, 3, 2)...)     // scales
			data = append(data, halves(-1, -1, -2, 1)...)  // offsets
			data = append(data, 0, 0, 0, 0, 0, 0, 0, 0xbf) // bias 0 and -0.5
			buffer, err := device.NewBuffer(len(data))
			if err != nil {
				t.Fatal(err)
			}
			copy(buffer.Bytes(), data)
			weights.Data, weights.Scales, weights.Offsets = metal.At(buffer, 0), metal.At(buffer, at), metal.At(buffer, at+8)
			p := Product{library: &Library{dtype: d}, linear: Linear{Weights: weights, Bias: metal.At(buffer, at+16)}}
			rounding := p.Rounding()
			stored := 3 * math.Exp2(-23)
			if d == F16 {
				stored = 3*math.Exp2(-10) + math.Exp2(-24)
			}
			for n, magnitude := range []float64{10*8 + 0 + 4 + 1, 10*math.Sqrt(32*4+16*1+16*49) + 0.5 + 4 + 1} {
				want := 2*1.13*82*math.Exp2(-24)*magnitude + stored
				if got := rounding.Allowed(n, 10, -4, 3); math.Abs(got-want) > 1e-12*want {
					t.Errorf("%s, %d bits, column %d: %g allowed, want %g", d, bits, n, got, want)
				}
			}
			if err := buffer.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
