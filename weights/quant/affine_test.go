package quant

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/x448/float16"
	"pgregory.net/rapid"
)

// goldenTensor makes the same tensor for a number as tools/model/golden/quantize.py: see there.
func goldenTensor(number, rows, columns int) []float32 {
	state := uint64(number + 1)
	uniform := func() float32 {
		state = state*6364136223846793005 + 1442695040888963407
		return float32(int(state>>40)-1<<23) * (1.0 / (1 << 23))
	}
	w := make([]float32, 0, rows*columns)
	for r := range rows {
		for c := range columns {
			a, b, x := uniform(), uniform(), uniform()
			v := float32(a*b) * x
			switch kind := (r + number) % 7; {
			case kind == 1:
				v = 0
			case kind == 2:
				v = abs(v) + 0.125
			case kind == 3:
				v = -abs(v) - 0.125
			case kind == 4 && c%37 == 5:
				v *= 64
			case kind == 5:
				v = 0.0625
			}
			w = append(w, v)
		}
	}
	return w
}

// storage has, for each type, the rounding of a float32, and its bytes.
var storage = map[string]struct {
	round  func(float32) float32
	append func([]byte, float32) []byte
}{
	"float32": {
		func(x float32) float32 { return x },
		func(b []byte, x float32) []byte { return binary.LittleEndian.AppendUint32(b, math.Float32bits(x)) },
	},
	"float16": {
		func(x float32) float32 { return float16.Fromfloat32(x).Float32() },
		func(b []byte, x float32) []byte {
			return binary.LittleEndian.AppendUint16(b, float16.Fromfloat32(x).Bits())
		},
	},
	"bfloat16": {
		func(x float32) float32 { return math.Float32frombits(uint32(bfloat16(x)) << 16) },
		func(b []byte, x float32) []byte { return binary.LittleEndian.AppendUint16(b, bfloat16(x)) },
	},
}

// bfloat16 rounds to nearest, ties to even.
func bfloat16(x float32) uint16 {
	b := math.Float32bits(x)
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])[:16]
}

// TestAgainstMLX: codes, scales, biases and the weights made of them have the bytes that MLX makes on the CPU.
func TestAgainstMLX(t *testing.T) {
	var golden struct {
		Tensors []struct {
			Rows, Columns int
			SHA256        string
			Cases         map[string][4]string
		}
	}
	data, err := os.ReadFile("testdata/goldens_mlx.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	cases := 0
	for number, g := range golden.Tensors {
		source := goldenTensor(number, g.Rows, g.Columns)
		if got := hashed("float32", source); got != g.SHA256 {
			t.Fatalf("tensor %d is not the one that the goldens were made of", number)
		}
		for name, want := range g.Cases {
			var dtype string
			var a Affine
			if _, err := fmt.Sscan(name, &dtype, &a.Bits, &a.GroupSize); err != nil {
				t.Fatal(err)
			}
			if got := quantizeStored(a, dtype, source); got != want {
				t.Errorf("tensor %d [%d %d], %s: codes, scales, biases, weights %s, want %s", number, g.Rows, g.Columns, name, got, want)
			}
			cases++
		}
	}
	if want := 20 * 3 * 5 * 3; cases != want {
		t.Errorf("%d cases, want %d", cases, want)
	}
}

func hashed(dtype string, values []float32) string {
	var all []byte
	for _, v := range values {
		all = storage[dtype].append(all, v)
	}
	return digest(all)
}

// quantizeStored quantises values as a file of dtype holds them, and returns the hashes of codes, scales, biases, and
// of the weights made of codes and stored scales and biases.
func quantizeStored(a Affine, dtype string, source []float32) [4]string {
	w := slices.Clone(source)
	for i, v := range w {
		w[i] = storage[dtype].round(v)
	}
	q := a.Quantize(w)
	var codes []byte
	for _, word := range q.Codes {
		codes = binary.LittleEndian.AppendUint32(codes, word)
	}
	out := [4]string{digest(codes), hashed(dtype, q.Scales), hashed(dtype, q.Biases)}
	for i := range q.Scales {
		q.Scales[i], q.Biases[i] = storage[dtype].round(q.Scales[i]), storage[dtype].round(q.Biases[i])
	}
	q.Decode(w)
	out[3] = hashed("float32", w)
	return out
}

func drawScheme(t *rapid.T) Affine {
	return Affine{rapid.SampledFrom(groupSizes).Draw(t, "group"), rapid.SampledFrom(bitWidths).Draw(t, "bits")}
}

// TestPackUnpack: any codes come back, each in its own bits of the stream.
func TestPackUnpack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawScheme(t)
		codes := rapid.SliceOfN(rapid.Uint8Max(uint8(a.Levels())), a.GroupSize, a.GroupSize).Draw(t, "codes")
		words := make([]uint32, a.Words(a.GroupSize))
		a.Pack(words, codes)
		for i, code := range codes {
			for bit := range a.Bits {
				at := i*a.Bits + bit
				if words[at/32]>>(at%32)&1 != uint32(code)>>bit&1 {
					t.Fatalf("code %d, bit %d: not in bit %d of the stream", i, bit, at)
				}
			}
		}
		back := make([]uint8, len(codes))
		a.Unpack(back, words)
		if !slices.Equal(back, codes) {
			t.Fatalf("%d, want %d", back, codes)
		}
	})
}

// TestErrorBound: bending the scale so that 0 is a code moves the far end of the range by levels / (2 q0) steps. The
// edge is at least half of the range away from 0, so q0 is at least rint(levels / 2) and that is less than a step.
func TestErrorBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawScheme(t)
		w := rapid.SliceOfN(rapid.Float32Range(-8, 8), a.GroupSize, a.GroupSize).Draw(t, "w")
		q := a.Quantize(w)
		back := make([]float32, len(w))
		q.Decode(back)
		step := float64((slices.Max(w) - slices.Min(w)) / float32(a.Levels()))
		for i, v := range w {
			if d := math.Abs(float64(back[i] - v)); d > step*1.001+1e-5 {
				t.Fatalf("weight %d: %g became %g: %.3g steps of %g off", i, v, back[i], d/step, step)
			}
		}
	})
}

func TestZerosStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawScheme(t)
		w := rapid.SliceOfN(rapid.Float32Range(-8, 8), a.GroupSize, a.GroupSize).Draw(t, "w")
		w[0], w[1] = -1, 1 // a range around 0
		for i := 2; i < len(w); i += 3 {
			w[i] = 0
		}
		q := a.Quantize(w)
		back := make([]float32, len(w))
		q.Decode(back)
		for i := 2; i < len(w); i += 3 {
			if math.Abs(float64(back[i])) > 1e-5 {
				t.Fatalf("0 became %g", back[i])
			}
		}
	})
}

// TestSlices: groups are independent, so a matrix can be quantised in parts.
func TestSlices(t *testing.T) {
	a := Affine{GroupSize: 64, Bits: 3}
	w := goldenTensor(3, 4, 128)
	whole, parts := a.Quantize(w), a.Make(len(w))
	for g := range 8 {
		parts.Slice(g, g+1).Encode(w[64*g : 64*(g+1)])
	}
	if !slices.Equal(whole.Codes, parts.Codes) || !slices.Equal(whole.Scales, parts.Scales) || !slices.Equal(whole.Biases, parts.Biases) {
		t.Error("group by group gives other values than the whole at once")
	}
	if whole.Len() != len(w) {
		t.Errorf("length %d, want %d", whole.Len(), len(w))
	}
}

func TestCheck(t *testing.T) {
	for _, a := range []Affine{{}, {64, 5}, {64, 0}, {48, 4}, {-64, 4}, {64, 16}} {
		if err := a.Check(); err == nil {
			t.Errorf("%v: no error", a)
		}
	}
	if err := (Affine{32, 6}).Check(); err != nil {
		t.Error(err)
	}
	if a := (Affine{64, 4}); a.Fits(96) || a.Fits(0) || !a.Fits(128) {
		t.Error("Fits")
	}
}

// Weights that are no numbers give codes in range: a file may hold anything.
func TestNotFinite(t *testing.T) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32} {
		for _, bits := range bitWidths {
			a := Affine{32, bits}
			w := goldenTensor(0, 1, 32)
			w[3], w[7] = bad, -bad
			q := a.Quantize(w)
			q.Decode(w)
		}
	}
}

func BenchmarkEncode(b *testing.B) { benchmark(b, func(q Quantized, w []float32) { q.Encode(w) }) }
func BenchmarkDecode(b *testing.B) { benchmark(b, func(q Quantized, w []float32) { q.Decode(w) }) }

func benchmark(b *testing.B, f func(Quantized, []float32)) {
	b.Helper()
	w := goldenTensor(0, 64, 1024)
	for _, bits := range bitWidths {
		b.Run(fmt.Sprintf("bits=%d", bits), func(b *testing.B) {
			q := Affine{64, bits}.Quantize(w)
			b.SetBytes(int64(4 * len(w)))
			for b.Loop() {
				f(q, w)
			}
		})
	}
}
