package cpu

/*
#include "forward.h"
*/
import "C"

import (
	"fmt"
	"unsafe"

	"github.com/metalrank/metalrank/weights"
)

// loader packs a checkpoint into an arena.
type loader struct {
	checkpoint *weights.Checkpoint
	arena      *arena
	config     weights.Config
	kernels    *C.struct_kernels
	precision  Precision
}

// pad is the multiple that rows are padded to; PAD of kernels.h.
const pad = C.PAD

// maxInt8Terms is how many products of bytes fit a 32-bit sum: 255 · 128 · 65,536 < 2³¹.
const maxInt8Terms = 1 << 16

func (l *loader) matmul() *C.struct_matmul {
	switch l.precision {
	case Int8:
		return &l.kernels.i8
	case BF16:
		return &l.kernels.bf16
	default:
		return &l.kernels.f32
	}
}

// read returns a tensor with its data. After a failure its arena has the error.
func (l *loader) read(t weights.Tensor) (weights.Tensor, bool) {
	if l.arena.err == nil {
		t, l.arena.err = l.checkpoint.Read(t)
	}
	return t, l.arena.err == nil
}

// load returns the model in C's memory, all of it in the arena.
func (l *loader) load(bert *weights.BERT) (*C.struct_model, error) {
	c := l.config
	activation, err := activationOf(c.Activation)
	if err != nil {
		return nil, err
	}
	poolerActivation, err := activationOf(c.PoolerActivation)
	if err != nil {
		return nil, err
	}
	if most := max(c.HiddenSize, c.FeedForward); l.precision == Int8 && roundUp(most, pad) > maxInt8Terms {
		return nil, fmt.Errorf("cpu: %d terms in a product, int8 takes at most %d: use fp32", most, maxInt8Terms)
	}
	layers := takeSlice[C.struct_layer](l.arena, len(bert.Layers))
	models := takeSlice[C.struct_model](l.arena, 1)
	if l.arena.err != nil {
		return nil, l.arena.err
	}
	model := &models[0]
	*model = C.struct_model{
		kernels: l.kernels, matmul: l.matmul(),
		e: C.int(c.EmbeddingSize), e_padded: C.int(roundUp(c.EmbeddingSize, pad)),
		h: C.int(c.HiddenSize), h_padded: C.int(roundUp(c.HiddenSize, pad)), f_padded: C.int(roundUp(c.FeedForward, pad)),
		heads: C.int(c.Heads), labels_padded: C.int(roundUp(len(c.Labels), pad)), layer_count: C.int(len(layers)),
		block: blockRows, activation: activation, pooler_activation: poolerActivation, epsilon: C.float(c.LayerNormEps),
		positions: l.table(bert.PositionEmbeddings, c.EmbeddingSize), types: l.table(bert.TypeEmbeddings, c.EmbeddingSize),
		embedding_norm: l.norm(bert.EmbeddingNorm, c.EmbeddingSize), layers: unsafe.SliceData(layers),
		pooler: l.linear(&l.kernels.f32, bert.Pooler), classifier: l.linear(&l.kernels.f32, bert.Classifier),
	}
	if bert.Projection != nil {
		model.projection = l.linear(&l.kernels.f32, *bert.Projection)
	}
	for i := range layers {
		l.layer(&layers[i], &bert.Layers[i])
	}
	return model, l.arena.err
}

func activationOf(a weights.Activation) (uint32, error) {
	switch a {
	case weights.GELU:
		return C.ACTIVATION_GELU, nil
	case weights.GELUNew:
		return C.ACTIVATION_GELU_NEW, nil
	case weights.ReLU:
		return C.ACTIVATION_RELU, nil
	case weights.Tanh:
		return C.ACTIVATION_TANH, nil
	}
	return 0, fmt.Errorf("cpu: activation %s is not supported", a)
}

func (l *loader) layer(to *C.struct_layer, from *weights.BERTLayer) {
	matmul := l.matmul()
	to.qkv = l.linear(matmul, from.Query, from.Key, from.Value)
	hidden := to.qkv.k
	to.query, to.keyed = columns(matmul, to.qkv, 0, hidden), columns(matmul, to.qkv, hidden, 3*hidden)
	to.attention_output = l.linear(matmul, from.AttentionOutput)
	to.attention_norm = l.norm(from.AttentionNorm, l.config.HiddenSize)
	to.intermediate = l.linear(matmul, from.Intermediate)
	to.output = l.linear(matmul, from.Output)
	to.output_norm = l.norm(from.OutputNorm, l.config.HiddenSize)
}

// columns returns columns [begin, end) of packed weights; both are multiples of pad, and so of a panel.
func columns(m *C.struct_matmul, w C.struct_linear, begin, end C.int) C.struct_linear {
	part := w
	part.panels = unsafe.Add(w.panels, int(begin)*int(w.k)*int(m.weight_bytes))
	part.bias = (*C.float)(unsafe.Add(unsafe.Pointer(w.bias), 4*int(begin)))
	if w.scales != nil {
		part.scales = (*C.float)(unsafe.Add(unsafe.Pointer(w.scales), 4*int(begin)))
		part.sums = (*C.int32_t)(unsafe.Add(unsafe.Pointer(w.sums), 4*int(begin)))
	}
	part.n = end - begin
	return part
}

// linear packs matrices of the same width one under the other; the outputs of each are padded by themselves.
func (l *loader) linear(m *C.struct_matmul, parts ...weights.Linear) C.struct_linear {
	out, in := parts[0].Weight.Shape[0], parts[0].Weight.Shape[1]
	n, k := len(parts)*roundUp(out, pad), roundUp(in, pad)
	w := C.struct_linear{n: C.int(n), k: C.int(k)}
	bias := takeSlice[float32](l.arena, n)
	panels := l.arena.take(n * k * int(m.weight_bytes))
	var (
		scales []float32
		sums   []int32
	)
	quantised := m == &l.kernels.i8
	if quantised {
		scales, sums = takeSlice[float32](l.arena, n), takeSlice[int32](l.arena, n)
		w.scales, w.sums = (*C.float)(unsafe.SliceData(scales)), (*C.int32_t)(unsafe.SliceData(sums))
	}
	if l.arena.err != nil {
		return w
	}
	w.bias, w.panels = (*C.float)(unsafe.SliceData(bias)), panels
	row, bytes := make([]float32, in), make([]int8, in)
	for i, part := range parts {
		var ok bool
		if part.Weight, ok = l.read(part.Weight); !ok {
			return w
		}
		if part.Bias, ok = l.read(part.Bias); !ok {
			return w
		}
		first := i * roundUp(out, pad)
		part.Bias.Float32s(bias[first:first+out], 0)
		for o := range out {
			if quantised {
				scales[first+o], sums[first+o] = int8Row(part.Weight, o, row, bytes)
				packNarrow(m, panels, bytes, first+o, n, k)
				continue
			}
			part.Weight.Float32s(row, o*in)
			packNarrow(m, panels, row, first+o, n, k)
		}
	}
	return w
}

// packNarrow packs one row in the elements of the product.
func packNarrow[T int8 | float32](m *C.struct_matmul, panels unsafe.Pointer, row []T, at, n, k int) {
	panel, group := int(m.panel), int(m.group)
	switch row := any(row).(type) {
	case []int8:
		if m.weight_bytes == 1 {
			packRow(unsafe.Slice((*int8)(panels), n*k), row, at, k, panel, group)
			return
		}
		wide := make([]int16, len(row))
		for i, v := range row {
			wide[i] = int16(v)
		}
		packRow(unsafe.Slice((*int16)(panels), n*k), wide, at, k, panel, group)
	case []float32:
		if m.weight_bytes == 4 {
			packRow(unsafe.Slice((*float32)(panels), n*k), row, at, k, panel, group)
			return
		}
		narrow := make([]uint16, len(row))
		for i, v := range row {
			narrow[i] = bfloat16(v)
		}
		packRow(unsafe.Slice((*uint16)(panels), n*k), narrow, at, k, panel, group)
	}
}

func (l *loader) norm(n weights.LayerNorm, width int) C.struct_norm {
	return C.struct_norm{gamma: l.table(n.Gamma, width), beta: l.table(n.Beta, width)}
}

// table copies rows of floats of a width, padded.
func (l *loader) table(t weights.Tensor, width int) *C.float {
	padded := roundUp(width, pad)
	rows := t.Len() / width
	to := takeSlice[float32](l.arena, rows*padded)
	t, ok := l.read(t)
	if !ok {
		return nil
	}
	for i := range rows {
		t.Float32s(to[i*padded:i*padded+width], i*width)
	}
	return (*C.float)(unsafe.SliceData(to))
}

// strideOf is the distance between rows in elements of some bytes: stride_of of forward.h.
func strideOf(width, sizeBytes int) int { return width + cacheLineSizeBytes/sizeBytes }
