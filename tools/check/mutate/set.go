package main

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/kernels/selftest"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/metaltest"
	"github.com/metalrank/metalrank/metal/problem"
)

// A set is a group of kernels, their mutants and the cases that judge them.
type set struct {
	name    string // before its files' names: "kernels"
	files   fs.FS
	mutants []mutant
	// open compiles the kernels of one file, read from files, for device. checked asks for the cases that tests run in
	// checked mode, instead of those that they run in plain.
	open func(device metal.Device, files fs.FS, file string, checked bool) (*bench, error)
}

// A bench is the compiled kernels of a file, with their cases.
type bench struct {
	runs  []func(ctx context.Context, layout problem.Layout) (metal.Pending, error)
	close func() error
}

// sets returns the test kernels, which show how much the checks can catch, and the product's own.
func sets() []*set {
	return []*set{
		{
			name: "metaltest", files: metaltest.Files(), open: openTestKernels,
			mutants: slices.Concat(reduceMutants, softmaxMutants, metaltestGemmMutants),
		},
		{
			name: "kernels", files: kernels.Files(), open: openKernels,
			mutants: slices.Concat(simdMutants, activationMutants, weightsMutants, quantMutants, tileMutants, gemmMutants, splitMutants, gemmNormMutants,
				rownormMutants, normMutants, embedMutants, attentionMutants, headNormMutants, headMutants),
		},
	}
}

// shaders returns the files with kernels that contain name: itself, or those that include it.
func (s *set) shaders(name string) ([]string, error) {
	if strings.HasSuffix(name, ".metal") {
		return []string{name}, nil
	}
	all, err := fs.Glob(s.files, "*.metal")
	if err != nil {
		return nil, err
	}
	var users []string
	for _, file := range all {
		source, err := metal.LoadSource(s.files, file)
		if err != nil {
			return nil, err
		}
		if strings.Contains(source.Text, "#line 1 \""+name+"\"\n") {
			users = append(users, file)
		}
	}
	return users, nil
}

// openTestKernels runs all cases of metaltest, checked and plain.
func openTestKernels(device metal.Device, files fs.FS, file string, _ bool) (*bench, error) {
	source, err := metal.LoadSource(files, file)
	if err != nil {
		return nil, err
	}
	library, err := device.NewLibrary(source)
	if err != nil {
		return nil, err
	}
	b := &bench{close: library.Close}
	for _, c := range metaltest.Cases() {
		if c.Source == file {
			b.runs = append(b.runs, func(ctx context.Context, layout problem.Layout) (metal.Pending, error) {
				return c.Run(ctx, device, library, layout)
			})
		}
	}
	return b, nil
}

// kernelCases returns the cases of all kernels. Their answers take seconds, so that all mutants share them.
var kernelCases = sync.OnceValue(selftest.Cases)

// openKernels runs the same cases as the tests of kernels: all of them plain, and a share of them checked.
func openKernels(device metal.Device, files fs.FS, file string, checked bool) (*bench, error) {
	cases := kernelCases()
	if checked {
		cases = selftest.Share(cases)
	}
	half, single := kernels.OpenFiles(device, kernels.F16, files), kernels.OpenFiles(device, kernels.F32, files)
	b := &bench{close: func() error { return errors.Join(half.Close(), single.Close()) }}
	for _, c := range selftest.Of(cases, file) {
		library := half
		if c.DType == kernels.F32 {
			library = single
		}
		b.runs = append(b.runs, func(ctx context.Context, layout problem.Layout) (metal.Pending, error) {
			return c.Run(ctx, device, library, layout)
		})
	}
	return b, nil
}
