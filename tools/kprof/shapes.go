package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/kernels/selftest"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
	"github.com/metalrank/metalrank/metal/sim"
)

// caseRunner runs cases of the kernels' table on one device.
type caseRunner struct {
	device    metal.Device
	libraries map[kernels.DType]*kernels.Library
	rounds    int
}

func openCases(driver string, rounds int) (*caseRunner, error) {
	device, err := openDevice(driver)
	if err != nil {
		return nil, err
	}
	if device.Info().Simulated {
		rounds = 1 // all rounds are alike
	}
	r := &caseRunner{device: device, libraries: map[kernels.DType]*kernels.Library{}, rounds: rounds}
	for _, d := range []kernels.DType{kernels.F16, kernels.F32} {
		r.libraries[d] = kernels.Open(device, d)
	}
	return r, nil
}

func (r *caseRunner) close() error {
	var errs []error
	for _, l := range r.libraries {
		errs = append(errs, l.Close())
	}
	return errors.Join(append(errs, r.device.Close())...)
}

// run runs a case, checks its answer, and returns its cost.
func (r *caseRunner) run(ctx context.Context, c *selftest.Case) (row, error) {
	found := row{
		Layer: cost.NoLayer, Name: c.Name, Calls: 1, FLOPs: c.FLOPs, Executed: c.FLOPs,
		Bytes: float64(c.LeastBytes), Least: float64(c.LeastBytes),
	}
	var times []time.Duration
	for range r.rounds {
		begin := time.Now()
		pending, err := c.Run(ctx, r.device, r.libraries[c.DType], problem.Exact)
		if err != nil {
			return row{}, err
		}
		timing, err := pending.Wait(ctx)
		if err != nil {
			return row{}, err
		}
		if work, ok := pending.(*sim.Pending); ok {
			found.Counters = countersOf(work.Reports())
			found.Executed, found.Bytes = float64(found.Counters.MatrixFLOPs()), found.Counters.deviceBytes()
			return found, nil
		}
		times = append(times, cmp.Or(timing.Elapsed(), time.Since(begin)))
	}
	slices.Sort(times)
	found.Time = times[len(times)/2]
	return found, nil
}

// profileShapes profiles single operations.
func profileShapes(ctx context.Context, o *options, out, _ io.Writer) (err error) {
	r, err := openCases(o.Backend, o.Rounds)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	p := &profile{Backend: o.Backend, Device: r.device.Info().Name, Rounds: r.rounds}
	for _, c := range chosenCases(append(selftest.Shapes(kernels.F16, 128), selftest.Cases()...), o.Only) {
		found, err := r.run(ctx, &c)
		if err != nil {
			return err
		}
		p.Rows = append(p.Rows, found)
	}
	if len(p.Rows) == 0 {
		return fmt.Errorf("--only %q: no case is called so", o.Only)
	}
	if !r.device.Info().Simulated {
		p.Wall = total(p.Rows).Time
		if p.Roofline, err = gpuRoofline(ctx, r.device); err != nil {
			return err
		}
	}
	if o.JSON {
		return writeJSON(out, p)
	}
	fmt.Fprintf(out, "%s: %d operations, each by itself\n\n", p.Device, len(p.Rows))
	if p.Wall > 0 {
		printTimes(out, p, "operation", p.Rows)
	} else {
		printCounters(out, "operation", p.Rows)
	}
	return nil
}

func chosenCases(cases []selftest.Case, only string) []selftest.Case {
	return slices.DeleteFunc(cases, func(c selftest.Case) bool { return !strings.Contains(c.Name, only) })
}
