package metaltest

import (
	"bytes"
	"encoding/binary"
)

// countArgs is CountArgs of conformance.h.
type countArgs struct{ Count uint32 }

// stepArgs is StepArgs of conformance.h.
type stepArgs struct{ Count, Factor, Addend uint32 }

// constantsResult is ConstantsResult of conformance.h.
type constantsResult struct {
	Flag          uint32
	SignedValue   int32
	UnsignedValue uint32
	RealValue     float32
}

// threadPlace is ThreadPlace of conformance.h.
type threadPlace struct {
	Visits                               uint32
	InGroup, GroupThreads, Group, Groups [3]uint32
	Index, Lane, Simdgroup, Simdgroups   uint32
	Width                                uint32
}

// pack lays a value out as the shaders do: little-endian, and, as all fields here have four bytes, without padding.
func pack(value any) []byte {
	data, err := binary.Append(nil, binary.LittleEndian, value)
	if err != nil {
		panic("BUG: metaltest: " + err.Error()) // a type of indefinite size
	}
	return data
}

// unpack is the inverse of pack.
func unpack[T any](data []byte) T {
	var value T
	if err := binary.Read(bytes.NewReader(data), binary.LittleEndian, &value); err != nil {
		panic("BUG: metaltest: " + err.Error()) // too short, or a type of indefinite size
	}
	return value
}

// words packs n uint32 that f makes.
func words(n int, f func(i int) uint32) []byte {
	data := make([]byte, 4*n)
	for i := range n {
		binary.LittleEndian.PutUint32(data[4*i:], f(i))
	}
	return data
}

// word is the i-th uint32 of data.
func word(data []byte, i int) uint32 { return binary.LittleEndian.Uint32(data[4*i:]) }

// pattern returns n bytes; each differs from its neighbours.
func pattern(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i*7 + i>>8*13 + 3)
	}
	return data
}
