package main

import (
	"fmt"
	"io/fs"
	"strings"
	"testing/fstest"
)

// A mutant is a kernel with one defect. None is equivalent to the kernel: each one makes it wrong for some input or on
// some device.
type mutant struct {
	file          string // of its set
	name          string // its defect
	find, replace string // find occurs once
}

// place is a line of a file; line 0: not known.
type place struct {
	file string
	line int
}

// spoil returns files with the mutant's defect in them, and the place of the first difference.
func (m mutant) spoil(files fs.FS) (fs.FS, place, error) {
	original, err := fs.ReadFile(files, m.file)
	if err != nil {
		return nil, place{}, err
	}
	before, after, _ := strings.Cut(string(original), m.find)
	if n := strings.Count(string(original), m.find); n != 1 {
		return nil, place{}, fmt.Errorf("%s: %s: %q occurs %d times, want once", m.file, m.name, m.find, n)
	}
	same := 0
	for same < min(len(m.find), len(m.replace)) && m.find[same] == m.replace[same] {
		same++
	}
	line := 1 + strings.Count(before+m.find[:same], "\n")
	text := before + m.replace + after
	return spoilt{files, fstest.MapFS{m.file: &fstest.MapFile{Data: []byte(text)}}}, place{m.file, line}, nil
}

// spoilt is right with some of its files replaced.
type spoilt struct{ right, wrong fs.FS }

// Open implements fs.FS.
func (s spoilt) Open(name string) (fs.File, error) {
	if file, err := s.wrong.Open(name); err == nil {
		return file, nil
	}
	return s.right.Open(name)
}
