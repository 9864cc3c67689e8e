package weights

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

// TensorSpec describes a tensor before its data are written.
type TensorSpec struct {
	Name  string
	DType DType
	Shape []int
}

// SizeBytes returns the bytes of the data.
func (s TensorSpec) SizeBytes() int64 {
	size := int64(s.DType.Size())
	for _, d := range s.Shape {
		size *= int64(d)
	}
	return size
}

// dataAlignment is the alignment of the start of the data, in bytes: a cache line. The reference implementation aligns
// to 8.
const dataAlignment = 64

// Writer writes a safetensors file. Its layout is fixed before the first byte of data, so that tensors, and parts of
// them, may come in any order and from several goroutines.
type Writer struct {
	to    io.WriterAt
	begin map[string]int64 // where a tensor's data are, from the start of the file
	size  map[string]int64
	total int64

	mu      sync.Mutex
	written map[string]int64 // guarded by mu
}

// NewWriter writes the header. Tensors lie in the order of the reference implementation, by falling element size and
// then by name, so that each is aligned to its elements. metadata is the header's "__metadata__".
func NewWriter(to io.WriterAt, specs []TensorSpec, metadata map[string]string) (*Writer, error) {
	specs = slices.Clone(specs)
	slices.SortFunc(specs, func(a, b TensorSpec) int {
		return cmp.Or(cmp.Compare(b.DType.Size(), a.DType.Size()), cmp.Compare(a.Name, b.Name))
	})
	header := []byte("{")
	if len(metadata) > 0 {
		header = append(header, `"__metadata__":{`...)
		for i, key := range slices.Sorted(maps.Keys(metadata)) {
			header = fmt.Appendf(header, "%s%s:%s", separator(i), jsonString(key), jsonString(metadata[key]))
		}
		header = append(header, '}')
	}
	w := &Writer{to: to, begin: map[string]int64{}, size: map[string]int64{}, written: map[string]int64{}}
	for i, s := range specs {
		if _, twice := w.size[s.Name]; twice || s.DType.Size() == 0 || !utf8.ValidString(s.Name) {
			return nil, invalidf("tensor %s of %s: want a name of its own in UTF-8, and elements of whole bytes", quote(s.Name), s.DType)
		}
		begin, end := w.total, w.total+s.SizeBytes()
		w.begin[s.Name], w.size[s.Name], w.total = begin, end-begin, end
		header = fmt.Appendf(header, `%s%s:{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}`,
			separator(i+len(metadata)), jsonString(s.Name), s.DType, numbers(s.Shape), begin, end)
	}
	header = append(header, '}')
	for (headerLengthBytes+len(header))%dataAlignment != 0 {
		header = append(header, ' ')
	}
	if len(header) > maxHeaderBytes {
		return nil, invalidf("header is %s, want at most %s", sizeText(uint64(len(header))), sizeText(maxHeaderBytes))
	}
	file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
	for name := range w.begin {
		w.begin[name] += int64(len(file))
	}
	w.total += int64(len(file))
	_, err := to.WriteAt(file, 0)
	return w, err
}

// Size returns the bytes of the whole file.
func (w *Writer) Size() int64 { return w.total }

// WriteAt writes part of a tensor's data, offset bytes from their start. A tensor that was not announced, or bytes
// outside it, are a bug of the caller and panic.
func (w *Writer) WriteAt(name string, data []byte, offset int64) error {
	size, known := w.size[name]
	if !known || offset < 0 || offset+int64(len(data)) > size {
		panic(fmt.Sprintf("BUG: weights: tensor %s: bytes [%d, %d) of %d written", quote(name), offset, offset+int64(len(data)), size))
	}
	w.mu.Lock()
	w.written[name] += int64(len(data))
	w.mu.Unlock()
	_, err := w.to.WriteAt(data, w.begin[name]+offset)
	return err
}

// Finish returns an error unless every tensor was written whole.
func (w *Writer) Finish() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(w.size)) {
		if got, want := w.written[name], w.size[name]; got != want {
			return fmt.Errorf("weights: tensor %s: %d bytes were written, want %d", quote(name), got, want)
		}
	}
	return nil
}

// separator returns the text before item i of a JSON list.
func separator(i int) string {
	if i == 0 {
		return ""
	}
	return ","
}

func jsonString(s string) []byte {
	out, err := json.Marshal(s)
	if err != nil {
		panic("BUG: weights: " + err.Error()) // not UTF-8
	}
	return out
}

func numbers(shape []int) []byte {
	var out []byte
	for i, d := range shape {
		out = strconv.AppendInt(append(out, separator(i)...), int64(d), 10)
	}
	return out
}
