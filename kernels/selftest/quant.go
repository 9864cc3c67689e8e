package selftest

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal/problem"
)

// groups is a matrix in affine groups.
type groups struct {
	codes           []byte    // little-endian, of 4 or 8 bits
	scales, offsets []float64 // exactly representable as half
	values          []float64 // as a kernel dequantises them
}

// quantised makes a random matrix [rows, columns] with values about as wide as width. It needs no quantiser: a kernel must
// give the values of the codes, however these were made.
func quantised(d kernels.DType, rows, columns, bits, groupSize int, width float64, seed uint64) groups {
	random := rand.New(rand.NewPCG(seed, 9))
	n := rows * columns
	g := groups{
		scales:  problem.Normal(n/groupSize, 2*width/float64(int(1)<<bits), seed),
		offsets: problem.Normal(n/groupSize, width, seed+1),
		codes:   make([]byte, n*bits/8), values: make([]float64, n),
	}
	for i := range n {
		code := random.IntN(1 << bits)
		if bits == 8 {
			g.codes[i] = byte(code)
		} else {
			g.codes[i/2] |= byte(code << (4 * (i % 2)))
		}
		sum := float32(float64(code)*g.scales[i/groupSize] + g.offsets[i/groupSize]) // one rounding: see Gemm.Case
		g.values[i] = rounded(d, float64(sum))
	}
	return g
}

func (g groups) operands() [3]problem.Operand {
	return [3]problem.Operand{
		{Name: "codes", Raw: g.codes}, {Name: "scales", Half: true, Values: g.scales}, {Name: "offsets", Half: true, Values: g.offsets},
	}
}

// distinct returns the number of different values.
func distinct(values []int) int {
	sorted := slices.Sorted(slices.Values(values))
	return len(slices.Compact(sorted))
}

// wordsOf returns values as u32, little-endian.
func wordsOf(values []int) []byte {
	data := make([]byte, 0, 4*len(values))
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, uint32(v))
	}
	return data
}
