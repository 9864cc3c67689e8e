package gpu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/x448/float16"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/weights"
)

// memory puts a checkpoint's tensors where the device can read them: where they lie, if they are in a mapped file, have
// the right type and begin where kernels can read them; else in a copy.
type memory struct {
	device     metal.Device
	checkpoint *weights.Checkpoint
	dtype      kernels.DType
	mapped     map[*byte]metal.Buffer // by the first byte of a file's pages
	buffers    []metal.Buffer
	sizeBytes  int64 // that weights occupy, copied or not
}

func newMemory(device metal.Device, checkpoint *weights.Checkpoint, dtype kernels.DType) *memory {
	return &memory{device: device, checkpoint: checkpoint, dtype: dtype, mapped: map[*byte]metal.Buffer{}}
}

func (m *memory) close() error {
	var errs []error
	for _, buffer := range m.buffers {
		errs = append(errs, buffer.Close())
	}
	m.buffers = nil
	return errors.Join(errs...)
}

// inPlace finds a tensor in a mapped file. false: it has to be copied.
func (m *memory) inPlace(t weights.Tensor, alignment int) (metal.Binding, bool) {
	pages, offset, ok := m.checkpoint.Pages(t)
	if !ok || offset%alignment != 0 {
		return metal.Binding{}, false
	}
	buffer, ok := m.mapped[&pages[0]]
	if !ok {
		var err error
		if buffer, err = m.device.NewBufferNoCopy(pages); err != nil {
			return metal.Binding{}, false // its pages are smaller than the device's, say
		}
		m.mapped[&pages[0]] = buffer
		m.buffers = append(m.buffers, buffer)
	}
	m.sizeBytes += int64(len(t.Bytes()))
	return metal.At(buffer, offset), true
}

// copied puts data into a buffer of its own.
func (m *memory) copied(data []byte) (metal.Binding, error) {
	buffer, err := m.device.NewBuffer(len(data))
	if err != nil {
		return metal.Binding{}, err
	}
	m.buffers = append(m.buffers, buffer)
	m.sizeBytes += int64(len(data))
	copy(buffer.Bytes(), data)
	return metal.At(buffer, 0), nil
}

// stored is how a tensor lies in its file when kernels can read it as it is.
func (m *memory) stored() weights.DType {
	if m.dtype == kernels.F32 {
		return weights.F32
	}
	return weights.F16
}

// table puts a tensor into the device's memory as elements of the library's dtype.
func (m *memory) table(t weights.Tensor) (metal.Binding, error) {
	if t.Quant == nil && t.DType == m.stored() {
		if at, ok := m.inPlace(t, m.dtype.Alignment()); ok {
			return at, nil
		}
	}
	data, err := encode(nil, m.dtype, t)
	if err != nil {
		return metal.Binding{}, err
	}
	return m.copied(data)
}

// matrix puts tensors [n, K], one under the other, into the device's memory: as codes if all are quantised alike in a
// way that kernels take, else decoded.
func (m *memory) matrix(tensors ...weights.Tensor) (kernels.Matrix, error) {
	w := kernels.Matrix{K: tensors[0].Shape[1]}
	for _, t := range tensors {
		w.N += t.Shape[0]
	}
	if quantisedAlike(tensors) {
		return w, m.codes(&w, tensors)
	}
	var err error
	if len(tensors) == 1 {
		w.Data, err = m.table(tensors[0])
		return w, err
	}
	var data []byte
	for _, t := range tensors {
		if data, err = encode(data, m.dtype, t); err != nil {
			return w, err
		}
	}
	w.Data, err = m.copied(data)
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

// codeAlignment is what kernels ask of codes, which they read four or two bytes at a time, and more than of scales.
const codeAlignment = 4

// codes puts the parts of quantised tensors into the device's memory.
func (m *memory) codes(w *kernels.Matrix, tensors []weights.Tensor) error {
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
		if *part.at, err = m.part(parts); err != nil {
			return err
		}
	}
	return nil
}

// part puts codes, or scales as f16, one tensor's under the other's, into the device's memory.
func (m *memory) part(tensors []weights.Tensor) (metal.Binding, error) {
	if t := tensors[0]; len(tensors) == 1 && (t.DType == weights.F16 || t.DType == weights.U32) {
		if at, ok := m.inPlace(t, codeAlignment); ok {
			return at, nil
		}
	}
	var data []byte
	for _, t := range tensors {
		if t.DType == weights.U32 {
			data = append(data, t.Bytes()...)
			continue
		}
		var err error
		if data, err = encode(data, kernels.F16, t); err != nil {
			return metal.Binding{}, err
		}
	}
	return m.copied(data)
}

// vectors puts tensors, one behind the other, into the device's memory as f32.
func (m *memory) vectors(tensors ...weights.Tensor) (metal.Binding, error) {
	var data []byte
	for _, t := range tensors {
		var err error
		if data, err = encode(data, kernels.F32, t); err != nil {
			return metal.Binding{}, err
		}
	}
	return m.copied(data)
}

// chunk is how many elements are decoded at a time.
const chunk = 1 << 14

// encode appends a tensor's elements as d. Errors: a number that a half cannot hold.
func encode(data []byte, d kernels.DType, t weights.Tensor) ([]byte, error) {
	values := make([]float32, min(chunk, t.Len()))
	for start := 0; start < t.Len(); start += chunk {
		part := values[:min(chunk, t.Len()-start)]
		t.Float32s(part, start)
		for i, v := range part {
			if d == kernels.F32 {
				data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
				continue
			}
			h := float16.Fromfloat32(v)
			if h.IsInf(0) && !math.IsInf(float64(v), 0) {
				return nil, fmt.Errorf("gpu: tensor %q: element %d is %g, which half precision cannot hold: use fp32", t.Name, start+i, v)
			}
			data = binary.LittleEndian.AppendUint16(data, h.Bits())
		}
	}
	return data, nil
}
