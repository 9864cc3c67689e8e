package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
	"github.com/metalrank/metalrank/metal/sim"
)

// ourKernels is the contender that runs package kernels in half precision.
type ourKernels struct {
	device *sim.Device
}

func (ourKernels) name() string { return "ours" }

func (o ourKernels) solve(p *operation) (e entry, err error) {
	if p.kind == onePass {
		return o.forward(p)
	}
	library := kernels.Open(o.device, kernels.F16)
	b := &bench{library: library, recorder: kernels.NewRecorder(o.device), device: o.device}
	defer func() { err = errors.Join(err, b.close()) }()
	y := b.new(2 * p.rows * p.n)
	if b.err == nil {
		b.err = b.record(p, y)
	}
	if b.err != nil {
		return entry{}, b.err
	}
	reports, err := finished(b.recorder.Commit())
	if err != nil {
		return entry{}, err
	}
	return o.entry(reports, problem.DecodeHalf(y.Buffer.Bytes())), nil
}

func (o ourKernels) entry(reports []sim.Report, output []float64) entry {
	var names []string
	for _, r := range reports {
		names = append(names, r.Kernel)
	}
	return entry{
		contender: o.name(), counters: total(reports), dispatches: len(reports), kernels: strings.Join(names, ", "), output: output,
	}
}

// finished waits for committed work and returns its reports.
func finished(pending metal.Pending, err error) ([]sim.Report, error) {
	if err != nil {
		return nil, err
	}
	if _, err := pending.Wait(context.Background()); err != nil {
		return nil, err
	}
	work, ok := pending.(*sim.Pending)
	if !ok {
		return nil, fmt.Errorf("versus: submitted work is a %T", pending)
	}
	return work.Reports(), nil
}

// A bench holds the operands of one operation of ours. After an error it makes no more of them.
type bench struct {
	device   *sim.Device
	library  *kernels.Library
	recorder *kernels.Recorder
	buffers  []metal.Buffer
	err      error
}

func (b *bench) close() error {
	errs := []error{b.library.Close()}
	for _, buffer := range b.buffers {
		errs = append(errs, buffer.Close())
	}
	return errors.Join(errs...)
}

// new returns memory of sizeBytes bytes.
func (b *bench) new(sizeBytes int) metal.Binding {
	if b.err != nil {
		return metal.Binding{}
	}
	buffer, err := b.device.NewBuffer(sizeBytes)
	if err != nil {
		b.err = err
		return metal.Binding{}
	}
	b.buffers = append(b.buffers, buffer)
	return metal.At(buffer, 0)
}

func (b *bench) bytes(data []byte) metal.Binding {
	at := b.new(len(data))
	if b.err == nil {
		copy(at.Buffer.Bytes(), data)
	}
	return at
}

func (b *bench) halves(values []float64) metal.Binding { return b.bytes(problem.EncodeHalf(values)) }

// floats returns values in f32: our kernels add and scale by f32, MLX's by halves.
func (b *bench) floats(values []float64) metal.Binding {
	var data []byte
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(v)))
	}
	return b.bytes(data)
}

func (b *bench) record(p *operation, y metal.Binding) error {
	switch p.kind {
	case linear, quantized:
		return b.linear(p, y)
	case attention:
		return b.attention(p, y)
	case layerNorm:
		x, vectors := b.halves(p.operands["x"]), b.floats(slices.Concat(p.operands["gamma"], p.operands["beta"]))
		if b.err != nil {
			return b.err
		}
		op, err := b.library.NewNorm(p.n, vectors, layerNormEpsilon, false)
		if err != nil {
			return err
		}
		return op.Record(b.recorder, p.rows, x, y, metal.Binding{})
	}
	panic(fmt.Sprintf("BUG: versus: kind %d", p.kind))
}

func (b *bench) linear(p *operation, y metal.Binding) error {
	x, bias, w := b.halves(p.operands["x"]), b.floats(p.operands["bias"]), kernels.Matrix{N: p.n, K: p.k}
	if p.kind == quantized {
		w.Bits, w.GroupSize, w.Data = 4, p.group, b.bytes(p.packed)
		w.Scales, w.Offsets = b.halves(p.operands["scales"]), b.halves(p.operands["offsets"])
	} else {
		w.Data = b.halves(p.operands["w"])
	}
	if b.err != nil {
		return b.err
	}
	op, err := b.library.NewGemm(kernels.Linear{Weights: w, Bias: bias})
	if err != nil {
		return err
	}
	return op.Record(b.recorder, kernels.Rows{M: p.rows, A: x, Y: y})
}

// attention has q, k and v apart, as MLX has them; in a pass they lie side by side, which moves the same bytes.
func (b *bench) attention(p *operation, y metal.Binding) error {
	starts := make([]int32, p.batch+1)
	for i := range starts {
		starts[i] = int32(i * p.length)
	}
	items := kernels.AppendItems(nil, starts, 0)
	var raw []byte
	for _, item := range items {
		for _, v := range []uint32{item.Key, item.Keys, item.Query, item.Queries} {
			raw = binary.LittleEndian.AppendUint32(raw, v)
		}
	}
	rows := kernels.AttentionRows{
		Q: b.halves(p.operands["q"]), K: b.halves(p.operands["k"]), V: b.halves(p.operands["v"]), QueryStride: p.n, KeyStride: p.n,
		Items: b.bytes(raw), Count: len(items), Out: y, OutStride: p.n,
	}
	if b.err != nil {
		return b.err
	}
	op, err := b.library.NewAttention(kernels.Scores{Heads: p.heads, Size: p.d})
	if err != nil {
		return err
	}
	return op.Record(b.recorder, rows)
}
