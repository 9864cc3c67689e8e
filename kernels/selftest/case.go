// Package selftest is the table of cases of the kernels: operands, launches through package kernels, answers in
// float64 and allowed differences. Tests, benchmarks, the profiler and `metalrank doctor` all run from it.
//
// It knows nothing of any driver: the caller opens the device.
package selftest

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/x448/float16"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
)

// A Case is one operation on one shape.
type Case struct {
	problem.Problem
	File  string // of kernels.Files that it runs: "gemm.metal"
	DType kernels.DType
	// LeastBytes is the least memory traffic: weights, the rows that are read and the results, once each.
	LeastBytes int
	// record records the operation; operands are the Problem's.
	record recordFunc
}

type recordFunc func(l *kernels.Library, r *kernels.Recorder, operands []metal.Binding) error

// Run executes the case with kernels of library, which must be of the case's DType, and compares. It returns the Pending,
// which has ended, for the driver's additions to it; it is nil where nothing was submitted. Errors:
// *problem.AnswerError, and the driver's.
func (c *Case) Run(
	ctx context.Context, device metal.Device, library *kernels.Library, layout problem.Layout,
) (metal.Pending, error) {
	if library.DType() != c.DType {
		return nil, errors.New("selftest: the library is of another dtype")
	}
	return c.Solve(ctx, device, layout, func(operands []metal.Binding) (metal.Pending, error) {
		recorder := kernels.NewRecorder(device)
		if err := c.record(library, recorder, operands); err != nil {
			return nil, err
		}
		return recorder.Commit()
	})
}

// Time returns the time of the operation: the median over rounds of the device's clock, or of the host's where the device
// has none. Each round is a list that repeats the operation for leastTime or longer, so that its start does not count; all
// but the first find the operands in the caches that hold them. It compares no answer. Errors: the driver's.
func (c *Case) Time(ctx context.Context, device metal.Device, library *kernels.Library, rounds int) (_ time.Duration, err error) {
	operands, free, err := c.Load(device, problem.Exact)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, free()) }()
	recorder := kernels.NewRecorder(device)
	list := func(repeats int) (time.Duration, error) {
		for range repeats {
			recorder.Barrier()
			if err := c.record(library, recorder, operands); err != nil {
				return 0, err
			}
		}
		begin := time.Now()
		pending, err := recorder.Commit()
		if err != nil {
			return 0, err
		}
		timing, err := pending.Wait(ctx)
		if err != nil {
			_, _ = pending.Wait(context.WithoutCancel(ctx)) // the operands must outlive it
			return 0, err
		}
		return cmp.Or(timing.Elapsed(), time.Since(begin)) / time.Duration(repeats), nil
	}
	repeats := 1
	for {
		took, err := list(repeats)
		if err != nil {
			return 0, err
		}
		if took*time.Duration(repeats) >= leastTime || repeats == mostRepeats {
			break
		}
		repeats *= 2
	}
	times := make([]time.Duration, rounds)
	for i := range times {
		if times[i], err = list(repeats); err != nil {
			return 0, err
		}
	}
	slices.Sort(times)
	return times[rounds/2], nil
}

const (
	leastTime   = 2 * time.Millisecond
	mostRepeats = 128
)

// roundoff returns the relative rounding error of a dtype.
func roundoff(d kernels.DType) float64 {
	if d == kernels.F16 {
		return problem.HalfRoundoff
	}
	return problem.FloatRoundoff
}

// stored returns the largest error of storing a value as d.
func stored(d kernels.DType, value float64) float64 {
	if d == kernels.F16 {
		return math.Abs(value)*problem.HalfRoundoff + problem.HalfTiny
	}
	return math.Abs(value) * problem.FloatRoundoff
}

// rounded returns value rounded to d.
func rounded(d kernels.DType, value float64) float64 {
	if d == kernels.F16 {
		return float64(float16.Fromfloat32(float32(value)).Float32())
	}
	return float64(float32(value))
}

// input is an operand of normally distributed numbers that a half holds exactly.
func input(name string, d kernels.DType, n int, width float64, seed uint64) problem.Operand {
	return problem.Operand{Name: name, Half: d == kernels.F16, Values: problem.Normal(n, width, seed)}
}

// vectors is an f32 operand.
func vectors(name string, n int, width float64, seed uint64) problem.Operand {
	return input(name, kernels.F32, n, width, seed)
}

// output is an operand of n elements that is written.
func output(name string, d kernels.DType, n int) problem.Operand {
	return problem.Operand{Name: name, Half: d == kernels.F16, SizeBytes: n * d.Size()}
}

// activate returns a kernel's activation of x.
func activate(a kernels.Activation, x float64) float64 {
	switch a {
	case kernels.GELU:
		return 0.5 * x * math.Erfc(-x/math.Sqrt2)
	case kernels.GELUNew:
		return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	case kernels.ReLU:
		return max(x, 0)
	case kernels.Tanh:
		return math.Tanh(x)
	case kernels.SiLU:
		return x / (1 + math.Exp(-x))
	}
	return x
}

// activated returns how far act(x), computed for a result of type d, may be off if x is off by allowed: the slope of the
// GELUs is below 1.13, that of the others at most 1; A&S 7.1.26 is off by 1.5e-7·|x|/2, and the rest is a few roundings
// of values of the size of |x| (GELU) or of 1 (tanh; Metal bounds its error by 5 ulp).
//
// For half, the functions are Metal's fast variants (kernels/precision.h); an ulp is at most 2⁻²³. GELU: exp(-x²/2) is off by
// 3 + x² ulp and the quotient by 1, which the polynomial makes 3 at most: |x|/2·exp(-x²/2)·(6 + x²) ulp, and so at most
// 3·|x|. GELUNew: exp(2i) is off by 3 + 4·|i| ulp, tanh by (1 - tanh² i)/2 times that, at most 2 ulp, and the division by
// 2.5: with the factor |x|/2, below 3·|x|, too. SiLU: its slope is below 1.1; exp(-x) is off by 3 + 2·|x| ulp, which the
// quotient makes (3 + 2·|x|)·exp(-x)/(1 + exp(-x)), at most 6 and, for negative x, 3 + 2·|x| of the result, |x|·exp(x).
func activated(d kernels.DType, a kernels.Activation, x, allowed float64) float64 {
	fast := 0.0
	if d == kernels.F16 {
		fast = math.Abs(x) * 6 * problem.FloatRoundoff
	}
	switch a {
	case kernels.GELU:
		return 1.13*allowed + math.Abs(x)*(0.75e-7+8*problem.FloatRoundoff) + fast
	case kernels.GELUNew:
		return 1.13*allowed + math.Abs(x)*16*problem.FloatRoundoff + fast
	case kernels.Tanh:
		return allowed + 16*problem.FloatRoundoff
	case kernels.SiLU:
		return 1.1*allowed + math.Abs(x)*8*problem.FloatRoundoff + fast
	}
	return allowed
}

// Watched is a device that records the names of the kernels submitted to it.
type Watched struct {
	metal.Device
	kernels []string
}

// Submit implements metal.Device. Unlike the device's own, it must not be called from several goroutines at once.
func (w *Watched) Submit(list *metal.CommandList) (metal.Pending, error) {
	for _, command := range list.Commands {
		if kernel := command.Pipeline.Info().Kernel; !slices.Contains(w.kernels, kernel) {
			w.kernels = append(w.kernels, kernel)
		}
	}
	return w.Device.Submit(list)
}

// Take returns the names of the kernels submitted since the last call, in the order of their first launches.
func (w *Watched) Take() []string {
	kernels := w.kernels
	w.kernels = nil
	return kernels
}
