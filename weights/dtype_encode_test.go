package weights

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/x448/float16"
	"pgregory.net/rapid"
)

// TestEncodeF16 compares with an independent implementation: every value that binary16 has, the midpoints between
// them, the float32 next to either, and random ones.
func TestEncodeF16(t *testing.T) {
	check := func(x float32) {
		var got [2]byte
		F16.Encode(got[:], []float32{x})
		want := float16.Fromfloat32(x).Bits()
		if g := binary.LittleEndian.Uint16(got[:]); g != want && !(isNaN16(g) && isNaN16(want) && g>>15 == want>>15) {
			t.Fatalf("%g (%#08x): %#04x, want %#04x", x, math.Float32bits(x), g, want)
		}
	}
	for h := range 1 << 16 {
		x := halfToFloat(uint32(h))
		next := halfToFloat(uint32(h + 1&0xffff))
		for _, v := range []float32{x, x/2 + next/2} {
			b := math.Float32bits(v)
			for _, near := range []uint32{b - 1, b, b + 1} {
				check(math.Float32frombits(near))
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) { check(math.Float32frombits(rapid.Uint32().Draw(t, "bits"))) })
}

func isNaN16(h uint16) bool { return h&0x7fff > 0x7c00 }

// TestEncodeBF16: a value is rounded to the nearer of its two neighbours in bfloat16, and to the even one if both are
// equally near.
func TestEncodeBF16(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := math.Float32frombits(rapid.Uint32().Draw(t, "bits"))
		var out [2]byte
		BF16.Encode(out[:], []float32{x})
		got := binary.LittleEndian.Uint16(out[:])
		if math.IsNaN(float64(x)) {
			if back := math.Float32frombits(uint32(got) << 16); !math.IsNaN(float64(back)) || math.Signbit(float64(back)) != math.Signbit(float64(x)) {
				t.Fatalf("a NaN became %g", back)
			}
			return
		}
		down := math.Float32bits(x) >> 16
		up := down + 1
		distance := func(h uint32) float64 {
			v := float64(math.Float32frombits(h << 16))
			if math.IsInf(v, 0) { // rounding sees the number that would come next
				v = math.Copysign(math.Ldexp(1, 128), v)
			}
			return math.Abs(float64(x) - v)
		}
		want := down
		if d, u := distance(down), distance(up); u < d || u == d && up&1 == 0 {
			want = up
		}
		if math.IsInf(float64(x), 0) {
			want = down
		}
		if uint32(got) != want&0xffff {
			t.Fatalf("%g: %#04x, want %#04x", x, got, want)
		}
	})
}

// TestEncodeDecode: values decoded from a type encode to the same bytes.
func TestEncodeDecode(t *testing.T) {
	for _, d := range []DType{F32, F16, BF16} {
		rapid.Check(t, func(t *rapid.T) {
			bits := rapid.SliceOfN(rapid.Uint32(), 1, 9).Draw(t, "bits")
			values := make([]float32, len(bits))
			for i, b := range bits {
				if values[i] = math.Float32frombits(b); math.IsNaN(float64(values[i])) {
					values[i] = 1
				}
			}
			once, twice := make([]byte, d.Size()*len(bits)), make([]byte, d.Size()*len(bits))
			d.Encode(once, values)
			Tensor{DType: d, Shape: []int{len(bits)}, data: once}.Float32s(values, 0)
			d.Encode(twice, values)
			if !bytes.Equal(once, twice) {
				t.Fatalf("%s: % x became % x", d, once, twice)
			}
		})
	}
}
