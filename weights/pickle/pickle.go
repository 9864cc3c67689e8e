// Package pickle reads the tensors of a pytorch_model.bin: what torch.save writes of a state dict, in the zip format
// since PyTorch 1.6 and in the one before. A pickle is a program that can call anything; this reader calls nothing. It
// knows tensors and plain containers, and refuses a file that names anything else.
//
// The package must not know checkpoints or files, and imports nothing of this module.
package pickle

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
	"strings"
)

// ErrInvalid marks bytes that are no state dict.
var ErrInvalid = errors.New("not a state dict of PyTorch")

// ErrUnsafe marks a pickle that names a function or class other than those of tensors.
var ErrUnsafe = errors.New("a pickle that wants more than tensors")

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Tensor is one entry of a state dict.
type Tensor struct {
	Name  string
	DType string // "F32", "I64", …, as safetensors has it
	Shape []int  // row-major
	Data  []byte // little-endian; borrowed from the file
}

const (
	maxProgramBytes   = 1 << 20 // of the pickle itself, each of which may cost 90; that of 1,000 tensors has 150 kB
	maxDirectoryBytes = 8 << 20 // of the zip's list of files
	maxRank           = 64
)

// Parse returns the tensors of a file, in its order. They borrow data.
func Parse(data []byte) ([]Tensor, error) {
	if bytes.HasPrefix(data, []byte("PK\x03\x04")) {
		return parseZip(data)
	}
	return parseLegacy(data)
}

// parseZip reads an archive NAME/data.pkl, NAME/data/KEY, NAME/byteorder, …, all of them stored without compression.
func parseZip(data []byte) ([]Tensor, error) {
	archive, err := zip.NewReader(&limitedReader{bytes.NewReader(data), maxDirectoryBytes}, int64(len(data)))
	if err != nil {
		return nil, invalidf("zip: %v", err)
	}
	entries := map[string][]byte{}
	root := ""
	for _, f := range archive.File {
		stored, err := storedBytes(f, data)
		if err != nil {
			return nil, err
		}
		if before, ok := strings.CutSuffix(f.Name, "data.pkl"); ok && (before == "" || strings.Count(before, "/") == 1) {
			root = before
		}
		if _, twice := entries[f.Name]; twice {
			return nil, invalidf("zip: %.200q appears twice", f.Name)
		}
		entries[f.Name] = stored
	}
	program, ok := entries[root+"data.pkl"]
	if !ok {
		return nil, invalidf("zip: no data.pkl")
	}
	if order, ok := entries[root+"byteorder"]; ok && string(order) != "little" {
		return nil, invalidf("byte order %.20q, want little", order)
	}
	m := &machine{storage: func(key string) ([]byte, bool) { s, ok := entries[root+"data/"+key]; return s, ok }}
	top, _, err := m.run(program)
	if err != nil {
		return nil, err
	}
	return stateDict(top)
}

// storedBytes returns the content of an entry. torch.save does not compress, so what is compressed is no checkpoint, and
// need not be unpacked to know that.
func storedBytes(f *zip.File, data []byte) ([]byte, error) {
	offset, err := f.DataOffset()
	if err != nil {
		return nil, invalidf("zip: %.200q: %v", f.Name, err)
	}
	size := f.UncompressedSize64
	if f.Method != zip.Store || f.CompressedSize64 != size {
		return nil, invalidf("zip: %.200q is compressed", f.Name)
	}
	if offset < 0 || uint64(offset) > uint64(len(data)) || size > uint64(len(data))-uint64(offset) {
		return nil, invalidf("zip: %.200q: %d bytes at %d, the file has %d", f.Name, size, offset, len(data))
	}
	return data[offset : uint64(offset)+size : uint64(offset)+size], nil
}

// limitedReader stops a list of files that has no end in sight: each of its entries costs more memory than it has bytes.
type limitedReader struct {
	*bytes.Reader

	left int
}

var errDirectory = errors.New("the list of files is too long")

func (r *limitedReader) ReadAt(p []byte, offset int64) (int, error) {
	n, err := r.Reader.ReadAt(p, offset)
	if r.left -= n; r.left < 0 {
		return 0, errDirectory
	}
	return n, err
}

// legacyMagic is what files of PyTorch before 1.6 begin with, pickled: 0x1950a86a20f9469cfc6c.
const legacyMagic = "\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."

// parseLegacy reads five pickles, of magic number, protocol version, system, state dict and the keys of the storages,
// and then each storage: its number of elements in 8 bytes, and its data.
func parseLegacy(data []byte) ([]Tensor, error) {
	rest, ok := bytes.CutPrefix(data, []byte(legacyMagic))
	if !ok {
		return nil, invalidf("want a zip archive, or the magic number of PyTorch before 1.6")
	}
	m := &machine{legacy: map[string]*storage{}}
	var results [4]value
	for i := range results {
		top, read, err := m.run(rest)
		if err != nil {
			return nil, err
		}
		results[i], rest = top, rest[read:]
	}
	keys, ok := results[3].(*list)
	if !ok {
		return nil, invalidf("no list of storages")
	}
	for _, item := range keys.items {
		key, _ := item.(string)
		s := m.legacy[key]
		if s == nil || s.data != nil {
			return nil, invalidf("storage %.80q is unknown or there twice", key)
		}
		if len(rest) < 8 || uint64(len(rest)-8)/uint64(s.size) < uint64(s.elements) {
			return nil, invalidf("storage %.80q: %d elements, the file ends before", key, s.elements)
		}
		s.data, rest = rest[8:8+s.elements*s.size], rest[8+s.elements*s.size:]
	}
	return stateDict(results[2])
}

// stateDict takes the tensors out of what a pickle made.
func stateDict(top value) ([]Tensor, error) {
	d, ok := top.(*dict)
	if !ok {
		return nil, invalidf("want a dict of tensors, got %s", kindOf(top))
	}
	var all []Tensor
	seen := map[string]bool{}
	for _, item := range d.items {
		name, ok := item[0].(string)
		view, isTensor := item[1].(*tensor)
		if !ok || !isTensor {
			return nil, invalidf("want tensors by name, got %s for %.200q", kindOf(item[1]), name)
		}
		if seen[name] {
			return nil, invalidf("tensor %.200q appears twice", name)
		}
		seen[name] = true
		t, err := view.cut(name)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// cut takes the tensor's bytes out of its storage.
func (v *tensor) cut(name string) (Tensor, error) {
	n := uint64(1)
	for i, d := range slices.Backward(v.shape) {
		if d != 1 && uint64(v.strides[i]) != n && n != 0 {
			return Tensor{}, invalidf("tensor %.200q: shape %d has strides %d: want rows one after the other", name, v.shape, v.strides)
		}
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > math.MaxInt64 {
			return Tensor{}, invalidf("tensor %.200q: shape %d is too large", name, v.shape)
		}
		n = lo
	}
	elements := uint64(len(v.storage.data) / v.storage.size)
	if n > elements || v.offset > elements-n {
		return Tensor{}, invalidf("tensor %.200q: elements [%d, +%d) of a storage of %d", name, v.offset, n, elements)
	}
	begin, end := v.offset*uint64(v.storage.size), (v.offset+n)*uint64(v.storage.size)
	return Tensor{Name: name, DType: v.storage.dtype, Shape: v.shape, Data: v.storage.data[begin:end:end]}, nil
}

var _ io.ReaderAt = (*limitedReader)(nil)
