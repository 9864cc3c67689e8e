package weights

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// The format, from the README and safetensors/src/tensor.rs of huggingface/safetensors at 24b0b28:
//
//	8 bytes   N, the length of the header, little-endian
//	N bytes   a JSON object {"name": {"dtype": "F16", "shape": [2, 3], "data_offsets": [begin, end]}, ...}, which
//	          may be padded with spaces; "__metadata__", if there, maps strings to strings
//	the rest  data; offsets count from its start
//
// Keys are unique, and the tensors cover the data exactly: overlaps, holes and bytes left over are refused ("cannot
// contain holes. This prevents the creation of polyglot files"; Metadata::validate). Alignment is not promised.
const (
	headerLengthBytes = 8
	// maxHeaderBytes is MAX_HEADER_SIZE of the reference implementation.
	maxHeaderBytes = 100_000_000
	// maxRank is ours (torch stops at 64 as well); it keeps a hostile shape out of memory and of error texts.
	maxRank = 64
)

// parseSafetensors checks a whole file but for its data and returns its tensors, ordered by offset.
func parseSafetensors(b *blob) ([]Tensor, error) {
	header, err := safetensorsHeader(b)
	if err != nil {
		return nil, err
	}
	infos, err := parseHeader(b.name, header)
	if err != nil {
		return nil, err
	}
	return layOut(b, infos, headerLengthBytes+int64(len(header)))
}

// safetensorsHeader returns the JSON part of a file.
func safetensorsHeader(b *blob) ([]byte, error) {
	if b.size < headerLengthBytes {
		return nil, invalidf("%s: %s, want at least %d", b.name, sizeText(uint64(b.size)), headerLengthBytes)
	}
	length, err := b.bytes(0, headerLengthBytes, nil)
	if err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint64(length)
	if n > uint64(b.size-headerLengthBytes) {
		return nil, invalidf("%s: header is %s, the file has %s", b.name, sizeText(n), sizeText(uint64(b.size)))
	}
	if n > maxHeaderBytes {
		return nil, invalidf("%s: header is %s, want at most %s", b.name, sizeText(n), sizeText(maxHeaderBytes))
	}
	header, err := b.bytes(headerLengthBytes, int64(n), nil)
	if err != nil {
		return nil, err
	}
	if len(header) == 0 || header[0] != '{' {
		return nil, invalidf("%s: header begins with %s, want \"{\"", b.name, quote(header[:min(1, len(header))]))
	}
	return header, nil
}

// layOut checks every tensor against the data, which begin at dataAt, and against its neighbours, and gives each its
// place.
func layOut(b *blob, infos []tensorInfo, dataAt int64) ([]Tensor, error) {
	slices.SortFunc(infos, func(a, b tensorInfo) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end))
	})
	dataBytes := uint64(b.size - dataAt)
	tensors, covered, last, dataText := make([]Tensor, 0, len(infos)), uint64(0), "", sizeText(dataBytes)
	for _, t := range infos {
		bad := func(format string, args ...any) error {
			return invalidf("%s: tensor %s: %s", b.name, quote(t.name), fmt.Sprintf(format, args...))
		}
		if t.begin <= t.end && t.end > dataBytes {
			return nil, bad("offsets [%d %d], and the file ends after %s of data: a download or a copy was cut off", t.begin, t.end, dataText)
		}
		if t.begin > t.end {
			return nil, bad("offsets [%d %d], want them in order", t.begin, t.end)
		}
		size, ok := t.sizeBytes()
		if !ok {
			return nil, bad("shape %d of %s is too large or not whole bytes", t.shape, t.dtype)
		}
		if size != t.end-t.begin {
			return nil, bad("offsets [%d %d] hold %s, want %s for shape %d of %s",
				t.begin, t.end, sizeText(t.end-t.begin), sizeText(size), t.shape, t.dtype)
		}
		if t.begin < covered {
			return nil, bad("offsets [%d %d] overlap tensor %s", t.begin, t.end, quote(last))
		}
		if t.begin > covered {
			return nil, bad("offsets [%d %d], want [%d ...]: the data before belong to no tensor", t.begin, t.end, covered)
		}
		tensors = append(tensors, t.tensor(b, dataAt))
		covered, last = t.end, t.name
	}
	if covered != dataBytes {
		return nil, invalidf("%s: %s of data, want %s: the end belongs to no tensor", b.name, dataText, sizeText(covered))
	}
	return tensors, nil
}

// tensorInfo is one entry of a header. Its JSON is checked, its offsets and shape are not.
type tensorInfo struct {
	name       string
	dtype      DType
	shape      []uint64
	begin, end uint64
}

// sizeBytes returns product(shape) * element size; false if that overflows, or leaves part of a byte.
func (t tensorInfo) sizeBytes() (uint64, bool) {
	n := uint64(1)
	for _, d := range t.shape {
		hi, lo := bits.Mul64(n, d)
		if hi != 0 || d > math.MaxInt || lo > math.MaxInt {
			return 0, false
		}
		n = lo
	}
	hi, lo := bits.Mul64(n, uint64(t.dtype.bits()))
	return lo / 8, hi == 0 && lo <= math.MaxInt && lo%8 == 0
}

// tensor gives the entry its place in the file; offsets and shape have been checked.
func (t tensorInfo) tensor(b *blob, dataAt int64) Tensor {
	shape := make([]int, len(t.shape))
	for i, d := range t.shape {
		shape[i] = int(d)
	}
	return b.tensor(t.name, t.dtype, shape, dataAt+int64(t.begin), int64(t.end-t.begin))
}
