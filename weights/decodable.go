package weights

import "strings"

// Suffixes of the names of a quantised layer's tensors.
const (
	weightSuffix = ".weight"
	scalesSuffix = ".scales"       // MLX
	biasesSuffix = ".biases"       // MLX
	scaleSuffix  = ".weight_scale" // compressed-tensors
)

// decodable returns a tensor of the file in the form that [Tensor.Float32s] reads: itself if it holds floats, and one
// put together from its parts if it holds codes. The caller holds the lock.
func (c *Checkpoint) decodable(t Tensor) (Tensor, error) {
	if t.IsNumeric() {
		return t, nil
	}
	if layer, isWeight := strings.CutSuffix(t.Name, weightSuffix); isWeight {
		if scales, ok := c.lookup(layer + scalesSuffix); ok && t.DType == U32 {
			return c.affine(layer, t, scales)
		}
		if scales, ok := c.lookup(layer + scaleSuffix); ok && t.DType == I8 {
			return c.channel(t, scales)
		}
	}
	return t, unsupportedf("tensor %s: dtype %s, want F32, F16 or BF16", quote(t.Name), t.DType)
}

// isPart says whether a tensor of the file is the scales or biases of another.
func (c *Checkpoint) isPart(name string) bool {
	for suffix, codes := range map[string]DType{scalesSuffix: U32, biasesSuffix: U32, scaleSuffix: I8} {
		if layer, ok := strings.CutSuffix(name, suffix); ok {
			if weight, ok := c.lookup(layer + weightSuffix); ok && weight.DType == codes {
				return true
			}
		}
	}
	return false
}

// Weights returns the tensors of the file, sorted by name, with codes, scales and biases of a quantised layer as one.
// Tensors of other types than Float32s reads are among them as they are.
func (c *Checkpoint) Weights() ([]Tensor, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return nil, ErrClosed
	}
	var all []Tensor
	for _, t := range c.tensors {
		if c.isPart(t.Name) {
			continue
		}
		if _, isWeight := strings.CutSuffix(t.Name, weightSuffix); isWeight {
			var err error
			if t, err = c.decodable(t); err != nil {
				return nil, err
			}
		}
		all = append(all, t)
	}
	return all, nil
}
