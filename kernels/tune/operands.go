package tune

import (
	"encoding/binary"
	"math"
	"math/rand/v2"

	"github.com/x448/float16"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
)

// operands are made-up activations for a product.
type operands struct {
	shape  kernels.Shape
	buffer metal.Buffer
	a, y   metal.Binding // [M, K]; [M, N]
	extra  metal.Binding // residual [M, N], in f32 if it must
	index  metal.Binding // [M] u32: 0, 1, 2 …
	// Of layers that have them: positions [M] u32, 0 each; statistics [M, ..] of one mean and deviation; and the sum [M, N] f32.
	positions, statistics, sum metal.Binding

	rounding *kernels.Rounding // nil: not needed yet
}

const (
	operandAlignment = 128
	// made is how many numbers are made up; they are repeated, since millions would take much of a search's time. It is a prime, so
	// that no two rows are alike.
	made = 65521
)

func newOperands(device metal.Device, shape kernels.Shape, m int) (*operands, error) {
	element, size := shape.Type.Size(), 0
	place := func(bytes int) int {
		at := size
		size += (bytes + operandAlignment - 1) / operandAlignment * operandAlignment
		return at
	}
	a, y, extra, index := place(m*shape.K*element), place(m*shape.N*element), place(4*m*shape.N), place(4*m)
	positions, statistics, sum := place(4*m), place(m*kernels.StatisticsSize(max(shape.N, shape.K))), place(4*m*shape.N)
	buffer, err := device.NewBuffer(size)
	if err != nil {
		return nil, err
	}
	o := &operands{
		shape: shape, buffer: buffer, a: metal.At(buffer, a), y: metal.At(buffer, y), extra: metal.At(buffer, extra),
		index: metal.At(buffer, index), positions: metal.At(buffer, positions), statistics: metal.At(buffer, statistics),
		sum: metal.At(buffer, sum),
	}
	random, data := rand.New(rand.NewPCG(1, 2)), buffer.Bytes()[:index]
	filled := min(len(data), made*element)
	for at := 0; at < filled; at += element {
		put(data[at:], shape.Type, float32(random.NormFloat64()))
	}
	for filled < len(data) {
		filled += copy(data[filled:], data[:filled])
	}
	for i := range m {
		binary.LittleEndian.PutUint32(buffer.Bytes()[index+4*i:], uint32(i))
	}
	for at := statistics; at < sum; at += 8 {
		put(buffer.Bytes()[at+4:], kernels.F32, 1) // squares; the mean is 0
	}
	return o, nil
}

func put(at []byte, d kernels.DType, value float32) {
	if d == kernels.F16 {
		binary.LittleEndian.PutUint16(at, float16.Fromfloat32(value).Bits())
		return
	}
	binary.LittleEndian.PutUint32(at, math.Float32bits(value))
}

func (o *operands) rows(m int) kernels.Rows {
	return kernels.Rows{
		M: m, A: o.a, Y: o.y, Residual: o.extra, Index: o.index, Positions: o.positions, Statistics: o.statistics, Sum: o.sum,
	}
}

// result returns the rows that the last run made.
func (o *operands) result(m int) []byte {
	return o.buffer.Bytes()[o.y.OffsetBytes:][:m*o.shape.N*o.shape.Type.Size()]
}

// near says whether two results of m rows differ by no more than rounding explains. A result that is not finite is near to none.
func (o *operands) near(p *kernels.Product, m int, a, b []byte) bool {
	if o.rounding == nil {
		o.rounding = p.Rounding()
	}
	d, n, k := o.shape.Type, o.shape.N, o.shape.K
	rows, residual := o.buffer.Bytes()[o.a.OffsetBytes:], o.buffer.Bytes()[o.extra.OffsetBytes:]
	for row := range m {
		var squares float64
		for i := range k {
			x := get(rows, d, row*k+i)
			squares += x * x
		}
		norm := math.Sqrt(squares)
		for column := range n {
			i := row*n + column
			x, y := get(a, d, i), get(b, d, i)
			allowed := o.rounding.Allowed(column, norm, get(residual, d, i), max(math.Abs(x), math.Abs(y)))
			if !(math.Abs(x-y) <= allowed) { // in this form, NaN is not near
				return false
			}
		}
	}
	return true
}

func get(data []byte, d kernels.DType, i int) float64 {
	if d == kernels.F16 {
		return float64(float16.Frombits(binary.LittleEndian.Uint16(data[2*i:])).Float32())
	}
	return float64(math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:])))
}

// spoil makes the result not a number, so that a run that leaves some of it out shows.
func (o *operands) spoil(m int) {
	result := o.result(m)
	for i := range result {
		result[i] = 0xFF
	}
}

func (o *operands) close() error { return o.buffer.Close() }
