package gguf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func read(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func parse(data []byte) (*File, error) { return Parse(bytes.NewReader(data), int64(len(data))) }

// dataOf cuts a tensor's data out of its file.
func dataOf(file []byte, x Tensor) []byte { return file[x.Offset:][:x.Size] }

// TestTypes: two rows of each type decode to exactly the numbers that llama.cpp's Python package makes of them, from any
// element on. See tools/model/golden/ggufs.py.
func TestTypes(t *testing.T) {
	data := read(t, "types.gguf")
	file, err := parse(data)
	if err != nil || len(file.Tensors) != len(formats) {
		t.Fatalf("%d tensors, %v", len(file.Tensors), err)
	}
	const n = 2 * 512
	values := read(t, "types.f32")
	if len(values) != len(formats)*n*4 {
		t.Fatalf("%d bytes of values", len(values))
	}
	for i, x := range file.Tensors {
		if x.Name != formats[i].Name || x.Format != formats[i] || !slices.Equal(x.Shape, []int{2, 512}) {
			t.Fatalf("tensor %q %s %d", x.Name, x.Format.Name, x.Shape)
		}
		want := make([]float32, n)
		for j := range want {
			want[j] = math.Float32frombits(binary.LittleEndian.Uint32(values[4*(i*n+j):]))
		}
		if x.Format.IsFloat() {
			continue // the numbers of floats are for the caller to read
		}
		got := make([]float32, n)
		for _, part := range [][2]int{{0, n}, {0, 1}, {31, 2}, {255, 258}, {300, 40}, {n - 1, 1}, {n, 0}} {
			begin, end := part[0], part[0]+part[1]
			x.Format.Float32s(got[begin:end], dataOf(data, x), begin)
			if !slices.Equal(got[begin:end], want[begin:end]) {
				t.Errorf("%s: elements %d to %d: %v, want %v", x.Name, begin, end, got[begin:end], want[begin:end])
			}
			clear(got)
		}
	}
}

func TestMetadata(t *testing.T) {
	file, err := parse(read(t, "types.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	value := func(key string) Value {
		v, ok := file.Value(key)
		if !ok {
			t.Errorf("no %s", key)
		}
		return v
	}
	if text, ok := value("general.architecture").Text(); !ok || text != "bert" {
		t.Error(text, ok)
	}
	if x, ok := value("test.double").Float(); !ok || x != 0.1 {
		t.Error(x, ok)
	}
	if n, ok := value("test.negative").Whole(); ok {
		t.Error(n)
	}
	if texts, ok := value("test.texts").Texts(); !ok || !slices.Equal(texts, []string{"a", "", "ü"}) {
		t.Errorf("%q %v", texts, ok)
	}
	for n, want := range map[int]bool{maxTexts: true, maxTexts + 1: false} {
		b := begun(0, 1).add("a", uint32(kindArray), uint32(kindText), uint64(n))
		for range n {
			b.add("x")
		}
		long, err := parse(b.ended(0))
		if err != nil {
			t.Fatal(err)
		}
		if v, ok := long.Value("a"); ok != want || len(v.texts) != n && want {
			t.Errorf("an array of %d is kept: %v", n, ok)
		}
	}
	if _, ok := value("general.name").Whole(); ok {
		t.Error("a text is a number")
	}
}

// builder puts a file together.
type builder struct{ bytes.Buffer }

func (b *builder) add(values ...any) *builder {
	for _, v := range values {
		if text, ok := v.(string); ok {
			b.add(uint64(len(text)))
			b.WriteString(text)
			continue
		}
		if err := binary.Write(b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return b
}

// begun is the start of a file of so many tensors and keys.
func begun(tensors, keys uint64) *builder {
	b := &builder{}
	b.WriteString(magic)
	return b.add(uint32(3), tensors, keys)
}

// listed adds an entry to the list of tensors.
func (b *builder) listed(name string, kind uint32, offset uint64, dims ...uint64) *builder {
	return b.add(name, uint32(len(dims)), dims, kind, offset)
}

// ended pads the header and adds data.
func (b *builder) ended(n int) []byte {
	return append(b.Bytes(), make([]byte, (32-b.Len()%32)%32+n)...)
}

func TestRefuses(t *testing.T) {
	const f32, q40 = 0, 2
	huge := uint64(1) << 62
	for want, data := range map[string][]byte{
		`does not begin with "GGUF"`:                          []byte("GGML\x03\x00\x00\x00"),
		"ends in the middle of its header":                    []byte("GGUF\x03\x00\x00\x00\x01"),
		"version 1, want 2 or 3":                              append([]byte("GGUF\x01\x00\x00\x00"), make([]byte, 16)...),
		"big-endian":                                          append([]byte("GGUF\x00\x00\x00\x03"), make([]byte, 16)...),
		"keys, want at most 4096":                             begun(0, huge).Bytes(),
		"tensors, want at most 65536":                         begun(huge, 0).Bytes(),
		"a key has 4611686018427387904 bytes":                 begun(0, 1).add(huge).Bytes(),
		`key "a": a value of type 13`:                         begun(0, 1).add("a", uint32(13)).Bytes(),
		`key "a" appears twice`:                               begun(0, 2).add("a", uint32(0), byte(1), "a", uint32(0), byte(1)).Bytes(),
		`key "a": an array of 4611686018427387904, the`:       begun(0, 1).add("a", uint32(9), uint32(10), huge).Bytes(),
		`key "a": an array of type 9, want`:                   begun(0, 1).add("a", uint32(9), uint32(9), uint64(1)).Bytes(),
		"general.alignment: 24, want a power of two":          begun(0, 1).add("general.alignment", uint32(4), uint32(24)).Bytes(),
		"general.alignment: 0, want a power of two":           begun(0, 1).add("general.alignment", uint32(4), uint32(0)).Bytes(),
		"the name of a tensor has 65 bytes":                   begun(1, 0).listed(strings.Repeat("x", 65), f32, 0, 1).Bytes(),
		`tensor "a": 5 dimensions, want 1 to 4`:               begun(1, 0).listed("a", f32, 0, 1, 1, 1, 1, 1).Bytes(),
		`tensor "a": 0 dimensions, want 1 to 4`:               begun(1, 0).listed("a", f32, 0).Bytes(),
		`tensor "a": a dimension of 0`:                        begun(1, 0).listed("a", f32, 0, 3, 0).Bytes(),
		`tensor "a": a dimension of 4294967296`:               begun(1, 0).listed("a", f32, 0, 1<<32, 1<<32).Bytes(),
		`tensor "a": shape [4611686018427387904] is`:          begun(1, 0).listed("a", f32, 0, huge).Bytes(),
		`tensor "a": rows of 48, want a multiple of 32 for Q`: begun(1, 0).listed("a", q40, 0, 48, 2).Bytes(),
		`tensor "a" is of type IQ2_XS, want one of: F32, F16`: begun(1, 0).listed("a", 17, 0, 256).Bytes(),
		`tensor "a" is of type 77, want one of: F32, F16, BF`: begun(1, 0).listed("a", 77, 0, 256).Bytes(),
		`tensor "a" appears twice`:                            begun(2, 0).listed("a", f32, 0, 1).listed("a", f32, 32, 1).ended(64),
		`tensor "a": offset 4, want a multiple of 32`:         begun(1, 0).listed("a", f32, 4, 1).ended(64),
		`tensor "a": bytes [64, +4), the data have 64`:        begun(1, 0).listed("a", f32, 64, 1).ended(64),
		`tensor "a": bytes [18446744073709551584, +64)`:       begun(1, 0).listed("a", f32, math.MaxUint64-31, 16).ended(64),
		`tensor "a": bytes [0, +4000), the data have 64`:      begun(1, 0).listed("a", f32, 0, 1000).ended(64),
		`tensors "b" and "a" overlap`:                         begun(2, 0).listed("a", f32, 32, 1).listed("b", f32, 0, 9).ended(64),
		`tensors "a" and "b" overlap`:                         begun(2, 0).listed("a", f32, 32, 8).listed("b", f32, 32, 8).ended(64),
		"the file ends before its data":                       begun(1, 0).listed("a", f32, 0, 1).Bytes(),
	} {
		_, err := parse(data)
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, ErrInvalid) == errors.Is(err, ErrUnsupported) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if f, err := parse(begun(2, 0).listed("a", f32, 32, 8).listed("b", f32, 0, 8).ended(64)); err != nil || len(f.Tensors) != 2 {
		t.Errorf("tensors in another order: %v", err)
	}
}

// TestCut: a file that ends too soon is refused, at any length.
func TestCut(t *testing.T) {
	data := read(t, "types.gguf")
	whole, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	last := dataOf(data, whole.Tensors[len(whole.Tensors)-1])
	padding := (defaultAlignment - len(last)%defaultAlignment) % defaultAlignment // no tensor needs it
	for n := range len(data) - padding {
		if _, err := parse(data[:n]); err == nil {
			t.Fatalf("cut to %d of %d bytes: no error", n, len(data))
		}
	}
}

// TestHostile: files that are built to cost much are refused within a minute, and with less than 100 MB allocated.
func TestHostile(t *testing.T) {
	repeated := func(n int, piece []byte) []byte { return bytes.Repeat(piece, n) }
	tensors := begun(maxTensors, 0)
	for i := range maxTensors {
		tensors.listed(string(binary.BigEndian.AppendUint32(nil, uint32(i)))+strings.Repeat("x", 60), 0, 0, 1, 1, 1, 1)
	}
	deep := begun(0, 1).add("a", uint32(9))
	deep.Write(repeated(1<<22, []byte{9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}))
	empty := begun(0, 1).add("a", uint32(9), uint32(8), uint64(1)<<40)
	empty.Write(make([]byte, 80<<20))
	keys := begun(0, maxKeys)
	for i := range maxKeys - 1 {
		keys.add(string(binary.BigEndian.AppendUint32(nil, uint32(i)))+strings.Repeat("k", maxKeyBytes-4), uint32(8), strings.Repeat("v", 1<<12))
	}
	for name, data := range map[string][]byte{
		"many tensors at one place": tensors.ended(64),
		"deep arrays":               deep.Bytes(),
		"an array of empty texts":   empty.Bytes(),
		"many keys, one missing":    keys.Bytes(),
		"a long header":             append(begun(0, 1).add("a", uint32(8), uint64(65<<20)).Bytes(), make([]byte, 70<<20)...),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		_, err := parse(data)
		elapsed := time.Since(start)
		runtime.ReadMemStats(&after)
		cost := after.TotalAlloc - before.TotalAlloc
		if err == nil || cost > 100e6 || elapsed > time.Minute {
			t.Errorf("%s: %v, %d bytes allocated in all, %s", name, err, cost, elapsed)
		}
		t.Logf("%s: %d bytes, refused after %s with %.1f MB allocated in all: %.200v", name, len(data), elapsed, float64(cost)/1e6, err)
	}
}

// FuzzParse: any bytes are an error, or tensors that decode, with data of the size that type and shape ask for, apart
// from each other.
func FuzzParse(f *testing.F) {
	f.Add(read(f, "types.gguf"))
	f.Add(begun(2, 1).add("general.alignment", uint32(4), uint32(64)).listed("a", 0, 64, 8).listed("b", 2, 0, 32).ended(128))
	f.Add(begun(0, 2).add("a", uint32(9), uint32(8), uint64(2), "x", "", "b", uint32(12), 0.5).Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := parse(data)
		if err != nil {
			if errors.Is(err, ErrInvalid) == errors.Is(err, ErrUnsupported) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		total := 0
		for _, x := range file.Tensors {
			n := 1
			for _, d := range x.Shape {
				n *= d
			}
			content := dataOf(data, x)
			if n%x.Format.Elements != 0 || len(content) != n/x.Format.Elements*x.Format.Bytes {
				t.Fatalf("%q: %d bytes for %d of %s", x.Name, len(content), x.Shape, x.Format.Name)
			}
			if total += len(content); !x.Format.IsFloat() {
				x.Format.Float32s(make([]float32, n), content, 0)
			}
		}
		if total > len(data) {
			t.Fatalf("tensors have %d bytes, the file %d", total, len(data))
		}
	})
}
