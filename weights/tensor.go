package weights

import (
	"fmt"

	"github.com/metalrank/metalrank/weights/gguf"
)

// Tensor is a named array in a checkpoint. Its data stay in the file until [Checkpoint.Read] has read them.
type Tensor struct {
	Name  string
	DType DType
	Shape []int // row-major; empty for a scalar; not to be changed

	// Quant is set on a tensor that [Checkpoint.Plan] or [Checkpoint.Weights] put together from codes, scales and
	// biases. Shape is that of the decoded tensor then, DType is U32, the type of the codes, and Bytes are the codes.
	Quant *AffineTensor

	// Channel is the same for int8 with a scale for each row; DType is I8 then.
	Channel *ChannelTensor

	// Blocks is set on a tensor of a GGUF file that has its rows in blocks of codes and scales. Shape is that of the
	// decoded tensor then, DType is U8 and Bytes are the blocks.
	Blocks *gguf.Format

	data      []byte // little-endian, at any alignment; nil while they are in the file
	file      string // that has the data, if they are not here
	offset    int64  // in the file
	sizeBytes int64  // in the file
}

// Len returns the number of elements: the product of the shape, 1 for a scalar.
func (t Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d // cannot overflow: checked when the file was opened
	}
	return n
}

// Bytes returns the stored elements, little-endian and row-major, which must not be changed. A call on a tensor that was
// not read is a bug of the caller and panics.
func (t Tensor) Bytes() []byte {
	if t.data == nil && t.sizeBytes > 0 {
		panic(fmt.Sprintf("BUG: weights: tensor %s is used before it is read", quote(t.Name)))
	}
	return t.data
}

// SizeBytes returns the bytes that the tensor occupies in the file; a quantised one with its scales and biases.
func (t Tensor) SizeBytes() int {
	switch {
	case t.Quant != nil:
		return t.Quant.SizeBytes()
	case t.Channel != nil:
		return t.Channel.SizeBytes()
	}
	if t.data == nil {
		return int(t.sizeBytes)
	}
	return len(t.data)
}

// IsNumeric says whether [Tensor.Float32s] can decode the tensor: it is of floats, or quantised in a known way.
func (t Tensor) IsNumeric() bool {
	return t.DType.IsFloat() || t.Quant != nil || t.Channel != nil || t.Blocks != nil
}

// StoredAs names the type of the elements, which in blocks is that of the blocks: "F16", "Q4_0".
func (t Tensor) StoredAs() string {
	if t.Blocks != nil {
		return t.Blocks.Name
	}
	return t.DType.String()
}

// Float32s decodes len(dst) elements into dst, the first being element start. The conversion is exact; of a quantised
// tensor it is [AffineTensor.Float32s], or that of its kind. A call on a tensor that is not IsNumeric or was not read,
// or for a range outside the tensor, is a bug of the caller and panics.
func (t Tensor) Float32s(dst []float32, start int) {
	if n := t.Len(); start < 0 || start > n || len(dst) > n-start {
		panic(fmt.Sprintf("BUG: weights: tensor %s: elements [%d, %d) of %d", quote(t.Name), start, start+len(dst), n))
	}
	switch {
	case t.Quant != nil:
		t.Quant.Float32s(dst, start)
		return
	case t.Channel != nil:
		t.Channel.Float32s(dst, start)
		return
	case t.Blocks != nil:
		t.Blocks.Float32s(dst, t.Bytes(), start)
		return
	}
	size := t.DType.Size()
	if !t.DType.IsFloat() {
		panic(fmt.Sprintf("BUG: weights: tensor %s: %s read as float32", quote(t.Name), t.DType))
	}
	t.DType.Decode(dst, t.Bytes()[size*start:size*(start+len(dst))])
}
