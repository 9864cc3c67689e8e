package main

import (
	"fmt"
	"io/fs"
	"strings"
	"testing/fstest"

	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/metaltest"
)

// A mutant is a test kernel with one defect. None is equivalent to the kernel: each one makes it wrong for some
// input or on some device.
type mutant struct {
	file          string // of metaltest.Files
	name          string // what is wrong
	find, replace string // find occurs once
}

// mutants are all of them.
func mutants() []mutant {
	all := append([]mutant{}, reduceMutants...)
	all = append(all, softmaxMutants...)
	return append(all, gemmMutants...)
}

// source is the kernel with its defect, and the line of the first difference.
func (m mutant) source() (metal.Source, int, error) {
	original, err := fs.ReadFile(metaltest.Files(), m.file)
	if err != nil {
		return metal.Source{}, 0, err
	}
	before, after, _ := strings.Cut(string(original), m.find)
	if n := strings.Count(string(original), m.find); n != 1 {
		return metal.Source{}, 0, fmt.Errorf("mutate: %s: %s: %q occurs %d times, want once", m.file, m.name, m.find, n)
	}
	same := 0
	for same < min(len(m.find), len(m.replace)) && m.find[same] == m.replace[same] {
		same++
	}
	line := 1 + strings.Count(before+m.find[:same], "\n")
	text := before + m.replace + after
	source, err := metal.LoadSource(fstest.MapFS{m.file: &fstest.MapFile{Data: []byte(text)}}, m.file)
	return source, line, err
}
