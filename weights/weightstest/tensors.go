package weightstest

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"

	"github.com/x448/float16"
)

// tensor is one tensor before its values are made: they are uniform in centre ± scale.
type tensor struct {
	name          string
	dtype         string // as safetensors writes it
	shape         []int
	centre, scale float32
	change        func(tensor string, i int, v float32) float32 // nil: none
}

// Tensors returns the names of the checkpoint's tensors of floats.
func (s *Spec) Tensors() []string {
	var names []string
	for _, t := range s.tensors() {
		if t.dtype == s.DType {
			names = append(names, t.name)
		}
	}
	return names
}

// tensors lists the checkpoint's tensors. The scales keep a unit variance from layer to layer, a little more where
// attention and activations shrink it: the logits of two pairs then differ in the first decimal, and a layer computed
// wrongly cannot hide below a tolerance of 1e-4.
func (s *Spec) tensors() []tensor {
	switch {
	case s.Modern:
		return s.modernTensors()
	case s.KeyHeads > 0:
		return s.decoderTensors()
	}
	H, F := s.Hidden, s.FeedForward
	var list []tensor
	add := func(name string, centre, scale float64, shape ...int) {
		list = append(list, tensor{name, s.DType, shape, float32(centre), float32(scale), s.Change})
	}
	norm := func(name string) {
		add(name+".weight", 1, 0.25, H)
		add(name+".bias", 0, 0.1, H)
	}
	linear := func(name string, out, in int, gain float64) {
		add(name+".weight", 0, gain*math.Sqrt(3/float64(in)), out, in) // variance gain²/in
		add(name+".bias", 0, 0.1, out)
	}

	embeddings := s.Prefix + "embeddings."
	add(embeddings+"word_embeddings.weight", 0, 1.75, len(s.Vocab), H)
	add(embeddings+"position_embeddings.weight", 0, 0.75, s.MaxPositions, H)
	add(embeddings+"token_type_embeddings.weight", 0, 0.75, s.TypeVocab, H)
	norm(embeddings + "LayerNorm")
	if s.PositionIDs {
		list = append(list, tensor{name: embeddings + "position_ids", dtype: "I64", shape: []int{1, s.MaxPositions}})
	}
	for i := range s.Layers {
		layer := fmt.Sprintf("%sencoder.layer.%d.", s.Prefix, i)
		linear(layer+"attention.self.query", H, H, 1.5)
		linear(layer+"attention.self.key", H, H, 1.5)
		linear(layer+"attention.self.value", H, H, 1.5)
		linear(layer+"attention.output.dense", H, H, 1.5)
		norm(layer + "attention.output.LayerNorm")
		linear(layer+"intermediate.dense", F, H, 1)
		linear(layer+"output.dense", H, F, 2)
		norm(layer + "output.LayerNorm")
	}
	linear(s.Prefix+"pooler.dense", H, H, 1)
	linear("classifier", s.Labels, H, 3)
	return list
}

// decoderTensors are those of Qwen3, in the same manner.
func (s *Spec) decoderTensors() []tensor {
	H, F, AD, GD := s.Hidden, s.FeedForward, s.Heads*s.HeadSize, s.KeyHeads*s.HeadSize
	var list []tensor
	add := func(name string, centre, scale float64, shape ...int) {
		list = append(list, tensor{name, s.DType, shape, float32(centre), float32(scale), s.Change})
	}
	linear := func(name string, out, in int, gain float64) {
		add(name+".weight", 0, gain*math.Sqrt(3/float64(in)), out, in)
	}
	norm := func(name string, width int) { add(name+".weight", 1, 0.25, width) }
	add(s.Prefix+"embed_tokens.weight", 0, 1.75, len(s.Vocab), H)
	for i := range s.Layers {
		layer := fmt.Sprintf("%slayers.%d.", s.Prefix, i)
		norm(layer+"input_layernorm", H)
		linear(layer+"self_attn.q_proj", AD, H, 1)
		linear(layer+"self_attn.k_proj", GD, H, 1)
		linear(layer+"self_attn.v_proj", GD, H, 1.5)
		norm(layer+"self_attn.q_norm", s.HeadSize)
		norm(layer+"self_attn.k_norm", s.HeadSize)
		linear(layer+"self_attn.o_proj", H, AD, 1.5)
		norm(layer+"post_attention_layernorm", H)
		linear(layer+"mlp.gate_proj", F, H, 1)
		linear(layer+"mlp.up_proj", F, H, 1)
		linear(layer+"mlp.down_proj", H, F, 2)
	}
	norm(s.Prefix+"norm", H)
	linear("score", s.Labels, H, 3)
	return list
}

// modernTensors are those of ModernBERT, in the same manner.
func (s *Spec) modernTensors() []tensor {
	H, F := s.Hidden, s.FeedForward
	var list []tensor
	add := func(name string, centre, scale float64, shape ...int) {
		list = append(list, tensor{s.Prefix + name, s.DType, shape, float32(centre), float32(scale), s.Change})
	}
	linear := func(name string, out, in int, gain float64) {
		add(name+".weight", 0, gain*math.Sqrt(3/float64(in)), out, in)
	}
	add("embeddings.tok_embeddings.weight", 0, 1.75, len(s.Vocab), H)
	add("embeddings.norm.weight", 1, 0.25, H)
	for i := range s.Layers {
		layer := fmt.Sprintf("layers.%d.", i)
		if i > 0 {
			add(layer+"attn_norm.weight", 1, 0.25, H)
		}
		linear(layer+"attn.Wqkv", 3*H, H, 1.5)
		linear(layer+"attn.Wo", H, H, 1.5)
		add(layer+"mlp_norm.weight", 1, 0.25, H)
		linear(layer+"mlp.Wi", 2*F, H, 1)
		linear(layer+"mlp.Wo", H, F, 2)
	}
	add("final_norm.weight", 1, 0.25, H)
	for _, t := range []tensor{
		{name: "head.dense.weight", shape: []int{H, H}, scale: float32(math.Sqrt(3 / float64(H)))},
		{name: "head.norm.weight", shape: []int{H}, centre: 1, scale: 0.25},
		{name: "classifier.weight", shape: []int{s.Labels, H}, scale: float32(3 * math.Sqrt(3/float64(H)))},
		{name: "classifier.bias", shape: []int{s.Labels}, scale: 0.1},
	} {
		t.dtype, t.change = s.DType, s.Change
		list = append(list, t)
	}
	return list
}

// size returns how many values t has.
func (t *tensor) size() int {
	n := 1
	for _, d := range t.shape {
		n *= d
	}
	return n
}

// bytes returns t's values, little-endian, row-major.
func (t *tensor) bytes(seed uint64) []byte {
	n := t.size()
	stream := t.stream(seed)
	switch t.dtype {
	case "I64": // only position_ids: 0, 1, 2, …
		out := make([]byte, 0, 8*n)
		for i := range n {
			out = binary.LittleEndian.AppendUint64(out, uint64(i))
		}
		return out
	case "F32":
		out := make([]byte, 0, 4*n)
		for i := range n {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(t.value(stream, i)))
		}
		return out
	case "F16":
		out := make([]byte, 0, 2*n)
		for i := range n {
			out = binary.LittleEndian.AppendUint16(out, float16.Fromfloat32(t.value(stream, i)).Bits())
		}
		return out
	case "BF16":
		out := make([]byte, 0, 2*n)
		for i := range n {
			out = binary.LittleEndian.AppendUint16(out, bfloat16(t.value(stream, i)))
		}
		return out
	}
	panic("BUG: weightstest: dtype " + t.dtype)
}

// stream returns where the tensor's random numbers begin, which seed and name choose.
func (t *tensor) stream(seed uint64) uint64 {
	h := fnv.New64a()
	h.Write([]byte(t.name))
	return splitmix64(seed ^ h.Sum64())
}

// value returns the i-th value of t before it is rounded to the tensor's dtype. The generator counts (splitmix64 at
// position i of the stream), so a tensor's values do not depend on the others. Every step is exact or rounds once, on
// every platform: the conversions forbid a fused multiply-add.
func (t *tensor) value(stream uint64, i int) float32 {
	bits := splitmix64(stream + uint64(i)*0x9e3779b97f4a7c15)
	unit := float32(int32(bits>>40)-1<<23) / (1 << 23) // [-1, 1) in steps of 2^-23
	v := t.centre + float32(t.scale*unit)
	if t.change != nil {
		v = t.change(t.name, i, v)
	}
	return v
}

// splitmix64 is one output of the generator of that name for the state x.
func splitmix64(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// bfloat16 rounds a finite x to the upper half of a float32, to nearest, ties to even.
func bfloat16(x float32) uint16 {
	b := math.Float32bits(x)
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}
