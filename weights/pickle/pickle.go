// Package pickle reads the tensors of a pytorch_model.bin, a state dict that torch.save wrote, in the zip format since
// PyTorch 1.6 and in the one before. A pickle is a program that can call anything; this reader calls nothing. It knows
// tensors and plain containers, and refuses a file that names anything else.
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

	Offset, Size int64 // where in the file its data are, little-endian, in bytes
}

const (
	maxProgramBytes   = 1 << 20 // of the pickle itself; each may cost 90 of memory; that of 1,000 tensors has 150 kB
	maxDirectoryBytes = 8 << 20 // of the zip's list of files
	maxRank           = 64
	maxDepth          = 16      // of containers in containers; a state dict has 3
	maxStack          = 1 << 13 // values at a time; torch.save collects 1,000 pairs
)

// Parse returns the tensors of a file of size bytes, in its order. It does not read their data.
func Parse(file io.ReaderAt, size int64) ([]Tensor, error) {
	r := io.NewSectionReader(file, 0, size)
	const local = "PK\x03\x04" // begins a zip
	start, err := readPart(r, 0, min(size, int64(len(local))))
	if err != nil {
		return nil, err
	}
	if string(start) == local {
		return parseZip(r)
	}
	return parseLegacy(r)
}

// readPart returns a part of the file, which must lie within it.
func readPart(r *io.SectionReader, offset, size int64) ([]byte, error) {
	data := make([]byte, size)
	if n, err := r.ReadAt(data, offset); err != nil && n < len(data) {
		return nil, err
	}
	return data, nil
}

// parseZip reads an archive NAME/data.pkl, NAME/data/KEY, NAME/byteorder, …, all of them stored without compression.
func parseZip(r *io.SectionReader) ([]Tensor, error) {
	archive, err := zip.NewReader(&limitedReader{r, maxDirectoryBytes}, r.Size())
	if err != nil {
		return nil, invalidf("zip: %v", err)
	}
	entries := map[string]span{}
	root := ""
	for _, f := range archive.File {
		stored, err := storedAt(f, r)
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
	content := func(name string, atMost int64) ([]byte, bool, error) {
		e, ok := entries[root+name]
		if !ok {
			return nil, false, nil
		}
		if e.size > atMost {
			return nil, true, invalidf("%s of %d bytes, want at most %d", name, e.size, atMost)
		}
		data, err := readPart(r, e.offset, e.size)
		return data, true, err
	}
	program, ok, err := content("data.pkl", maxProgramBytes)
	if err == nil && !ok {
		err = invalidf("zip: no data.pkl")
	}
	if err != nil {
		return nil, err
	}
	const maxOrderBytes = 64
	if order, ok, err := content("byteorder", maxOrderBytes); err != nil {
		return nil, err
	} else if ok && string(order) != "little" {
		return nil, invalidf("byte order %.20q, want little", order)
	}
	m := &machine{storage: func(key string) (span, bool) { s, ok := entries[root+"data/"+key]; return s, ok }}
	top, _, err := m.run(program)
	if err != nil {
		return nil, err
	}
	return stateDict(top)
}

// span is a part of a file.
type span struct{ offset, size int64 }

// storedAt returns the place of an entry's content. torch.save does not compress, so a file with a compressed entry is
// no checkpoint, and is refused without unpacking it.
func storedAt(f *zip.File, r *io.SectionReader) (span, error) {
	offset, err := f.DataOffset()
	if err != nil {
		return span{}, invalidf("zip: %.200q: %v", f.Name, err)
	}
	size, whole := f.UncompressedSize64, r.Size()
	if f.Method != zip.Store || f.CompressedSize64 != size {
		return span{}, invalidf("zip: %.200q is compressed", f.Name)
	}
	if offset < 0 || offset > whole || size > uint64(whole-offset) {
		return span{}, invalidf("zip: %.200q: %d bytes at %d, the file has %d", f.Name, size, offset, whole)
	}
	return span{offset, int64(size)}, nil
}

// limitedReader bounds the bytes of the list of files: each of its entries costs more memory than it has bytes.
type limitedReader struct {
	*io.SectionReader

	left int
}

var errDirectory = errors.New("the list of files is too long")

func (r *limitedReader) ReadAt(p []byte, offset int64) (int, error) {
	n, err := r.SectionReader.ReadAt(p, offset)
	if r.left -= n; r.left < 0 {
		return 0, errDirectory
	}
	return n, err
}

// legacyMagic is the start of a file of PyTorch before 1.6: 0x1950a86a20f9469cfc6c, pickled.
const legacyMagic = "\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."

// parseLegacy reads five pickles, of magic number, protocol version, system, state dict and the keys of the storages,
// and then each storage: its number of elements in 8 bytes, and its data.
func parseLegacy(r *io.SectionReader) ([]Tensor, error) {
	// All pickles are read at once, perhaps with data after them. The bound of one pickle is that of all together.
	head, err := readPart(r, 0, min(r.Size(), maxProgramBytes))
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(head, []byte(legacyMagic))
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
	at := int64(len(head) - len(rest))
	for _, item := range keys.items {
		key, _ := item.(string)
		s := m.legacy[key]
		if s == nil || s.found {
			return nil, invalidf("storage %.80q is unknown or there twice", key)
		}
		left := r.Size() - at - 8 // after its number of elements
		if left < 0 || left/int64(s.size) < int64(s.elements) {
			return nil, invalidf("storage %.80q: %d elements, the file ends before", key, s.elements)
		}
		s.found, s.data = true, span{at + 8, int64(s.elements) * int64(s.size)}
		at += 8 + s.data.size
	}
	return stateDict(results[2])
}

// stateDict takes the tensors out of a pickle's result.
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
	elements := uint64(v.storage.data.size) / uint64(v.storage.size)
	if n > elements || v.offset > elements-n {
		return Tensor{}, invalidf("tensor %.200q: elements [%d, +%d) of a storage of %d", name, v.offset, n, elements)
	}
	size := int64(v.storage.size)
	return Tensor{
		Name: name, DType: v.storage.dtype, Shape: v.shape,
		Offset: v.storage.data.offset + int64(v.offset)*size, Size: int64(n) * size,
	}, nil
}

var _ io.ReaderAt = (*limitedReader)(nil)
