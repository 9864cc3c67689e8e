package cpu

/*
#include "forward.h"
*/
import "C"

import (
	"context"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/internal/parallel"
	"github.com/metalrank/metalrank/weights"
)

// loader packs a checkpoint into an arena.
type loader struct {
	checkpoint *weights.Checkpoint
	arena      *arena
	plan       *weights.Plan
	kernels    *C.struct_kernels
	precision  Precision
	rotary     []rotaryTable

	relativeRows []int32 // as struct relative has them
}

// rotaryTable is a table that layers with the same frequencies share.
type rotaryTable struct {
	frequencies []float32
	table       *C.float
}

// supported are the operations beyond a BERT's that this package has.
var supported = []weights.Operation{
	weights.NormBefore, weights.GatedFeedForward, weights.RotaryPositions, weights.WindowAttention, weights.NoPositions,
	weights.NoNorm, weights.DistanceBias, weights.Disentangled, weights.MeanPool, weights.OtherHead,
	weights.LastPool, weights.CausalAttention, weights.GroupedHeads, weights.FreeHeads, weights.HeadNorms, weights.RMSNorm,
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

// attending returns the kernels of attention: those of floats for what only they have, though their operands are wider.
// Rotary positions and gates take floats, too, which not all kernels pass on.
func (l *loader) attending() *C.struct_matmul {
	matmul := l.matmul()
	for i := range l.plan.Layers {
		layer := &l.plan.Layers[i]
		a := &layer.Attention
		onlyFloats := a.Window != 0 || a.Causal || a.Slopes != nil || a.Relative != nil
		if onlyFloats || bool(matmul.halves) && (a.Frequencies != nil || a.QueryNorm != nil || a.KeyNorm != nil || layer.Gate != nil) {
			return &l.kernels.f32
		}
	}
	return matmul
}

// load returns the model in C's memory, all of it in the arena.
func (l *loader) load() (*C.struct_model, error) {
	p := l.plan
	if lacking := p.Lacking(supported...); lacking != "" {
		return nil, &backend.UnsupportedError{Backend: "cpu", Operation: lacking}
	}
	layers := takeSlice[C.struct_layer](l.arena, len(p.Layers))
	steps := takeSlice[C.struct_step](l.arena, len(p.Head))
	models := takeSlice[C.struct_model](l.arena, 1)
	if l.arena.err != nil {
		return nil, l.arena.err
	}
	e := p.Embeddings.Words.Shape[1]
	model := &models[0]
	*model = C.struct_model{
		kernels: l.kernels, matmul: l.matmul(), attending: l.attending(),
		e: C.int(e), e_padded: C.int(roundUp(e, pad)), h: C.int(p.Hidden), h_padded: C.int(roundUp(p.Hidden, pad)),
		labels_padded: C.int(roundUp(p.Labels, pad)),
		layer_count:   C.int(len(layers)), block: blockRows / l.matmul().rows * l.matmul().rows,
		positions: l.embeddings(p.Embeddings.Positions, p.Embeddings.Padding), types: l.embeddings(p.Embeddings.Types),
		embedding_norm: l.norm(p.Embeddings.Norm), first_norm: l.norm(p.FirstNorm),
		keep_sum: C.bool(p.KeepSum), layers: unsafe.SliceData(layers), pool: poolOf(p.Pool),
		steps: unsafe.SliceData(steps), step_count: C.int(len(steps)),
	}
	if err := setHeads(model, p); err != nil {
		return nil, err
	}
	if p.Embeddings.Projection != nil {
		model.projection = l.linear(&l.kernels.f32, *p.Embeddings.Projection)
	}
	for i := range layers {
		if err := l.layer(model, &layers[i], &p.Layers[i]); err != nil {
			return nil, err
		}
		model.inner_padded, model.f_padded = layers[i].intermediate.n, C.int(roundUp(p.Layers[i].Inner.Weight.Shape[0], pad))
	}
	width := p.Hidden
	for i, s := range p.Head {
		var err error
		if steps[i], width, err = l.step(s, width); err != nil {
			return nil, err
		}
		model.head_padded = max(model.head_padded, C.int(roundUp(width, pad)))
	}
	return model, l.arena.err
}

// step returns a step of the head, and the width of its results.
func (l *loader) step(s weights.Step, width int) (step C.struct_step, out int, err error) {
	if s.Linear != nil {
		step.linear, width = l.linear(&l.kernels.f32, *s.Linear), s.Linear.Weight.Shape[0]
	}
	step.norm, step.width = l.norm(s.Norm), C.int(width)
	step.activation, err = activationOf(s.Activation)
	return step, width, err
}

func activationOf(a weights.Activation) (uint32, error) {
	switch a {
	case 0:
		return C.ACTIVATION_NONE, nil
	case weights.GELU:
		return C.ACTIVATION_GELU, nil
	case weights.GELUNew:
		return C.ACTIVATION_GELU_NEW, nil
	case weights.ReLU:
		return C.ACTIVATION_RELU, nil
	case weights.Tanh:
		return C.ACTIVATION_TANH, nil
	case weights.SiLU:
		return C.ACTIVATION_SILU, nil
	}
	return 0, &backend.UnsupportedError{Backend: "cpu", Operation: "the activation " + a.String()}
}

func (l *loader) layer(model *C.struct_model, to *C.struct_layer, from *weights.Layer) (err error) {
	f := from.Inner.Weight.Shape[0]
	if most := max(l.plan.Hidden, f, from.Output.Weight.Shape[1]); l.precision == Int8 && roundUp(most, pad) > maxInt8Terms {
		return fmt.Errorf("cpu: %d terms in a product, int8 takes at most %d: use fp32", most, maxInt8Terms)
	}
	matmul := l.matmul()
	to.qkv = l.linear(matmul, from.Query, from.Key, from.Value)
	to.query, to.keyed = outputs(matmul, to.qkv, 0, model.queries_padded), outputs(matmul, to.qkv, model.queries_padded, to.qkv.n)
	to.query_norm, to.key_norm = l.norm(from.Attention.QueryNorm), l.norm(from.Attention.KeyNorm)
	to.rotary = l.rotaryTable(&from.Attention)
	to.before, to.after = C.ALL_KEYS, C.ALL_KEYS
	if from.Attention.Window != 0 {
		to.before, to.after = C.int(from.Attention.Window), C.int(from.Attention.Window)
	}
	if from.Attention.Causal {
		to.after = 0
	}
	if slopes := from.Attention.Slopes; slopes != nil {
		table := takeSlice[float32](l.arena, len(slopes))
		copy(table, slopes)
		to.slopes = (*C.float)(unsafe.SliceData(table))
	}
	if from.Attention.Relative != nil {
		l.relative(&to.relative, &from.Attention)
	}
	to.attention_output = l.linear(matmul, from.Output)
	to.attention_norm = l.norm(from.AttentionNorm)
	if from.Gate != nil {
		to.intermediate, to.gated = l.linear(matmul, *from.Gate, from.Inner), true
	} else {
		to.intermediate = l.linear(matmul, from.Inner)
	}
	l.output(to, from)
	to.output_norm = l.norm(from.OuterNorm)
	to.activation, err = activationOf(from.Activation)
	return err
}

// rotaryTable returns the cosines and sines of all positions, [P, D], as struct rotate has them; nil without frequencies.
func (l *loader) rotaryTable(a *weights.Attention) *C.float {
	if a.Frequencies == nil {
		return nil
	}
	for _, known := range l.rotary {
		if slices.Equal(known.frequencies, a.Frequencies) {
			return known.table
		}
	}
	half := a.Size / 2
	table := takeSlice[float32](l.arena, l.plan.Positions*a.Size)
	if l.arena.err != nil {
		return nil
	}
	l.arena.err = parallel.For(context.Background(), l.plan.Positions, 0, func(position int) error {
		row := table[position*a.Size : (position+1)*a.Size]
		for i, f := range a.Frequencies {
			angle := float64(float32(position) * f)
			row[i], row[half+i] = float32(math.Cos(angle)), float32(math.Sin(angle))
		}
		return nil
	})
	l.rotary = append(l.rotary, rotaryTable{a.Frequencies, (*C.float)(unsafe.SliceData(table))})
	return l.rotary[len(l.rotary)-1].table
}

// outputs returns outputs [begin, end) of packed weights; both are multiples of pad, and so of a panel.
func outputs(m *C.struct_matmul, w C.struct_linear, begin, end C.int) C.struct_linear {
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
	return l.columns(m, 0, parts[0].Weight.Shape[1], parts...)
}

// columns is linear for columns [begin, begin + in) of the matrices. Biases belong to the first column.
func (l *loader) columns(m *C.struct_matmul, begin, in int, parts ...weights.Linear) C.struct_linear {
	n := 0
	for _, part := range parts {
		n += roundUp(part.Weight.Shape[0], pad)
	}
	k := roundUp(in, pad)
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
	first := 0 // row of the part
	for _, part := range parts {
		var ok bool
		if part.Weight, ok = l.read(part.Weight); !ok {
			return w
		}
		if part.Bias, ok = l.read(part.Bias); !ok {
			return w
		}
		out := part.Weight.Shape[0]
		if begin == 0 {
			part.Bias.Float32s(bias[first:first+out], 0)
		}
		// Rows of a task are whole panels, so that no two tasks write to one cache line.
		l.arena.err = parallel.For(context.Background(), (out+pad-1)/pad, 0, func(task int) error {
			row, bytes := make([]float32, in), make([]int8, in)
			for o := task * pad; o < min((task+1)*pad, out); o++ {
				if quantised {
					scales[first+o], sums[first+o] = int8Row(part.Weight, o, begin, row, bytes)
					packNarrow(m, panels, bytes, first+o, n, k)
					continue
				}
				part.Weight.Float32s(row, o*part.Weight.Shape[1]+begin)
				packNarrow(m, panels, row, first+o, n, k)
			}
			return nil
		})
		first += roundUp(out, pad)
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

// norm returns none for nil.
func (l *loader) norm(n *weights.Norm) C.struct_norm {
	if n == nil {
		return C.struct_norm{}
	}
	width := n.Gamma.Len()
	return C.struct_norm{gamma: l.table(width, n.Gamma), beta: l.table(width, n.Beta), epsilon: C.float(n.Epsilon), rms: C.bool(n.RMS)}
}

// embeddings copies tables, one under the other, of which any may be nil; nil if all are.
func (l *loader) embeddings(tables ...*weights.Tensor) *C.float {
	present := weights.Present(tables...)
	if len(present) == 0 {
		return nil
	}
	return l.table(present[0].Shape[1], present...)
}

// table copies rows of floats of a width, padded, those of tensors one under the other.
func (l *loader) table(width int, tensors ...weights.Tensor) *C.float {
	padded, rows := roundUp(width, pad), 0
	for _, t := range tensors {
		rows += t.Len() / width
	}
	to := takeSlice[float32](l.arena, rows*padded)
	rest := to
	for _, t := range tensors {
		read, ok := l.read(t)
		if !ok {
			return nil
		}
		for i := range t.Len() / width {
			read.Float32s(rest[:width], i*width)
			rest = rest[padded:]
		}
	}
	return (*C.float)(unsafe.SliceData(to))
}

// strideOf is the distance between rows in elements of some bytes: stride_of of forward.h.
func strideOf(width, sizeBytes int) int { return width + cacheLineSizeBytes/sizeBytes }

func poolOf(p weights.Pool) uint32 {
	switch p {
	case weights.PoolMean:
		return C.POOL_MEAN
	case weights.PoolLast:
		return C.POOL_LAST
	default:
		return C.POOL_FIRST
	}
}
