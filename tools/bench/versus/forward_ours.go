package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/engine/reference"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/weights"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// logitAllowed is the allowed error of half-precision logits against float64, as in the tests of engine/gpu.
const logitAllowed = 2e-2

// mostLayers is the most layers that forward runs at once: a layer of checked mode takes minutes.
const mostLayers = 2

// forward counts the work of ours for p. Where the model has more than mostLayers, it runs passes of one layer and of
// two, and the difference is counted for each further one: all layers but the last are the same work.
func (o ourKernels) forward(p *operation) (entry, error) {
	if p.model.Layers <= mostLayers {
		return o.pass(p, p.model.Layers)
	}
	one, err := o.pass(p, 1)
	if err != nil {
		return entry{}, err
	}
	e, err := o.pass(p, 2)
	if err != nil {
		return entry{}, err
	}
	e.kernels = "of two layers, from which the others are counted: " + e.kernels
	e.counters = extrapolate(one.counters, e.counters, p.model.Layers)
	e.dispatches += (p.model.Layers - 2) * (e.dispatches - one.dispatches)
	return e, nil
}

// pass runs p's model with so many layers and random weights over p's lengths as engine/gpu does, packed and whole.
// Logits are compared with those of engine/reference.
func (o ourKernels) pass(p *operation, layers int) (e entry, err error) {
	model := p.model
	model.Layers = layers
	files, err := weightstest.Files(model)
	if err != nil {
		return entry{}, err
	}
	checkpoint, err := weights.FromMemory("random weights", files)
	if err != nil {
		return entry{}, err
	}
	defer func() { err = errors.Join(err, checkpoint.Close()) }()
	config := checkpoint.Config()
	var batch backend.Batch
	for i, length := range p.lengths {
		random := rand.New(rand.NewPCG(50, uint64(i)))
		ids, types := make([]int32, length), make([]int32, length)
		for at := range ids {
			ids[at], types[at] = int32(random.IntN(config.VocabSize)), int32(at*2/length%config.TypeVocab)
		}
		batch.Append(ids, types)
	}
	device := &recording{Device: o.device}
	ours, err := gpu.Open(func(string) (metal.Device, error) { return device, nil }, checkpoint,
		gpu.Config{Driver: "sim", MaxBatchTokens: batch.Tokens()})
	if err != nil {
		return entry{}, err
	}
	defer func() { err = errors.Join(err, ours.Close()) }()
	oracle, err := reference.New(checkpoint)
	if err != nil {
		return entry{}, err
	}
	defer func() { err = errors.Join(err, oracle.Close()) }()
	got, want := make([]float32, len(p.lengths)), make([]float32, len(p.lengths))
	if err := errors.Join(ours.Forward(context.Background(), &batch, got), oracle.Forward(context.Background(), &batch, want)); err != nil {
		return entry{}, err
	}
	worst := 0.0
	for i := range want {
		difference := float64(got[i]) - float64(want[i])
		if !(difference <= logitAllowed && difference >= -logitAllowed) { // in this form, NaN fails
			return entry{}, fmt.Errorf("%s: logit %d is %v, want %v", p.name, i, got[i], want[i])
		}
		worst = max(worst, difference, -difference)
	}
	e = o.entry(device.pending.Reports(), nil)
	e.kernels += fmt.Sprintf("; largest difference of a logit %.2g, allowed %.2g", worst, logitAllowed)
	return e, nil
}

// recording is a simulator that keeps the work submitted last, and that a backend may close.
type recording struct {
	*sim.Device
	pending *sim.Pending
}

// Submit implements metal.Device.
func (r *recording) Submit(list *metal.CommandList) (metal.Pending, error) {
	pending, err := r.Device.Submit(list)
	if work, ok := pending.(*sim.Pending); ok {
		r.pending = work
	}
	return pending, err
}

// Close does nothing: the opener of the simulator closes it.
func (r *recording) Close() error { return nil }
