// Package peaks measures the limits of a metal.Device: arithmetic, bandwidths, and the cost of starting work.
package peaks

import (
	"context"
	"embed"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/metalrank/metalrank/metal"
)

//go:embed peaks.metal
var files embed.FS

// groupThreads is the size of each threadgroup.
const groupThreads = 256

// Probe is one kernel that does one thing.
type Probe struct {
	Name, Kernel string
	FLOPs, Bytes float64 // of a thread in a round
	Rounds       bool    // the kernel repeats its work in a loop; else each thread does it once
}

// Matrices and Copy are the names of the probes that bound the kernels' products: the fastest arithmetic, and bandwidth.
const (
	Matrices = "SIMD-group matrices of halves"
	Copy     = "copy"
)

// Probes are all probes, arithmetic first. 32 threads share a SIMD-group's matrix product, 2·8·8·8 FLOPs.
var Probes = []Probe{
	{"multiply-adds of floats", "chain_f32", 16 * 2, 0, true},
	{"multiply-adds of halves", "chain_f16", 16 * 2, 0, true},
	{"SIMD-group matrices of floats", "matrix_f32", 8 * 1024. / 32, 0, true},
	{Matrices, "matrix_f16", 8 * 1024. / 32, 0, true},
	{Copy, "copy", 0, 2 * 16, false},
	{"threadgroup memory", "shared", 0, 16, true},
}

// Result holds the measurements. Rates are per second.
type Result struct {
	Rates map[string]float64 // FLOPs or bytes, by Probe.Name
	// Dispatch is the cost of one more kernel in a list, Commit that of a list with a kernel that does nothing, and Empty that
	// of a list with no kernel, both with the wait for it.
	Dispatch, Commit, Empty time.Duration
}

// Bench runs probes on a device.
type Bench struct {
	device    metal.Device
	library   metal.Library
	pipelines map[string]metal.Pipeline
	x, y      metal.Buffer
	threads   int
}

// Open prepares a Bench of the given number of threads, rounded up to whole threadgroups. The caller closes it.
func Open(device metal.Device, threads int) (b *Bench, err error) {
	b = &Bench{device: device, pipelines: map[string]metal.Pipeline{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	b.threads = (max(threads, 1) + groupThreads - 1) / groupThreads * groupThreads
	source, err := metal.LoadSource(files, "peaks.metal")
	if err != nil {
		return b, err
	}
	if b.library, err = device.NewLibrary(source); err != nil {
		return b, err
	}
	for _, kernel := range kernelNames() {
		if b.pipelines[kernel], err = b.library.Pipeline(kernel); err != nil {
			return b, err
		}
	}
	for _, buffer := range []*metal.Buffer{&b.x, &b.y} {
		if *buffer, err = device.NewBuffer(16 * b.threads); err != nil {
			return b, err
		}
		clear((*buffer).Bytes())
	}
	return b, nil
}

const emptyKernel = "nothing"

func kernelNames() []string {
	names := []string{emptyKernel}
	for _, p := range Probes {
		names = append(names, p.Kernel)
	}
	return names
}

// Close frees the pipelines, the buffers and the library.
func (b *Bench) Close() error {
	var errs []error
	for _, p := range b.pipelines {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	for _, buffer := range []metal.Buffer{b.x, b.y} {
		if buffer != nil {
			errs = append(errs, buffer.Close())
		}
	}
	if b.library != nil {
		errs = append(errs, b.library.Close())
	}
	return errors.Join(errs...)
}

// Run commits a list that executes a kernel the given number of times, with the given rounds in each.
func (b *Bench) Run(kernel string, rounds, times int) (metal.Pending, error) {
	encoder := metal.NewEncoder(b.device)
	arguments := binary.LittleEndian.AppendUint32(nil, uint32(rounds))
	arguments = binary.LittleEndian.AppendUint32(arguments, math.Float32bits(0.5))
	for range times {
		encoder.Barrier()
		err := encoder.Dispatch(&metal.Dispatch{
			Pipeline: b.pipelines[kernel], Arguments: arguments,
			Buffers: []metal.Binding{{}, metal.At(b.x, 0), metal.At(b.y, 0)},
			Groups:  metal.Size{X: uint32(b.threads / groupThreads)}, Threads: metal.Size{X: groupThreads},
		})
		if err != nil {
			return nil, err
		}
	}
	return encoder.Commit()
}

// elapsed runs a list and returns its times by the device's clock and by the host's. A device without a clock gets the
// host's time.
func (b *Bench) elapsed(ctx context.Context, kernel string, rounds, times int) (device, host time.Duration, err error) {
	begin := time.Now()
	pending, err := b.Run(kernel, rounds, times)
	if err != nil {
		return 0, 0, err
	}
	timing, err := pending.Wait(ctx)
	host = time.Since(begin)
	if device = timing.Elapsed(); device == 0 {
		device = host
	}
	return device, host, err
}

// Repetitions of each measurement, of which the median counts, and the least time that each should take, so that the
// cost of starting it does not matter.
const (
	repetitions = 5
	enough      = 10 * time.Millisecond
	mostRounds  = 1 << 20
)

// Measure measures everything.
func (b *Bench) Measure(ctx context.Context) (Result, error) {
	r := Result{Rates: map[string]float64{}}
	for _, p := range Probes {
		rate, err := b.rate(ctx, &p)
		if err != nil {
			return r, err
		}
		r.Rates[p.Name] = rate
	}
	var err error
	const few, many = 1, 101
	if r.Dispatch, err = b.median(ctx, func() (time.Duration, error) {
		short, _, err := b.elapsed(ctx, emptyKernel, 1, few)
		if err != nil {
			return 0, err
		}
		long, _, err := b.elapsed(ctx, emptyKernel, 1, many)
		return max(long-short, 0) / (many - few), err
	}); err != nil {
		return r, err
	}
	for times, cost := range []*time.Duration{&r.Empty, &r.Commit} {
		if *cost, err = b.median(ctx, func() (time.Duration, error) {
			_, host, err := b.elapsed(ctx, emptyKernel, 1, times)
			return host, err
		}); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (b *Bench) rate(ctx context.Context, p *Probe) (float64, error) {
	rounds, times := 1, 1
	for {
		took, _, err := b.elapsed(ctx, p.Kernel, rounds, times)
		if err != nil {
			return 0, err
		}
		if took >= enough || rounds*times >= mostRounds {
			break
		}
		if p.Rounds {
			rounds *= 2
		} else {
			times *= 2
		}
	}
	took, err := b.median(ctx, func() (time.Duration, error) {
		device, _, err := b.elapsed(ctx, p.Kernel, rounds, times)
		return device, err
	})
	work := (p.FLOPs + p.Bytes) * float64(b.threads) * float64(rounds) * float64(times)
	return work / took.Seconds(), err
}

func (b *Bench) median(ctx context.Context, f func() (time.Duration, error)) (time.Duration, error) {
	all := make([]time.Duration, repetitions)
	for i := range all {
		var err error
		if all[i], err = f(); err != nil {
			return 0, err
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
	}
	slices.Sort(all)
	return all[repetitions/2], nil
}
