package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/engine/cpu"
)

// idle names the row of the time in which workers had no work.
const idle = "idle"

// peakSlice is how long each peak is measured.
const peakSlice = 20 * time.Millisecond

func profileCPU(ctx context.Context, o *options, in *input) (p *profile, err error) {
	precision := cmp.Or(cpu.Precision(o.Precision), cpu.FP32)
	options := cpu.Options{Precision: precision, Workers: o.Workers}
	b, err := cpu.New(in.checkpoint, options)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if b.Info().DType == "float32" { // the backend falls back to fp32 where bf16 is slower
		precision = cpu.FP32
	}
	if err := b.Forward(ctx, &in.batch, in.out); err != nil { // warm
		return nil, err
	}
	rounds := make([]cpu.Profile, o.Rounds)
	for i := range rounds {
		if rounds[i], err = b.Profile(ctx, &in.batch, in.out); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(rounds, func(a, b cpu.Profile) int { return cmp.Compare(a.Wall, b.Wall) })
	middle := &rounds[len(rounds)/2]
	p = &profile{
		Device: b.Info().Device, Precision: string(precision), Rounds: o.Rounds,
		Wall: middle.Wall, Worst: rounds[(len(rounds)*95-1)/100].Wall, Rows: cpuRows(middle),
	}
	plan, err := in.checkpoint.Plan()
	if err != nil {
		return nil, err
	}
	matched(p.Rows, cost.Pass(cost.ShapeOf(plan), in.lengths, cpuFormat(precision)))
	peaks, err := cpu.MeasurePeaks(options, peakSlice)
	if err != nil {
		return nil, err
	}
	p.Roofline = cpuRoofline(&peaks, precision, b.Info().Device)
	return p, nil
}

// cpuFormat returns the bytes of an element. Between operations, activations are float32.
func cpuFormat(precision cpu.Precision) cost.Format {
	weights := map[cpu.Precision]float64{cpu.FP32: 4, cpu.BF16: 2, cpu.Int8: 1}
	return cost.Format{Weight: weights[precision], Activation: 4, Head: 4}
}

// cpuRows divides the workers' summed time by their number, which gives its share of the pass.
func cpuRows(from *cpu.Profile) []row {
	workers := time.Duration(from.Workers)
	rows := make([]row, 0, len(from.Spans)+1)
	for _, s := range from.Spans {
		rows = append(rows, row{
			Layer: s.Layer, Name: string(s.Name), Calls: s.Calls, Time: s.Time / workers,
			Executed: float64(s.FLOPs), Bytes: float64(s.Bytes),
		})
	}
	return append(rows, row{Layer: cost.NoLayer, Name: idle, Time: max(from.Wall-from.Busy/workers, 0)})
}

// cpuRoofline puts the precision's peak first. Kernels are measured against copies in the second-level cache, since most
// calls have their operands there, and weights in the third.
func cpuRoofline(p *cpu.Peaks, precision cpu.Precision, device string) *roofline {
	l := &roofline{Device: device}
	for _, name := range []cpu.Precision{precision, cpu.FP32, cpu.BF16, cpu.Int8} {
		known := slices.ContainsFunc(l.Compute, func(c limit) bool { return c.Name == "multiply-adds, "+string(name) })
		if rate := p.FLOPS[name]; rate > 0 && !known {
			l.Compute = append(l.Compute, limit{"multiply-adds, " + string(name), rate})
		}
	}
	if p.Half > 0 {
		l.Compute = append(l.Compute, limit{"multiply-adds, fp16", p.Half})
	}
	for _, m := range []limit{
		{"copy, 2nd-level cache", p.CacheCopy}, {"copy, 3rd-level cache", p.SharedCopy}, {"copy, memory", p.MemoryCopy},
	} {
		if m.Rate > 0 {
			l.Memory = append(l.Memory, m)
		}
	}
	return l
}
