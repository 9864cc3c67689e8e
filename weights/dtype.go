package weights

// DType is the element type of a stored tensor. F32, F16 and BF16 can be read as numbers; the others are known by
// name and size only, so that a file which holds them beside the weights (position_ids are I64) still opens.
type DType uint8

// The types of the reference implementation of safetensors, under its names (enum Dtype in
// huggingface/safetensors, safetensors/src/tensor.rs at 24b0b28), less the underscores. The zero DType is no type.
const (
	F32 DType = iota + 1
	F16
	BF16
	F64
	C64
	I8
	I16
	I32
	I64
	U8
	U16
	U32
	U64
	BOOL
	F8E4M3
	F8E5M2
	F8E8M0
	F8E4M3FNUZ
	F8E5M2FNUZ
	F6E2M3
	F6E3M2
	F4
)

// dtypes gives name and width in bits by DType; entry 0 belongs to no type.
var dtypes = [...]struct {
	name string
	bits int
}{
	F32: {"F32", 32}, F16: {"F16", 16}, BF16: {"BF16", 16}, F64: {"F64", 64}, C64: {"C64", 64},
	I8: {"I8", 8}, I16: {"I16", 16}, I32: {"I32", 32}, I64: {"I64", 64},
	U8: {"U8", 8}, U16: {"U16", 16}, U32: {"U32", 32}, U64: {"U64", 64}, BOOL: {"BOOL", 8},
	F8E4M3: {"F8_E4M3", 8}, F8E5M2: {"F8_E5M2", 8}, F8E8M0: {"F8_E8M0", 8},
	F8E4M3FNUZ: {"F8_E4M3FNUZ", 8}, F8E5M2FNUZ: {"F8_E5M2FNUZ", 8},
	F6E2M3: {"F6_E2M3", 6}, F6E3M2: {"F6_E3M2", 6}, F4: {"F4", 4},
}

// parseDType finds a type by the name that a safetensors header uses.
func parseDType(name string) (DType, bool) {
	for d := F32; int(d) < len(dtypes); d++ {
		if dtypes[d].name == name {
			return d, true
		}
	}
	return 0, false
}

func (d DType) known() bool { return d != 0 && int(d) < len(dtypes) }

// bits returns the width of one element; 0 for no type.
func (d DType) bits() int {
	if !d.known() {
		return 0
	}
	return dtypes[d].bits
}

// Size returns the bytes of one element; 0 for F4 and F6, which are packed across bytes.
func (d DType) Size() int {
	if d.bits()%8 != 0 {
		return 0
	}
	return d.bits() / 8
}

// String returns the name that a safetensors header uses.
func (d DType) String() string {
	if !d.known() {
		return "invalid dtype"
	}
	return dtypes[d].name
}

// IsFloat says whether the elements are floats that [DType.Decode] reads.
func (d DType) IsFloat() bool { return d == F32 || d == F16 || d == BF16 }
