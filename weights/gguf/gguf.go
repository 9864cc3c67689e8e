// Package gguf reads GGUF, the file format of llama.cpp: metadata by key, and tensors that may have their rows in blocks
// of codes with scales. The format is that of docs/gguf.md in ggml-org/ggml, versions 2 and 3.
//
// The package must not know checkpoints or files, and imports nothing of this module.
package gguf

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
)

var (
	// ErrInvalid marks bytes that break the rules of the format.
	ErrInvalid = errors.New("not a GGUF file")
	// ErrUnsupported marks a file of a version or with tensors of a type that are not read here.
	ErrUnsupported = errors.New("GGUF that is not read")
)

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

func unsupportedf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, args...))
}

// File is the header of a file: its tensors, and metadata by key.
type File struct {
	Tensors []Tensor // in the file's order

	values map[string]Value
}

// Tensor is a named array.
type Tensor struct {
	Name   string
	Format *Format
	Shape  []int // row-major: the last dimension is that of a row, which GGUF names first
	Offset int64 // of the data in the file
	Size   int64 // in bytes: elements / Format.Elements · Format.Bytes
}

// Value returns a piece of metadata; false if there is none of that key. Arrays are not kept.
func (f *File) Value(key string) (Value, bool) {
	v, ok := f.values[key]
	return v, ok
}

const (
	magic            = "GGUF"
	maxHeaderBytes   = 64 << 20 // all before the data; a vocabulary of 250,000 pieces has 6 MB
	firstHeaderBytes = 8 << 20  // the bytes that are read at first
	maxKeys          = 1 << 12  // a file of llama.cpp has some 40
	maxTensors       = 1 << 16
	maxNameBytes     = 64 // GGML_MAX_NAME
	maxKeyBytes      = 256
	maxRank          = 4 // GGML_MAX_DIMS
	defaultAlignment = 32
	maxAlignment     = 1 << 20
)

// Parse reads and checks the header of a file of size bytes. It does not read the data.
func Parse(r io.ReaderAt, size int64) (*File, error) {
	for n := min(size, firstHeaderBytes); ; n = min(size, maxHeaderBytes) {
		header := make([]byte, n)
		if read, err := r.ReadAt(header, 0); err != nil && read < len(header) {
			return nil, err
		}
		c := &cursor{data: header}
		f, err := c.parse(size)
		if !c.ended || n == size || n == maxHeaderBytes {
			return f, c.explain(err, size)
		}
	}
}

// explain returns err, or another error if the header does not end within maxHeaderBytes.
func (c *cursor) explain(err error, size int64) error {
	if c.ended && int64(len(c.data)) < size {
		return invalidf("its header is longer than %d MB", maxHeaderBytes>>20)
	}
	return err
}

// parse reads the header of a file of size bytes.
func (c *cursor) parse(size int64) (*File, error) {
	keys, tensors, err := c.preamble()
	if err != nil {
		return nil, err
	}
	f := &File{values: map[string]Value{}}
	for range keys {
		if err := f.readValue(c); err != nil {
			return nil, err
		}
	}
	entries := make([]tensorEntry, 0, tensors)
	for range tensors {
		p, err := c.tensor()
		if err != nil {
			return nil, err
		}
		entries = append(entries, p)
	}
	alignment, err := f.alignment()
	if err != nil {
		return nil, err
	}
	begin := (uint64(c.at) + alignment - 1) / alignment * alignment
	if len(entries) > 0 && begin > uint64(size) {
		return nil, invalidf("the file ends before its data, at %d", begin)
	}
	if err := f.placeTensors(entries, min(begin, uint64(size)), uint64(size), alignment); err != nil {
		return nil, err
	}
	return f, nil
}

// preamble reads the start of the header, before the metadata: the numbers of keys and tensors.
func (c *cursor) preamble() (keys, tensors uint64, err error) {
	if string(c.take(len(magic))) != magic {
		return 0, 0, invalidf("it does not begin with %q", magic)
	}
	switch version := c.u32(); {
	case c.err != nil:
	case version&0xffff == 0:
		return 0, 0, unsupportedf("big-endian; convert it again for this kind of machine")
	case version != 2 && version != 3:
		return 0, 0, unsupportedf("version %d, want 2 or 3", version)
	}
	tensors, keys = c.u64(), c.u64()
	switch {
	case c.err != nil:
		return 0, 0, c.err
	case keys > maxKeys:
		return 0, 0, invalidf("%d keys, want at most %d", keys, maxKeys)
	case tensors > maxTensors:
		return 0, 0, invalidf("%d tensors, want at most %d", tensors, maxTensors)
	}
	return keys, tensors, nil
}

// alignment returns the number of which the offsets of tensors are multiples.
func (f *File) alignment() (uint64, error) {
	v, ok := f.values["general.alignment"]
	if !ok {
		return defaultAlignment, nil
	}
	n, ok := v.Whole()
	if !ok || n == 0 || n > maxAlignment || n&(n-1) != 0 {
		return 0, invalidf("general.alignment: %s, want a power of two, at most %d", v, maxAlignment)
	}
	return n, nil
}

// tensorEntry is an entry of the list of tensors.
type tensorEntry struct {
	Tensor

	offset, size uint64 // in the data
}

// tensor reads one entry of the list of tensors.
func (c *cursor) tensor() (tensorEntry, error) {
	var p tensorEntry
	p.Name = string(c.text(maxNameBytes, "the name of a tensor"))
	rank := c.u32()
	if c.err == nil && (rank == 0 || rank > maxRank) {
		return p, invalidf("tensor %q: %d dimensions, want 1 to %d", p.Name, rank, maxRank)
	}
	elements := uint64(1)
	for range min(rank, maxRank) {
		d := c.u64()
		hi, lo := bits.Mul64(elements, d)
		if c.err == nil && (d == 0 || hi != 0 || lo > math.MaxInt) {
			return p, invalidf("tensor %q: a dimension of %d: no elements, or too many", p.Name, d)
		}
		elements, p.Shape = lo, append(p.Shape, int(d))
	}
	number := c.u32()
	p.offset = c.u64()
	if c.err != nil {
		return p, c.err
	}
	slices.Reverse(p.Shape)
	if p.Format = formatOf(number); p.Format == nil {
		return p, unsupportedf("tensor %q is of type %s, want one of: %s", p.Name, typeName(number), formatNames())
	}
	row := p.Shape[len(p.Shape)-1]
	if row%p.Format.Elements != 0 {
		return p, invalidf("tensor %q: rows of %d, want a multiple of %d for %s", p.Name, row, p.Format.Elements, p.Format.Name)
	}
	hi, size := bits.Mul64(elements/uint64(p.Format.Elements), uint64(p.Format.Bytes))
	if hi != 0 || size > math.MaxInt {
		return p, invalidf("tensor %q: shape %d is too large", p.Name, p.Shape)
	}
	p.size = size
	return p, nil
}

// placeTensors gives each tensor its bytes of the data, which are the file's bytes from begin to end. Tensors must not
// overlap.
func (f *File) placeTensors(entries []tensorEntry, begin, end, alignment uint64) error {
	dataBytes := end - begin
	names := make(map[string]bool, len(entries))
	for _, p := range entries {
		switch {
		case names[p.Name]:
			return invalidf("tensor %q appears twice", p.Name)
		case p.offset%alignment != 0:
			return invalidf("tensor %q: offset %d, want a multiple of %d", p.Name, p.offset, alignment)
		case p.size > dataBytes || p.offset > dataBytes-p.size:
			return invalidf("tensor %q: bytes [%d, +%d), the data have %d", p.Name, p.offset, p.size, dataBytes)
		}
		names[p.Name] = true
		p.Offset, p.Size = int64(begin+p.offset), int64(p.size)
		f.Tensors = append(f.Tensors, p.Tensor)
	}
	slices.SortFunc(entries, func(a, b tensorEntry) int { return cmp.Compare(a.offset, b.offset) })
	for i, p := range entries {
		if i > 0 && entries[i-1].offset+entries[i-1].size > p.offset {
			return invalidf("tensors %q and %q overlap", entries[i-1].Name, p.Name)
		}
	}
	return nil
}
