package weights

import (
	"encoding/binary"
	"fmt"

	"github.com/metalrank/metalrank/weights/quant"
)

// AffineTensor is a quantised matrix [out, in] as MLX stores it, in three tensors: X.weight, X.scales and X.biases.
// Element (o, i) is code(o, i) · scale(o, i/GroupSize) + bias(o, i/GroupSize).
type AffineTensor struct {
	quant.Affine

	Codes  Tensor // [out, in·Bits/32] U32: one little-endian stream of Bits bits an element
	Scales Tensor // [out, in/GroupSize] F32, F16 or BF16
	Biases Tensor // the same; not the bias of the layer
}

// Float32s decodes len(dst) elements into dst, the first being element start, as [Tensor.Float32s] does. The result
// is the product and the sum in float32; MLX computes both in the type of the scales.
func (a *AffineTensor) Float32s(dst []float32, start int) {
	var (
		group        [128]float32
		words        [32]uint32
		scale, shift [1]float32
	)
	size, sizeBytes := a.GroupSize, 4*a.Words(a.GroupSize)
	for len(dst) > 0 {
		g, skip := start/size, start%size
		a.Scales.Float32s(scale[:], g)
		a.Biases.Float32s(shift[:], g)
		codes := a.Codes.Bytes()[g*sizeBytes : (g+1)*sizeBytes]
		for i := range sizeBytes / 4 {
			words[i] = binary.LittleEndian.Uint32(codes[4*i:])
		}
		one := quant.Quantized{Affine: a.Affine, Codes: words[:sizeBytes/4], Scales: scale[:], Biases: shift[:]}
		if skip == 0 && len(dst) >= size {
			one.Decode(dst[:size])
			dst, start = dst[size:], start+size
			continue
		}
		one.Decode(group[:size])
		n := copy(dst, group[skip:size])
		dst, start = dst[n:], start+n
	}
}

// SizeBytes returns the bytes that codes, scales and biases occupy in the file.
func (a *AffineTensor) SizeBytes() int {
	return a.Codes.SizeBytes() + a.Scales.SizeBytes() + a.Biases.SizeBytes()
}

// affine makes one tensor of a layer's three, given the codes and the scales.
func (c *Checkpoint) affine(layer string, codes, scales Tensor) (Tensor, error) {
	biases, hasBiases := c.lookup(layer + biasesSuffix)
	switch {
	case !hasBiases:
		return codes, invalidf("tensor %s: no %s beside it", quote(scales.Name), quote(layer+biasesSuffix))
	case c.config.Quantization == nil:
		return codes, invalidf("%s: no quantization, but tensor %s is quantised", configFile, quote(codes.Name))
	case len(codes.Shape) != 2:
		return codes, invalidf("tensor %s: shape %d, want two dimensions of codes", quote(codes.Name), codes.Shape)
	}
	a := &AffineTensor{Affine: c.config.Quantization.For(layer), Codes: codes, Scales: scales, Biases: biases}
	out, in := codes.Shape[0], codes.Shape[1]/a.Bits*32 // exact if the row is whole groups, which check verifies
	if err := a.check(out, in); err != nil {
		return codes, err
	}
	codes.Shape, codes.Quant = []int{out, in}, a
	return codes, nil
}

// check compares types and shapes with those of a matrix [out, in], where in was derived from the codes.
func (a *AffineTensor) check(out, in int) error {
	if words := a.Codes.Shape[1]; words != a.Words(in) || in%a.GroupSize != 0 {
		return invalidf("tensor %s: rows of %d words are no groups of %d at %d bits", quote(a.Codes.Name), words, a.GroupSize, a.Bits)
	}
	for _, t := range []Tensor{a.Scales, a.Biases} {
		if !t.DType.IsFloat() {
			return unsupportedf("tensor %s: dtype %s, want F32, F16 or BF16", quote(t.Name), t.DType)
		}
		if len(t.Shape) != 2 || t.Shape[0] != out || t.Shape[1] != a.Groups(in) {
			return invalidf("tensor %s: shape %d, want [%d %d] for [%d %d] in groups of %d at %d bits",
				quote(t.Name), t.Shape, out, a.Groups(in), out, in, a.GroupSize, a.Bits)
		}
	}
	return nil
}

// Quantization is config.json's "quantization": the scheme of the layers, and those of layers that have their own.
type Quantization struct {
	quant.Affine

	Layers map[string]quant.Affine // by the layer's name, which is its weight's name without ".weight"
}

// For returns the scheme of a layer.
func (q *Quantization) For(layer string) quant.Affine {
	if own, ok := q.Layers[layer]; ok {
		return own
	}
	return q.Affine
}

// String returns the scheme in words.
func (q *Quantization) String() string {
	text := fmt.Sprintf("%d bits in groups of %d", q.Bits, q.GroupSize)
	if len(q.Layers) > 0 {
		text += fmt.Sprintf(", %d layers otherwise", len(q.Layers))
	}
	return text
}
