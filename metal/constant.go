package metal

import "math"

// ConstantType is the type of a function constant; values are those of MTLDataType.
type ConstantType uint32

// The types that function constants have here.
const (
	ConstantFloat ConstantType = 3  // MTLDataTypeFloat
	ConstantInt   ConstantType = 29 // MTLDataTypeInt
	ConstantUint  ConstantType = 33 // MTLDataTypeUInt
	ConstantBool  ConstantType = 53 // MTLDataTypeBool
)

// Constant is the value of a [[function_constant(Index)]].
type Constant struct {
	Index uint32
	Type  ConstantType
	Bits  uint32 // little-endian, the value in its lowest bytes
}

// Bool is a constant of type bool.
func Bool(index uint32, value bool) Constant {
	c := Constant{Index: index, Type: ConstantBool}
	if value {
		c.Bits = 1
	}
	return c
}

// Int is a constant of type int.
func Int(index uint32, value int32) Constant {
	return Constant{Index: index, Type: ConstantInt, Bits: uint32(value)}
}

// Uint is a constant of type uint.
func Uint(index uint32, value uint32) Constant {
	return Constant{Index: index, Type: ConstantUint, Bits: value}
}

// Float is a constant of type float.
func Float(index uint32, value float32) Constant {
	return Constant{Index: index, Type: ConstantFloat, Bits: math.Float32bits(value)}
}
