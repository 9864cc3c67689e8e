package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/tools/check/metallint/dialect"
)

// verdict says how a mutant was caught.
type verdict struct {
	by    string // "lint", "compiler", "checked mode", "limit", "numbers"; empty: it was not
	line  int    // that the report names; 0: none
	what  string
	exact bool // one of its reports names the very line of the defect
}

// judge runs kernels through all checks for defects, cheapest first, until one complains.
type judge struct {
	checked, plain metal.Device
}

// newJudge opens both devices. Each uses one host thread: several judges share the machine.
func newJudge() (*judge, error) {
	checked, err := sim.Open(sim.Config{Checked: true, Threads: 1, Seed: 1})
	if err != nil {
		return nil, err
	}
	plain, err := sim.Open(sim.Config{Threads: 1})
	if err != nil {
		return nil, errors.Join(err, checked.Close())
	}
	return &judge{checked: checked, plain: plain}, nil
}

func (j *judge) close() error { return errors.Join(j.checked.Close(), j.plain.Close()) }

// judge tries the kernels of one file of a set, read from files; defect is the place of the defect, if there is one. An
// error is the tools' fault, not the kernels'.
func (j *judge) judge(ctx context.Context, s *set, files fs.FS, file string, defect place) (verdict, error) {
	if v, err := lint(ctx, files, file, defect); err != nil || v.by != "" {
		return v, err
	}
	if v, err := j.check(ctx, s, files, file, defect); err != nil || v.by != "" {
		return v, err
	}
	return j.compute(ctx, s, files, file)
}

// lint checks the dialect.
func lint(ctx context.Context, files fs.FS, file string, defect place) (verdict, error) {
	source, err := metal.LoadSource(files, file)
	if err != nil {
		return verdict{}, err
	}
	problems, err := dialect.Check(ctx, source, dialect.Options{})
	if err != nil {
		return verdict{}, fmt.Errorf("lint: %w", err)
	}
	if len(problems) == 0 {
		return verdict{}, nil
	}
	v := verdict{by: "lint", line: problems[0].Line, what: problems[0].Message}
	v.exact = slices.ContainsFunc(problems, func(p dialect.Problem) bool { return place{p.File, p.Line} == defect })
	return v, nil
}

// check runs cases in checked mode, in buffers without any slack, and judges by the findings alone.
func (j *judge) check(ctx context.Context, s *set, files fs.FS, file string, defect place) (v verdict, err error) {
	b, err := s.open(j.checked, files, file, true)
	if err != nil {
		return refused(err)
	}
	defer func() { err = errors.Join(err, b.close()) }()
	for _, run := range b.runs {
		pending, err := run(ctx, problem.Exact)
		if _, ok := errors.AsType[*problem.AnswerError](err); ok {
			err = nil // compute judges the answers
		}
		var findings []sim.Finding
		if work, ok := pending.(*sim.Pending); ok {
			for _, report := range work.Reports() {
				findings = append(findings, report.Findings...)
			}
		}
		if len(findings) > 0 {
			v := verdict{by: "checked mode", line: findings[0].Line, what: findings[0].String()}
			v.exact = slices.ContainsFunc(findings, func(f sim.Finding) bool { return place{f.File, f.Line} == defect })
			return v, nil
		}
		if v, err := refused(err); err != nil || v.by != "" {
			return v, err
		}
	}
	return verdict{}, nil
}

// compute compares results with float64, among guard words.
func (j *judge) compute(ctx context.Context, s *set, files fs.FS, file string) (v verdict, err error) {
	b, err := s.open(j.plain, files, file, false)
	if err != nil {
		return refused(err)
	}
	defer func() { err = errors.Join(err, b.close()) }()
	for _, run := range b.runs {
		if _, wrong := run(ctx, problem.Guarded); wrong != nil {
			return verdict{by: "numbers", what: wrong.Error()}, nil
		}
	}
	return verdict{}, nil
}

// refused turns an error with which a device refuses a kernel into a verdict, and returns any other error.
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
