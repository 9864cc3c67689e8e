package weights

import (
	"github.com/metalrank/metalrank/weights/quant"
)

// ChannelTensor is a matrix [out, in] in int8 with one scale for each output channel, as the compressed-tensors
// library stores it ("int-quantized"): X.weight and X.weight_scale. Element (o, i) is code(o, i) · scale(o).
type ChannelTensor struct {
	Codes  Tensor // [out, in] I8
	Scales Tensor // [out, 1] F32, F16 or BF16
}

// Float32s decodes len(dst) elements into dst, the first being element start, as [Tensor.Float32s] does.
func (c *ChannelTensor) Float32s(dst []float32, start int) {
	in := c.Codes.Shape[1]
	var scale [1]float32
	for len(dst) > 0 {
		row, column := start/in, start%in
		n := min(len(dst), in-column)
		c.Scales.Float32s(scale[:], row)
		quant.DecodeChannel(dst[:n], c.Codes.Bytes()[start:start+n], scale[0])
		dst, start = dst[n:], start+n
	}
}

// SizeBytes returns the bytes that codes and scales occupy in the file.
func (c *ChannelTensor) SizeBytes() int { return c.Codes.SizeBytes() + c.Scales.SizeBytes() }

// channel makes one tensor of a layer's two.
func (c *Checkpoint) channel(codes, scales Tensor) (Tensor, error) {
	if len(codes.Shape) != 2 {
		return codes, invalidf("tensor %s: shape %d, want two dimensions of codes", quote(codes.Name), codes.Shape)
	}
	if !scales.DType.IsFloat() {
		return codes, unsupportedf("tensor %s: dtype %s, want F32, F16 or BF16", quote(scales.Name), scales.DType)
	}
	if len(scales.Shape) != 2 || scales.Shape[0] != codes.Shape[0] || scales.Shape[1] != 1 {
		return codes, invalidf("tensor %s: shape %d, want [%d 1]", quote(scales.Name), scales.Shape, codes.Shape[0])
	}
	whole := codes
	whole.Channel = &ChannelTensor{Codes: codes, Scales: scales}
	return whole, nil
}
