package weights

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/x448/float16"
)

// TestDTypes compares the table with the reference implementation's: 22 types, their names and sizes.
func TestDTypes(t *testing.T) {
	want := "F32 4, F16 2, BF16 2, F64 8, C64 8, I8 1, I16 2, I32 4, I64 8, U8 1, U16 2, U32 4, U64 8, BOOL 1, F8_E4M3 1, " +
		"F8_E5M2 1, F8_E8M0 1, F8_E4M3FNUZ 1, F8_E5M2FNUZ 1, F6_E2M3 0, F6_E3M2 0, F4 0"
	var got []string
	for d := F32; d.known(); d++ {
		got = append(got, fmt.Sprintf("%s %d", d, d.Size()))
		if back, ok := parseDType(d.String()); !ok || back != d {
			t.Errorf("parseDType(%q) = %v, %v", d, back, ok)
		}
	}
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("\n got %s\nwant %s", s, want)
	}
	for _, bad := range []string{"", "f32", "F33", "invalid dtype"} {
		if d, ok := parseDType(bad); ok {
			t.Errorf("parseDType(%q) = %v", bad, d)
		}
	}
	if DType(0).Size() != 0 || DType(200).Size() != 0 || DType(200).String() != "invalid dtype" {
		t.Error("an unknown DType has a size or a name")
	}
}

// TestDecodeF16 checks all 65536 values against an independent implementation.
func TestDecodeF16(t *testing.T) {
	var src []byte
	for i := range 1 << 16 {
		src = binary.LittleEndian.AppendUint16(src, uint16(i))
	}
	got := make([]float32, 1<<16)
	decodeF16(got, src)
	check := func(i int, g float32) {
		want := float16.Frombits(uint16(i)).Float32()
		if math.IsNaN(float64(want)) {
			if !math.IsNaN(float64(g)) || math.Signbit(float64(g)) != (i >= 0x8000) {
				t.Fatalf("%#04x: %v, want a NaN of that sign", i, g)
			}
		} else if math.Float32bits(g) != math.Float32bits(want) {
			t.Fatalf("%#04x: %v, want %v", i, g, want)
		}
	}
	for i, g := range got {
		check(i, g)
	}
	// Each value in each of the four places of the fast path, beside normal numbers.
	for i := range 1 << 16 {
		for place := range 4 {
			four := []uint16{0x3c00, 0xbc00, 0x0400, 0x7bff}
			four[place] = uint16(i)
			for j, v := range four {
				binary.LittleEndian.PutUint16(src[2*j:], v)
			}
			decodeF16(got[:4], src)
			for j, v := range four {
				check(int(v), got[j])
			}
		}
	}
}

// TestDecodeBF16 checks all 65536 values against the definition: the upper half of a float32.
func TestDecodeBF16(t *testing.T) {
	var src []byte
	for i := range 1 << 16 {
		src = binary.LittleEndian.AppendUint16(src, uint16(i))
	}
	got := make([]float32, 1<<16)
	decodeBF16(got, src)
	for i, g := range got {
		if math.Float32bits(g) != uint32(i)<<16 {
			t.Fatalf("%#04x: bits %#08x, want %#08x", i, math.Float32bits(g), uint32(i)<<16)
		}
	}
}

// TestFloat32sRanges decodes every range of a short tensor, at every alignment of the data.
func TestFloat32sRanges(t *testing.T) {
	const n = 19
	values := make([]float32, n)
	for i := range values {
		values[i] = 1 + float32(i)/4 // exact in all three types
	}
	for _, d := range []DType{F32, F16, BF16} {
		data := encode(d, values)
		for shift := range 8 {
			x := Tensor{Name: "x", DType: d, Shape: []int{n}, data: append(make([]byte, shift), data...)[shift:]}
			for start := range n + 1 {
				for end := start; end <= n; end++ {
					dst := make([]float32, end-start+2)
					dst[0], dst[len(dst)-1] = -7, -7 // guards
					x.Float32s(dst[1:len(dst)-1], start)
					for i, v := range values[start:end] {
						if dst[1+i] != v {
							t.Fatalf("%v shift %d [%d %d): element %d is %v, want %v", d, shift, start, end, i, dst[1+i], v)
						}
					}
					if dst[0] != -7 || dst[len(dst)-1] != -7 {
						t.Fatalf("%v [%d %d): wrote outside", d, start, end)
					}
				}
			}
		}
	}
}

func TestFloat32sBugs(t *testing.T) {
	f := Tensor{Name: "x", DType: F32, Shape: []int{2, 2}, data: make([]byte, 16)}
	i := Tensor{Name: "ids", DType: I64, Shape: []int{1}, data: make([]byte, 8)}
	for _, c := range []struct {
		t        Tensor
		n, start int
		want     string
	}{
		{f, 1, 4, `BUG: weights: tensor "x": elements [4, 5) of 4`},
		{f, 5, 0, `BUG: weights: tensor "x": elements [0, 5) of 4`},
		{f, 1, -1, `BUG: weights: tensor "x": elements [-1, 0) of 4`},
		{f, 0, 5, `BUG: weights: tensor "x": elements [5, 5) of 4`},
		{f, 1, math.MaxInt, fmt.Sprintf(`BUG: weights: tensor "x": elements [%d, %d) of 4`, math.MaxInt, math.MinInt)},
		{i, 1, 0, `BUG: weights: tensor "ids": I64 read as float32`},
	} {
		func() {
			defer func() {
				if got := recover(); got != c.want {
					t.Errorf("panic %v, want %s", got, c.want)
				}
			}()
			c.t.Float32s(make([]float32, c.n), c.start)
		}()
	}
}

func TestSizeText(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 bytes", 1: "1 byte", 9999: "9999 bytes", 10_000: "10 kB", 12_345: "12.3 kB", 999_499: "999 kB",
		999_500: "1 MB", 12_000_000_000: "12 GB", math.MaxUint64: "18.4 EB",
	} {
		if got := sizeText(n); got != want {
			t.Errorf("sizeText(%d) = %s, want %s", n, got, want)
		}
	}
}

func BenchmarkFloat32s(b *testing.B) {
	const n = 1 << 16 // in cache, to measure arithmetic and not memory
	for _, d := range []DType{F32, F16, BF16} {
		b.Run(d.String(), func(b *testing.B) {
			values := make([]float32, n)
			for i := range values {
				values[i] = 0.04*float32(math.Sin(float64(i))) + 1e-4 // a few in 10,000 are subnormal, as in real weights
			}
			x := Tensor{Name: "x", DType: d, Shape: []int{n}, data: encode(d, values)}
			dst := make([]float32, n)
			b.SetBytes(int64(len(x.data))) // of the file, not of the result
			for b.Loop() {
				x.Float32s(dst, 0)
			}
		})
	}
}
