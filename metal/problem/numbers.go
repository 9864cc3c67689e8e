package problem

import (
	"encoding/binary"
	"math"
	"math/rand/v2"

	"github.com/x448/float16"
)

// Unit roundoffs: the relative error of rounding once to nearest.
const (
	HalfRoundoff  = 1.0 / (1 << 11)
	FloatRoundoff = 1.0 / (1 << 24)
)

// HalfTiny is the rounding error of subnormal halves: half their spacing of 2^-24.
const HalfTiny = 1.0 / (1 << 25)

// Normal returns n numbers of a normal distribution of the given width, all exactly representable as half, the same for
// the same seed on any machine.
func Normal(n int, width float64, seed uint64) []float64 {
	random := rand.New(rand.NewPCG(seed, 0x6d6574616c))
	values := make([]float64, n)
	for i := range values {
		values[i] = float64(float16.Fromfloat32(float32(random.NormFloat64() * width)).Float32())
	}
	return values
}

// EncodeHalf rounds values to f16.
func EncodeHalf(values []float64) []byte {
	data := make([]byte, 0, 2*len(values))
	for _, value := range values {
		data = binary.LittleEndian.AppendUint16(data, float16.Fromfloat32(float32(value)).Bits())
	}
	return data
}

// DecodeHalf reads f16.
func DecodeHalf(data []byte) []float64 {
	values := make([]float64, len(data)/2)
	for i := range values {
		values[i] = float64(float16.Frombits(binary.LittleEndian.Uint16(data[2*i:])).Float32())
	}
	return values
}

// EncodeFloat rounds values to f32.
func EncodeFloat(values []float64) []byte {
	data := make([]byte, 0, 4*len(values))
	for _, value := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(value)))
	}
	return data
}

// DecodeFloat reads f32.
func DecodeFloat(data []byte) []float64 {
	values := make([]float64, len(data)/4)
	for i := range values {
		values[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:])))
	}
	return values
}
