package kernels

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/x448/float16"

	"github.com/metalrank/metalrank/metal"
)

// Matrix is a weight matrix w [N, K] on the device: of the library's DType, or in MLX's affine groups along K.
type Matrix struct {
	N, K int
	Data metal.Binding // [N, K], or codes of Bits bits each, little-endian

	Bits      int           // 4 or 8; 0: not quantised
	GroupSize int           // 32, 64 or 128 codes that share scale and offset
	Scales    metal.Binding // [N, K/GroupSize] f16
	Offsets   metal.Binding // [N, K/GroupSize] f16; MLX calls them biases
}

// maxElements is how many elements of a and of weights the kernels of products can reach: their offsets have 32 bits.
const maxElements = 1 << 32

// GroupSizes are the values that Matrix.GroupSize may have.
var GroupSizes = []int{32, 64, 128}

func (m *Matrix) check(operation string, d DType) error {
	alignment := d.Alignment()
	if m.Bits != 0 {
		alignment = run
	}
	for _, err := range []error{
		checkSize(operation, "K", m.K, m.K > 0 && m.K%4 == 0, "a positive multiple of 4"),
		checkSize(operation, "N", m.N, m.N > 0 && m.N%2 == 0, "a positive multiple of 2"),
		checkSize(operation, "N times K", m.N*m.K, m.N*m.K <= maxElements, "at most 2^32"),
		checkSize(operation, "bits of a weight", m.Bits, m.Bits == 0 || m.Bits == 4 || m.Bits == 8, "0, 4 or 8"),
		checkAlignment(operation, "weights", m.Data, alignment),
	} {
		if err != nil {
			return err
		}
	}
	if m.Bits == 0 {
		return nil
	}
	if err := checkSize(operation, "group size", m.GroupSize, slices.Contains(GroupSizes, m.GroupSize), "32, 64 or 128"); err != nil {
		return err
	}
	return checkSize(operation, "K", m.K, m.K%m.GroupSize == 0, fmt.Sprintf("a multiple of the group size, %d", m.GroupSize))
}

func checkAlignment(operation, what string, at metal.Binding, alignment int) error {
	if at.OffsetBytes%alignment != 0 {
		return fmt.Errorf("kernels: %s: %s begin at byte %d, want a multiple of %d", operation, what, at.OffsetBytes, alignment)
	}
	return nil
}

// prefix returns the part of a kernel's name for the type of weights: "q4_", or "" where they are not quantised.
func (m *Matrix) prefix() string {
	if m.Bits == 0 {
		return ""
	}
	return fmt.Sprintf("q%d_", m.Bits)
}

// norms returns the Euclidean norms of the rows of weights [N], as kernels multiply them; d is their type where they are not
// quantised.
func (m *Matrix) norms(d DType) []float64 {
	norms := make([]float64, m.N)
	for n := range norms {
		var squares float64
		for k := range m.K {
			w := m.at(d, n*m.K+k)
			squares += w * w
		}
		norms[n] = math.Sqrt(squares)
	}
	return norms
}

// at returns an element, with the rows one behind the other.
func (m *Matrix) at(d DType, i int) float64 {
	switch m.Bits {
	case 0:
		return valueAt(m.Data, d, i)
	case 4:
		i, code := i/m.GroupSize, byteAt(m.Data, i/2)>>(i%2*4)&15
		return float64(code)*valueAt(m.Scales, F16, i) + valueAt(m.Offsets, F16, i)
	}
	return float64(byteAt(m.Data, i))*valueAt(m.Scales, F16, i/m.GroupSize) + valueAt(m.Offsets, F16, i/m.GroupSize)
}

func byteAt(b metal.Binding, i int) byte { return b.Buffer.Bytes()[b.OffsetBytes+i] }

// valueAt returns element i of a buffer of a type.
func valueAt(b metal.Binding, d DType, i int) float64 {
	data := b.Buffer.Bytes()[b.OffsetBytes+i*d.Size():]
	if d == F32 {
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(data)))
	}
	return float64(float16.Frombits(binary.LittleEndian.Uint16(data)).Float32())
}

// Below returns the matrix without its first n rows; d is the type of its elements where it is not quantised. Its
// alignment is checked when an operation is made of it.
func (m Matrix) Below(n int, d DType) Matrix {
	sizeBytes := n * m.K * d.Size()
	if m.Bits != 0 {
		sizeBytes = n * m.K * m.Bits / 8
		scales := 2 * n * (m.K / m.GroupSize)
		m.Scales.OffsetBytes += scales
		m.Offsets.OffsetBytes += scales
	}
	m.Data.OffsetBytes += sizeBytes
	m.N -= n
	return m
}
