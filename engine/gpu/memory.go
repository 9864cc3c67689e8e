package gpu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/x448/float16"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/weights"
)

// memory reads a checkpoint's tensors into buffers of the device. The device does not read the file's own pages: another
// process may write to a file while it is mapped.
type memory struct {
	device     metal.Device
	checkpoint *weights.Checkpoint
	dtype      kernels.DType
	buffers    []metal.Buffer
	sizeBytes  int64
}

func newMemory(device metal.Device, checkpoint *weights.Checkpoint, dtype kernels.DType) *memory {
	return &memory{device: device, checkpoint: checkpoint, dtype: dtype}
}

func (m *memory) close() error {
	var errs []error
	for _, buffer := range m.buffers {
		errs = append(errs, buffer.Close())
	}
	m.buffers = nil
	return errors.Join(errs...)
}

// order is where rows of tensors, one tensor under the other, go in memory: place i gets row order[i]. Nil: as they are.
type order []int

// arrange puts the rows of a matrix into their order.
func (o order) arrange(data []byte) {
	if o == nil {
		return
	}
	size := len(data) / len(o)
	from := bytes.Clone(data)
	for to, row := range o {
		copy(data[to*size:(to+1)*size], from[row*size:])
	}
}

// put fills a buffer with tensors, one behind the other, and puts their rows into order; elements that are floats become d.
func (m *memory) put(d kernels.DType, rows order, tensors ...weights.Tensor) (metal.Binding, error) {
	size := 0
	for _, t := range tensors {
		size += sizeAs(d, t)
	}
	at, to, err := m.buffer(size)
	if err != nil {
		return metal.Binding{}, err
	}
	whole := to
	for _, t := range tensors {
		start := 0
		for piece, err := range m.checkpoint.Pieces(t, chunk) {
			if err == nil {
				err = encode(to[:sizeAs(d, piece)], d, piece, start)
			}
			if err != nil {
				return metal.Binding{}, err
			}
			to, start = to[sizeAs(d, piece):], start+piece.Len()
		}
	}
	rows.arrange(whole)
	return at, nil
}

// buffer returns a new buffer of a size, and its bytes.
func (m *memory) buffer(size int) (metal.Binding, []byte, error) {
	buffer, err := m.device.NewBuffer(size)
	if err != nil {
		return metal.Binding{}, nil, err
	}
	m.buffers = append(m.buffers, buffer)
	m.sizeBytes += int64(size)
	return metal.At(buffer, 0), buffer.Bytes()[:size], nil
}

// values puts numbers into the device's memory as f32.
func (m *memory) values(values []float32) (metal.Binding, error) {
	at, to, err := m.buffer(4 * len(values))
	if err != nil {
		return at, err
	}
	for i, v := range values {
		binary.LittleEndian.PutUint32(to[4*i:], math.Float32bits(v))
	}
	return at, nil
}

// floats returns the elements of a tensor.
func (m *memory) floats(t weights.Tensor) ([]float32, error) {
	t, err := m.checkpoint.Read(t)
	if err != nil {
		return nil, err
	}
	values := make([]float32, t.Len())
	t.Float32s(values, 0)
	return values, nil
}

// sizeAs is how many bytes a tensor has as d; codes stay as they are.
func sizeAs(d kernels.DType, t weights.Tensor) int {
	if !t.IsNumeric() {
		return t.SizeBytes()
	}
	return t.Len() * d.Size()
}

// table puts tensors, one under the other, into the device's memory as elements of the library's dtype.
func (m *memory) table(tensors ...weights.Tensor) (metal.Binding, error) {
	return m.put(m.dtype, nil, tensors...)
}

// matrix puts tensors [n, K], one under the other and with their rows in order, into the device's memory: as codes if all are
// quantised alike in a way that kernels take, else decoded.
func (m *memory) matrix(rows order, tensors ...weights.Tensor) (kernels.Matrix, error) {
	w := kernels.Matrix{K: tensors[0].Shape[1]}
	for _, t := range tensors {
		w.N += t.Shape[0]
	}
	if quantisedAlike(tensors) {
		return w, m.codes(&w, rows, tensors)
	}
	var err error
	w.Data, err = m.put(m.dtype, rows, tensors...)
	return w, err
}

// quantisedAlike says whether kernels can multiply by the codes of all tensors.
func quantisedAlike(tensors []weights.Tensor) bool {
	for _, t := range tensors {
		q := t.Quant
		if q == nil || q.Bits != 4 && q.Bits != 8 || q.Affine != tensors[0].Quant.Affine {
			return false
		}
	}
	return true
}

// codes puts the parts of quantised tensors into the device's memory.
func (m *memory) codes(w *kernels.Matrix, rows order, tensors []weights.Tensor) error {
	w.Bits, w.GroupSize = tensors[0].Quant.Bits, tensors[0].Quant.GroupSize
	for _, part := range []struct {
		at *metal.Binding
		of func(*weights.AffineTensor) weights.Tensor
	}{
		{&w.Data, func(q *weights.AffineTensor) weights.Tensor { return q.Codes }},
		{&w.Scales, func(q *weights.AffineTensor) weights.Tensor { return q.Scales }},
		{&w.Offsets, func(q *weights.AffineTensor) weights.Tensor { return q.Biases }},
	} {
		parts := make([]weights.Tensor, len(tensors))
		for i, t := range tensors {
			parts[i] = part.of(t.Quant)
		}
		var err error
		if *part.at, err = m.put(kernels.F16, rows, parts...); err != nil {
			return err
		}
	}
	return nil
}

// vectors puts tensors, one behind the other, into the device's memory as f32.
func (m *memory) vectors(rows order, tensors ...weights.Tensor) (metal.Binding, error) {
	return m.put(kernels.F32, rows, tensors...)
}

// chunk is about how many elements are read and decoded at a time.
const chunk = 1 << 18

// encode stores a tensor's elements as d, or its codes as they are; its first element is number start of the whole.
// Errors: a number that a half cannot hold.
func encode(to []byte, d kernels.DType, t weights.Tensor, start int) error {
	if same := map[kernels.DType]weights.DType{kernels.F32: weights.F32, kernels.F16: weights.F16}[d]; !t.IsNumeric() ||
		t.DType == same && t.Quant == nil && t.Channel == nil && t.Blocks == nil {
		copy(to, t.Bytes())
		return nil
	}
	values := make([]float32, t.Len())
	t.Float32s(values, 0)
	for i, v := range values {
		if d == kernels.F32 {
			binary.LittleEndian.PutUint32(to[4*i:], math.Float32bits(v))
			continue
		}
		h := float16.Fromfloat32(v)
		if h.IsInf(0) && !math.IsInf(float64(v), 0) {
			return fmt.Errorf("gpu: tensor %q: element %d is %g, which half precision cannot hold: use fp32", t.Name, start+i, v)
		}
		binary.LittleEndian.PutUint16(to[2*i:], h.Bits())
	}
	return nil
}
