package pickle

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/x448/float16"
)

func read(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func parse(data []byte) ([]Tensor, error) { return Parse(bytes.NewReader(data), int64(len(data))) }

// numbers decodes a tensor, independently of package weights.
func numbers(t *testing.T, file []byte, x Tensor) []float64 {
	t.Helper()
	decode := map[string]struct {
		size int
		f    func([]byte) float64
	}{
		"F32": {4, func(b []byte) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))) }},
		"F64": {8, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }},
		"F16": {2, func(b []byte) float64 { return float64(float16.Frombits(binary.LittleEndian.Uint16(b)).Float32()) }},
		"BF16": {2, func(b []byte) float64 {
			return float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16))
		}},
		"I64":  {8, func(b []byte) float64 { return float64(int64(binary.LittleEndian.Uint64(b))) }},
		"BOOL": {1, func(b []byte) float64 { return float64(b[0]) }},
	}[x.DType]
	if decode.f == nil {
		t.Fatalf("%s: dtype %s", x.Name, x.DType)
	}
	all := []float64{}
	for chunk := range slices.Chunk(file[x.Offset:][:x.Size], decode.size) {
		all = append(all, decode.f(chunk))
	}
	return all
}

// TestFormats: files of torch.save, in each of its formats, have the shapes and values that PyTorch has.
func TestFormats(t *testing.T) {
	var want map[string]struct {
		Shape  []int
		Values []float64
	}
	if err := json.Unmarshal(read(t, "values.json"), &want); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"zip.bin", "protocol4.bin", "legacy.bin"} {
		file := read(t, name)
		got, err := parse(file)
		if err != nil || len(got) != len(want) || len(got) < 12 {
			t.Fatalf("%s: %d tensors, %v", name, len(got), err)
		}
		for _, x := range got {
			w, ok := want[x.Name]
			if !ok || !slices.Equal(x.Shape, w.Shape) || !slices.Equal(numbers(t, file, x), w.Values) {
				t.Errorf("%s: %q: shape %d, values %v, want %d, %v", name, x.Name, x.Shape, numbers(t, file, x), w.Shape, w.Values)
			}
		}
	}
}

func TestRefuses(t *testing.T) {
	for name, want := range map[string]struct {
		text string
		kind error
	}{
		"refused_transposed.bin": {`tensor "t": shape [2 3] has strides [1 2]: want rows one after the other`, ErrInvalid},
		"refused_function.bin":   {`it names "print" of module "__builtin__"`, ErrUnsafe},
		"refused_number.bin":     {`want tensors by name, got int64 for "a"`, ErrInvalid},
		"refused_list.bin":       {`want a dict of tensors, got a sequence`, ErrInvalid},
	} {
		if _, err := parse(read(t, name)); !errors.Is(err, want.kind) || !strings.HasSuffix(err.Error(), want.text) {
			t.Errorf("%s: %v, want %s", name, err, want.text)
		}
	}
	// A pair of a pair of a pair …, each twice the same: as text it would have 2¹⁵ parts.
	shared := "K\x01" + strings.Repeat("q\x00h\x00\x86", 15)
	for program, want := range map[string]string{
		"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(N" + shared + "))\x89NtR.":                       "a tensor of None with offset a sequence, size a sequence, stride a sequence; want",
		"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000N" + shared + "tQ.": `storage "0" of a reference to torch FloatStorage with a sequence elements`,
		"\x80\x02" + shared + strings.Repeat("\x85", 3) + ".":                                         "containers in containers, want at most 16",
		"\x80\x02]q\x00h\x00ah\x00a.":                                                                 "adds to what is in another container",
		"\x80\x02]q\x00\x85h\x00Na.":                                                                  "adds to what is in another container",
		"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.":                                              `it names "system" of module "os"`,
		"\x80\x04\x8c\x02os\x8c\x06system\x93.":                                                       `it names "system" of module "os"`,
		"\x80\x02ctorch.storage\n_load_from_bytes\n.":                                                 `it names "_load_from_bytes"`,
		"\x80\x02ccollections\nOrderedDict\nK\x01\x85R.":                                              "with other arguments than torch.save writes",
		"\x80\x02.":                  "takes from an empty stack",
		"\x80\x02}":                  "ends in the middle",
		"\x80\x02(.":                 "takes from an empty stack",
		"\x80\x02t.":                 "no mark where it wants one",
		"\x80\x01.":                  "pickle protocol 1, want 2 to 5",
		"\x80\x02}(K\x01u.":          "adds 1 items to what does not take them",
		"\x80\x02h\x07.":             "recalls 7, which it never made",
		"\x80\x02\x81.":              "opcode 0x81 at 2",
		"\x80\x02iposix\nsystem\n.":  "opcode 0x69 at 2",
		"\x80\x02K\x01Q.":            "a persistent id that is no whole storage",
		"\x80\x02\x8a\x09123456789.": "a whole number of 9 bytes",
		"\x80\x02X\xff\xff\xff\xffa": "ends in the middle",
		"\x80\x02cos":                "a name without an end",
	} {
		if _, err := parse(archive(t, map[string]string{"a/data.pkl": program}, zip.Store)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", program, err, want)
		}
	}
	for name, data := range map[string][]byte{
		"zip: \"a/data.pkl\" is compressed": archive(t, map[string]string{"a/data.pkl": strings.Repeat("x", 1<<20)}, zip.Deflate),
		"zip: no data.pkl":                  archive(t, map[string]string{"a/b/c": "x"}, zip.Store),
		"byte order \"big\", want little":   archive(t, map[string]string{"a/data.pkl": ".", "a/byteorder": "big"}, zip.Store),
		"want a zip archive":                []byte("\x80\x02}."),
		"zip: ":                             []byte("PK\x03\x04 and no more"),
	} {
		if _, err := parse(data); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %s", err, name)
		}
	}
}

// archive makes a zip file.
func archive(tb testing.TB, files map[string]string, method uint16) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for name, content := range files {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err == nil {
			_, err = f.Write([]byte(content))
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// TestHostile: files that are built to cost much are refused within a minute and in less than 100 MB. The total of all
// allocations, which counts each array that grew several times, is below 110 MiB.
func TestHostile(t *testing.T) {
	many := map[string]string{}
	for i := range 300_000 {
		many["a/"+strconv.Itoa(i)] = ""
	}
	program := func(p string) []byte {
		return archive(t, map[string]string{"a/data.pkl": p}, zip.Store)
	}
	for name, data := range map[string][]byte{
		"many files":  archive(t, many, zip.Store),
		"deep":        program("\x80\x02" + strings.Repeat("]", 1<<19) + strings.Repeat("a", 1<<19-8) + "."),
		"memo":        program("\x80\x02" + strings.Repeat("N\x94", 1<<19-8) + "."),
		"marks":       program("\x80\x02" + strings.Repeat("(", 1<<20-8) + "."),
		"large":       program(strings.Repeat("N", 64<<20)),
		"large count": program("\x80\x02X\xff\xff\xff\x7f" + strings.Repeat("x", 1<<20)),
		"bomb":        archive(t, map[string]string{"a/data.pkl": strings.Repeat("N", 64<<20)}, zip.Deflate),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		_, err := parse(data)
		elapsed := time.Since(start)
		runtime.ReadMemStats(&after)
		cost := after.TotalAlloc - before.TotalAlloc
		if err == nil || cost > 110<<20 || elapsed > time.Minute {
			t.Errorf("%s: %v, %d bytes allocated in all, %s", name, err, cost, elapsed)
		}
		t.Logf("%s: %d bytes, refused after %s with %.1f MB allocated in all: %v", name, len(data), elapsed, float64(cost)/1e6, err)
	}
}

// FuzzParse: any bytes are an error, or tensors with data of the size that type and shape ask for.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"zip.bin", "protocol4.bin", "legacy.bin", "refused_function.bin", "refused_transposed.bin"} {
		f.Add(read(f, name))
	}
	sizes := map[string]int{"F32": 4, "F64": 8, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
	f.Fuzz(func(t *testing.T, data []byte) {
		tensors, err := parse(data)
		if err != nil && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnsafe) {
			t.Fatalf("an error of no kind: %v", err)
		}
		for _, x := range tensors {
			n := sizes[x.DType]
			for _, d := range x.Shape {
				n *= d
			}
			if len(data[x.Offset:][:x.Size]) != n {
				t.Fatalf("%q: %d bytes for %d of %s", x.Name, x.Size, x.Shape, x.DType)
			}
		}
	})
}

// FuzzProgram runs any program by itself, since the bytes of a mutated archive are seldom a whole archive.
func FuzzProgram(f *testing.F) {
	f.Add([]byte("\x80\x02}q\x00X\x01\x00\x00\x00aq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00\x00\x00storagectorch\n" +
		"FloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQK\x00K\x02\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtRs."))
	f.Fuzz(func(t *testing.T, program []byte) {
		data := span{100, 16}
		m := &machine{storage: func(string) (span, bool) { return data, true }}
		top, read, err := m.run(program)
		if err != nil {
			return
		}
		if read < 1 || read > len(program) {
			t.Fatalf("%d of %d bytes read", read, len(program))
		}
		tensors, _ := stateDict(top)
		for _, x := range tensors {
			if x.Size < 0 || x.Offset < data.offset || x.Offset+x.Size > data.offset+data.size {
				t.Fatalf("%q: %d bytes at %d of %v", x.Name, x.Size, x.Offset, data)
			}
		}
	})
}
