package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/open"
	"github.com/metalrank/metalrank/metal/peaks"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/weights"
)

// openDevice opens the simulator in checked mode, in which it counts bytes, or another driver through metal/open.
func openDevice(driver string) (metal.Device, error) {
	if driver == "sim" {
		return sim.Open(sim.Config{Checked: true})
	}
	return open.Device(driver)
}

func profileGPU(ctx context.Context, o *options, in *input) (p *profile, err error) {
	if o.Precision != "" && o.Precision != "fp16" && o.Precision != "fp32" {
		return nil, fmt.Errorf("--precision is %q, want fp16 or fp32", o.Precision)
	}
	var device metal.Device
	b, err := gpu.Open(func(driver string) (_ metal.Device, err error) {
		device, err = openDevice(driver)
		return device, err
	}, in.checkpoint, gpu.Config{Driver: o.Backend, Float32: o.Precision == "fp32", MaxBatchTokens: in.batch.Tokens()})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	rounds := o.Rounds
	if device.Info().Simulated {
		rounds = 1 // all rounds are alike
	} else if err := b.Forward(ctx, &in.batch, in.out); err != nil { // warm
		return nil, err
	}
	if o.Capture != "" {
		if err := capturePass(ctx, device, b, in, o.Capture); err != nil {
			return nil, err
		}
	}
	all := make([]steps, rounds)
	for i := range all {
		if all[i].steps, err = b.Profile(ctx, &in.batch, in.out); err != nil {
			return nil, err
		}
		all[i].add()
	}
	slices.SortFunc(all, func(a, b steps) int { return cmp.Compare(a.time, b.time) })
	middle := &all[rounds/2]
	p = &profile{Device: device.Info().Name, Precision: cmp.Or(o.Precision, "fp16"), Rounds: rounds, Rows: gpuRows(middle.steps)}
	plan, err := in.checkpoint.Plan()
	if err != nil {
		return nil, err
	}
	matched(p.Rows, cost.Pass(cost.ShapeOf(plan), in.lengths, gpuFormat(plan, o.Precision)))
	if device.Info().Simulated {
		for i := range p.Rows {
			p.Rows[i].Time = 0
		}
		return p, nil
	}
	p.Wall, p.Worst = middle.time, all[(rounds*95-1)/100].time
	fillUncounted(p.Rows)
	p.Roofline, err = gpuRoofline(ctx, device)
	return p, err
}

// steps are the steps of one round, and their time.
type steps struct {
	steps []gpu.Step
	time  time.Duration
}

// add sums up the device's time, or the host's where the device has no clock.
func (s *steps) add() {
	for i := range s.steps {
		s.time += stepTime(&s.steps[i])
	}
}

func stepTime(s *gpu.Step) time.Duration { return cmp.Or(s.Time, s.Wall) }

// gpuFormat returns the bytes of an element. Weights of 4 or 8 bits stay codes, and each group has a scale and an offset
// of two bytes each. The head is never quantised.
func gpuFormat(plan *weights.Plan, precision string) cost.Format {
	size := 2.0
	if precision == "fp32" {
		size = 4
	}
	f := cost.Format{Weight: size, Activation: size, Head: size}
	if q := plan.Layers[0].Query.Weight.Quant; q != nil && (q.Bits == 4 || q.Bits == 8) {
		f.Weight = float64(q.Bits)/8 + 4/float64(q.GroupSize)
	}
	return f
}

func gpuRows(steps []gpu.Step) []row {
	rows := make([]row, len(steps))
	for i := range steps {
		s := &steps[i]
		r := &rows[i]
		*r = row{Layer: s.Layer, Name: string(s.Name), Kernels: s.Kernels, Calls: uint64(len(s.Kernels)), Time: stepTime(s)}
		if work, ok := s.Pending.(*sim.Pending); ok {
			r.Counters = countersOf(work.Reports())
			r.Executed = float64(r.Counters.MatrixFLOPs())
			r.Bytes = r.Counters.deviceBytes()
		}
	}
	return rows
}

// fillUncounted fills in the FLOPs and bytes that the operation needs where there are no counters: a GPU doesn't report
// them.
func fillUncounted(rows []row) {
	for i := range rows {
		if rows[i].Counters == nil {
			rows[i].Executed, rows[i].Bytes = rows[i].FLOPs, rows[i].Least
		}
	}
}

// benchThreads is how many threads peaks are measured with: enough for any GPU, and 64 MB for each buffer of a copy.
const benchThreads = 4 << 20

func gpuRoofline(ctx context.Context, device metal.Device) (l *roofline, err error) {
	b, err := peaks.Open(device, benchThreads)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	r, err := b.Measure(ctx)
	if err != nil {
		return nil, err
	}
	l = &roofline{Device: device.Info().Name, Costs: map[string]float64{
		"dispatch": r.Dispatch.Seconds(), "command buffer, waited for": r.Commit.Seconds(), "empty command buffer, waited for": r.Empty.Seconds(),
	}}
	for _, p := range slices.Backward(peaks.Probes) { // matrices of halves come first: products use them
		if p.FLOPs > 0 {
			l.Compute = append(l.Compute, limit{p.Name, r.Rates[p.Name]})
		}
	}
	for _, p := range peaks.Probes {
		if p.Bytes > 0 {
			l.Memory = append(l.Memory, limit{p.Name, r.Rates[p.Name]})
		}
	}
	return l, nil
}
