package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
)

// Value is one number, boolean or text of the metadata, or a short array of texts.
type Value struct {
	kind  valueKind
	data  []byte // little-endian, or the text
	texts []string
}

// maxTexts is the length of the longest array that is kept; those of a vocabulary are passed over.
const maxTexts = 64

// valueKind is the type of a stored value, under the format's own numbers.
type valueKind uint32

const (
	kindUint8 valueKind = iota
	kindInt8
	kindUint16
	kindInt16
	kindUint32
	kindInt32
	kindFloat32
	kindBool
	kindText
	kindArray
	kindUint64
	kindInt64
	kindFloat64
)

// fixedBytes is the size of the kinds that have one.
var fixedBytes = map[valueKind]int{
	kindUint8: 1, kindInt8: 1, kindUint16: 2, kindInt16: 2, kindUint32: 4, kindInt32: 4, kindFloat32: 4, kindBool: 1,
	kindUint64: 8, kindInt64: 8, kindFloat64: 8,
}

// Text returns a text.
func (v Value) Text() (string, bool) { return string(v.data), v.kind == kindText }

// Texts returns the texts of an array.
func (v Value) Texts() ([]string, bool) { return v.texts, v.kind == kindArray }

// Whole returns a whole number that is not negative.
func (v Value) Whole() (uint64, bool) {
	n := v.bits()
	switch v.kind {
	case kindUint8, kindUint16, kindUint32, kindUint64:
		return n, true
	case kindInt8, kindInt16, kindInt32, kindInt64:
		return n, n>>(8*len(v.data)-1) == 0
	default:
		return 0, false
	}
}

// Float returns a number with a fraction.
func (v Value) Float() (float64, bool) {
	switch v.kind {
	case kindFloat32:
		return float64(math.Float32frombits(uint32(v.bits()))), true
	case kindFloat64:
		return math.Float64frombits(v.bits()), true
	default:
		return 0, false
	}
}

// String shows a value in an error text.
func (v Value) String() string {
	if text, ok := v.Text(); ok {
		return fmt.Sprintf("%.80q", text)
	}
	if n, ok := v.Whole(); ok {
		return strconv.FormatUint(n, 10)
	}
	if x, ok := v.Float(); ok {
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	if texts, ok := v.Texts(); ok {
		return fmt.Sprintf("%.80q", texts)
	}
	return fmt.Sprintf("a value of type %d", v.kind)
}

// bits returns the bytes of a number as one.
func (v Value) bits() uint64 {
	var word [8]byte
	copy(word[:], v.data)
	return binary.LittleEndian.Uint64(word[:])
}

// readValue reads a key and its value.
func (f *File) readValue(c *cursor) error {
	key := string(c.text(maxKeyBytes, "a key"))
	kind := valueKind(c.u32())
	if c.err != nil {
		return c.err
	}
	if _, twice := f.values[key]; twice {
		return invalidf("key %q appears twice", key)
	}
	size, fixed := fixedBytes[kind]
	switch {
	case fixed:
		f.values[key] = Value{kind: kind, data: c.take(size)}
	case kind == kindText:
		f.values[key] = Value{kind: kind, data: c.text(maxHeaderBytes, "the value of a key")}
	case kind == kindArray:
		return f.readArray(c, key)
	default:
		return invalidf("key %q: a value of type %d, want 0 to %d", key, kind, kindFloat64)
	}
	return c.err
}

// readArray keeps a short array of texts, and passes over others, which are the tokenizer's. Arrays of arrays are refused, as in
// llama.cpp.
func (f *File) readArray(c *cursor, key string) error {
	kind, n := valueKind(c.u32()), c.u64()
	if c.err != nil {
		return c.err
	}
	size, fixed := fixedBytes[kind]
	switch {
	case fixed && n > uint64(len(c.data)-c.at)/uint64(size):
		c.ended = true
		return invalidf("key %q: an array of %d, the header ends before", key, n)
	case fixed:
		c.take(int(n) * size)
	case kind == kindText:
		var texts []string
		for i := uint64(0); i < n && c.err == nil; i++ {
			if text := c.text(maxHeaderBytes, "an element of an array"); n <= maxTexts {
				texts = append(texts, string(text))
			}
		}
		if n <= maxTexts {
			f.values[key] = Value{kind: kindArray, texts: texts}
		}
	default:
		return invalidf("key %q: an array of type %d, want numbers or texts", key, kind)
	}
	return c.err
}

// cursor reads the header. After the first error all that it reads is empty.
type cursor struct {
	data  []byte
	at    int
	ended bool // the data were too short
	err   error
}

// take returns the next n bytes.
func (c *cursor) take(n int) []byte {
	if c.err != nil {
		return nil
	}
	if n > len(c.data)-c.at {
		c.err, c.ended = invalidf("it ends in the middle of its header"), true
		return nil
	}
	c.at += n
	return c.data[c.at-n : c.at : c.at]
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// text reads a length and as many bytes.
func (c *cursor) text(maxBytes uint64, what string) []byte {
	n := c.u64()
	if c.err == nil && n > maxBytes {
		c.err = invalidf("%s has %d bytes, want at most %d", what, n, maxBytes)
	}
	return c.take(int(min(n, maxBytes)))
}
