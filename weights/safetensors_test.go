package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// parseMemory reads a file of weights that is in memory.
func parseMemory(file string, data []byte) ([]Tensor, error) {
	return (&source{files: map[string][]byte{file: data}}).loadFile(file, Config{})
}

func parse(header string, dataBytes int) error {
	_, err := parseMemory("f.safetensors", rawSafetensors(header, make([]byte, dataBytes)))
	return err
}

// TestSafetensorsHeader: errors in the JSON. The data have 8 bytes.
func TestSafetensorsHeader(t *testing.T) {
	long := strings.Repeat("n", 1000)
	for _, c := range []struct{ header, want string }{
		{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, ""},
		{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}    `, ""},
		{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":[{}]},"__metadata__":{"format":"pt"}}`, ""},
		{`{"__metadata__":null,"a":{"data_offsets":[0,8],"dtype":"F64","shape":[]}}`, ""},
		{``, `f.safetensors: header begins with "", want "{"`},
		{` {}`, `f.safetensors: header begins with " ", want "{"`},
		{`[]`, `f.safetensors: header begins with "[", want "{"`},
		{`{"a":`, `f.safetensors: the JSON ends in the middle: a download or a copy was cut off`},
		{`{} {}`, `f.safetensors: a second JSON value follows the first`},
		{`{}x`, `f.safetensors: not valid JSON: jsontext: invalid character 'x' at start of value after offset 2`},
		{"{\"\xff\":1}", `f.safetensors: not valid JSON: jsontext: invalid UTF-8 after offset 2`},
		{`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`,
			`f.safetensors: key "a" appears twice`},
		{`{"a":{"dtype":"F32","dtype":"F32"}}`, `f.safetensors: key "dtype" appears twice`},
		{`{"a":[]}`, `f.safetensors: tensor "a": got "[", want an object`},
		{`{"a":null}`, `f.safetensors: tensor "a": got "null", want an object`},
		{`{"a":{}}`, `f.safetensors: tensor "a": want dtype, shape and data_offsets`},
		{`{"a":{"dtype":"F32","shape":[2]}}`, `f.safetensors: tensor "a": want dtype, shape and data_offsets`},
		{`{"a":{"dtype":"F31"}}`, `f.safetensors: tensor "a": dtype "F31", want one of F32, F16, BF16, F64, I64, U8, ...`},
		{`{"a":{"dtype":null}}`, `f.safetensors: tensor "a": dtype "null", want one of F32, F16, BF16, F64, I64, U8, ...`},
		{`{"a":{"shape":2}}`, `f.safetensors: tensor "a": shape: got "2", want an array`},
		{`{"a":{"shape":[2,-1]}}`, `f.safetensors: tensor "a": shape: got "-1", want whole numbers from 0 to 2^64-1`},
		{`{"a":{"shape":[1.0]}}`, `f.safetensors: tensor "a": shape: got "1.0", want whole numbers from 0 to 2^64-1`},
		{`{"a":{"shape":[1e2]}}`, `f.safetensors: tensor "a": shape: got "1e2", want whole numbers from 0 to 2^64-1`},
		{`{"a":{"shape":[null]}}`, `f.safetensors: tensor "a": shape: got "null", want whole numbers from 0 to 2^64-1`},
		{`{"a":{"shape":["2"]}}`, `f.safetensors: tensor "a": shape: got "2", want whole numbers from 0 to 2^64-1`},
		{`{"a":{"shape":[18446744073709551616]}}`,
			`f.safetensors: tensor "a": shape: got "18446744073709551616", want whole numbers from 0 to 2^64-1`},
		{`{"a":{"shape":[1` + strings.Repeat(",1", 64) + `]}}`, `f.safetensors: tensor "a": shape: more than 64 numbers`},
		{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}}`, `f.safetensors: tensor "a": data_offsets: 1 numbers, want 2`},
		{`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}`, `f.safetensors: tensor "a": data_offsets: 3 numbers, want 2`},
		{`{"__metadata__":[]}`, `f.safetensors: got "[", want an object`},
		{`{"__metadata__":{"x":1}}`, `f.safetensors: __metadata__: "x": got "1", want a string`},
		{`{"__metadata__":{"x":null}}`, `f.safetensors: __metadata__: "x": got "null", want a string`},
		{`{"` + long + `":1}`, `f.safetensors: tensor "` + long[:200] + `"... (1000 bytes): got "1", want an object`},
	} {
		want := c.want
		if want != "" {
			want = "weights: " + want
		}
		wantError(t, parse(c.header, 8), want, ErrInvalid)
	}
}

// TestSafetensorsLayout: JSON is fine, but the tensors do not tile the 8 bytes of data.
func TestSafetensorsLayout(t *testing.T) {
	for _, c := range []struct{ header, want string }{
		{`"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}`, `tensor "a": offsets [0 12], and the file ends after 8 bytes of data: a download or a copy was cut off`},
		{`"a":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}`, `tensor "a": offsets [8 4], want them in order`},
		{`"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}`, `tensor "a": offsets [0 8] hold 8 bytes, want 12 bytes for shape [3] of F32`},
		{`"a":{"dtype":"F16","shape":[],"data_offsets":[0,8]}`, `tensor "a": offsets [0 8] hold 8 bytes, want 2 bytes for shape [] of F16`},
		{`"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}`,
			`tensor "a": shape [4294967296 4294967296] of F32 is too large or not whole bytes`},
		{`"a":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}`, // 4 times this is 4 modulo 2^64
			`tensor "a": shape [4611686018427387905] of F32 is too large or not whole bytes`},
		{`"a":{"dtype":"U8","shape":[18446744073709551615,0],"data_offsets":[0,0]}`,
			`tensor "a": shape [18446744073709551615 0] of U8 is too large or not whole bytes`},
		{`"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}`, `tensor "a": shape [3] of F4 is too large or not whole bytes`},
		{`"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}`,
			`tensor "b": offsets [4 8] overlap tensor "a"`},
		{`"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`,
			`tensor "b": offsets [0 8] overlap tensor "a"`},
		{`"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}`,
			`tensor "b": offsets [4 4] overlap tensor "a"`},
		{`"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}`, `tensor "a": offsets [4 8], want [0 ...]: the data before belong to no tensor`},
		{`"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}`,
			`tensor "b": offsets [4 8], want [2 ...]: the data before belong to no tensor`},
		{`"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`, `8 bytes of data, want 4 bytes: the end belongs to no tensor`},
		{``, `8 bytes of data, want 0 bytes: the end belongs to no tensor`},
	} {
		wantError(t, parse("{"+c.header+"}", 8), "weights: f.safetensors: "+c.want, ErrInvalid)
	}
}

// TestSafetensorsFile: errors before the JSON begins.
func TestSafetensorsFile(t *testing.T) {
	length := func(n uint64, rest int) []byte {
		return append(binary.LittleEndian.AppendUint64(nil, n), make([]byte, rest)...)
	}
	for _, c := range []struct {
		file []byte
		want string
	}{
		{nil, "empty, want the file itself: a download or a copy was cut off"},
		{make([]byte, 7), "7 bytes, want at least 8"},
		{make([]byte, 8), `header begins with "", want "{"`},
		{length(12_000_000_000, 1016), "header is 12 GB, the file has 1024 bytes"},
		{length(math.MaxUint64, 0), "header is 18.4 EB, the file has 8 bytes"},
		{length(3, 2), "header is 3 bytes, the file has 10 bytes"},
		{length(100_000_001, 100_000_001), "header is 100 MB, want at most 100 MB"},
	} {
		_, err := parseMemory("f.safetensors", c.file)
		wantError(t, err, "weights: f.safetensors: "+c.want, ErrInvalid)
	}
}

// TestSafetensorsNested: depth is bounded by the JSON package, not by the stack.
func TestSafetensorsNested(t *testing.T) {
	err := parse(`{"a":{"x":`+strings.Repeat("[", 1<<20), 0)
	if err == nil || !errors.Is(err, ErrInvalid) {
		t.Errorf("error %v", err)
	}
}

// TestSafetensorsRoundTrip: tensors are read as they were written: any names, types, shapes, empty tensors, any order of
// keys and any alignment.
func TestSafetensorsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tensors := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) Tensor {
			x := Tensor{
				Name:  rapid.String().Filter(func(s string) bool { return s != "__metadata__" }).Draw(t, "name"),
				DType: DType(rapid.IntRange(1, int(F8E5M2FNUZ)).Draw(t, "dtype")),
				Shape: rapid.SliceOfN(rapid.IntRange(0, 5), 0, 4).Draw(t, "shape"),
			}
			x.data = rapid.SliceOfN(rapid.Byte(), x.Len()*x.DType.Size(), -1).Draw(t, "data")[:x.Len()*x.DType.Size()]
			return x
		}), 0, 8, func(x Tensor) string { return x.Name }).Draw(t, "tensors")
		file := writeSafetensors(tensors)
		got, err := parseMemory("f", file)
		if err != nil {
			t.Fatalf("%v in %q", err, file)
		}
		if !slices.Equal(names(got), names(tensors)) {
			t.Fatalf("names %q, want %q", names(got), names(tensors))
		}
		for _, x := range tensors {
			y := got[slices.IndexFunc(got, func(y Tensor) bool { return y.Name == x.Name })]
			if y.DType != x.DType || !slices.Equal(y.Shape, x.Shape) || !bytes.Equal(y.data, x.data) {
				t.Fatalf("tensor %q: %v %v %x, want %v %v %x", x.Name, y.DType, y.Shape, y.data, x.DType, x.Shape, x.data)
			}
		}
	})
}

// TestHeaderCost: memory is a bounded multiple of the header, for any header.
func TestHeaderCost(t *testing.T) {
	var many strings.Builder
	many.WriteString(`{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`)
	for i := range 20_000 {
		fmt.Fprintf(&many, `,"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`, i)
	}
	many.WriteString("}")
	for name, header := range map[string]string{
		"many tensors": many.String(),
		"long name":    `{"` + strings.Repeat("x", 1<<20) + `":0}`,
		"long shape":   `{"x":{"shape":[` + strings.Repeat("1,", 1<<19) + `1]}}`,
		"deep":         `{"x":{"y":` + strings.Repeat("[", 1<<20),
		"long number":  `{"x":{"shape":[` + strings.Repeat("1", 1<<20) + `]}}`,
		"many members": `{"x":{"a":0` + strings.Repeat(`,"b":0`, 1<<17) + `}}`,
	} {
		file := rawSafetensors(header, nil)
		if cost := allocated(func() { _, _ = parseMemory("f", file) }); cost > allowance(len(file)) {
			t.Errorf("%s: %d bytes allocated for a file of %d", name, cost, len(file))
		}
	}
}
