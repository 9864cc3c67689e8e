package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/metaltest"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/tools/metallint/dialect"
)

// verdict says how a mutant was caught.
type verdict struct {
	by    string // "lint", "compiler", "checked mode", "limit", "numbers"; empty: it was not
	line  int    // that was named; 0: none
	what  string
	exact bool // one of its reports names the very line of the defect
}

// judge runs kernels through all that we have against defects, cheapest first, until something complains.
type judge struct {
	checked, plain metal.Device
	cases          []metaltest.Case
}

// newJudge opens both devices. Each uses one host thread: several judges share the machine.
func newJudge(cases []metaltest.Case) (*judge, error) {
	checked, err := sim.Open(sim.Config{Checked: true, Threads: 1, Seed: 1})
	if err != nil {
		return nil, err
	}
	plain, err := sim.Open(sim.Config{Threads: 1})
	if err != nil {
		return nil, errors.Join(err, checked.Close())
	}
	return &judge{checked: checked, plain: plain, cases: cases}, nil
}

func (j *judge) close() error { return errors.Join(j.checked.Close(), j.plain.Close()) }

// judge tries source, whose defect is in a line, or for line 0 nowhere. Its error is one of the tools', not of source.
func (j *judge) judge(ctx context.Context, source metal.Source, line int) (verdict, error) {
	problems, err := dialect.Check(ctx, source, dialect.Options{})
	if err != nil {
		return verdict{}, fmt.Errorf("lint: %w", err)
	}
	if len(problems) > 0 {
		v := verdict{by: "lint", line: problems[0].Line, what: problems[0].Message}
		v.exact = slices.ContainsFunc(problems, func(p dialect.Problem) bool { return p.Line == line })
		return v, nil
	}
	for _, try := range []func(context.Context, metal.Source, int) (verdict, error){j.check, j.compute} {
		if v, err := try(ctx, source, line); err != nil || v.by != "" {
			return v, err
		}
	}
	return verdict{}, nil
}

// check runs the cases in checked mode, in buffers without any slack, and goes by the findings alone.
func (j *judge) check(ctx context.Context, source metal.Source, line int) (verdict, error) {
	return j.run(j.checked, source, func(c *metaltest.Case, library metal.Library) (verdict, error) {
		pending, err := c.Run(ctx, j.checked, library, metaltest.Exact)
		if _, ok := errors.AsType[*metaltest.AnswerError](err); ok {
			err = nil // compute's business
		}
		work, ok := pending.(*sim.Pending)
		if !ok {
			return refused(err)
		}
		var findings []sim.Finding
		for _, report := range work.Reports() {
			findings = append(findings, report.Findings...)
		}
		if len(findings) == 0 {
			return refused(err)
		}
		v := verdict{by: "checked mode", line: findings[0].Line, what: findings[0].String()}
		v.exact = slices.ContainsFunc(findings, func(f sim.Finding) bool { return f.Line == line })
		return v, nil
	})
}

// compute compares results with float64, among guard words.
func (j *judge) compute(ctx context.Context, source metal.Source, _ int) (verdict, error) {
	return j.run(j.plain, source, func(c *metaltest.Case, library metal.Library) (v verdict, _ error) {
		if _, wrong := c.Run(ctx, j.plain, library, metaltest.Guarded); wrong != nil {
			v = verdict{by: "numbers", what: wrong.Error()}
		}
		return v, nil
	})
}

// run compiles source and tries its cases until one is caught.
func (j *judge) run(
	device metal.Device, source metal.Source, try func(*metaltest.Case, metal.Library) (verdict, error),
) (v verdict, err error) {
	library, err := device.NewLibrary(source)
	if err != nil {
		return refused(err)
	}
	defer func() { err = errors.Join(err, library.Close()) }()
	for i := range j.cases {
		if j.cases[i].Source != source.Name {
			continue
		}
		if v, err := try(&j.cases[i], library); err != nil || v.by != "" {
			return v, err
		}
	}
	return verdict{}, nil
}

// refused makes a verdict of an error with which a device refuses a kernel; others come back.
func refused(err error) (verdict, error) {
	var compile *metal.CompileError
	var limit *metal.LimitError
	var exec *metal.ExecError
	switch {
	case err == nil:
		return verdict{}, nil
	case errors.As(err, &compile):
		first, _, _ := strings.Cut(compile.Log, "\n")
		return verdict{by: "compiler", line: compile.Line, what: first}, nil
	case errors.As(err, &limit):
		return verdict{by: "limit", what: err.Error()}, nil
	case errors.As(err, &exec):
		return verdict{by: "checked mode", what: err.Error()}, nil
	}
	return verdict{}, err
}
