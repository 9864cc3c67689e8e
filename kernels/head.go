package kernels

import (
	"github.com/metalrank/metalrank/metal"
)

// Classifier describes the layers that make logits from [CLS] rows: z = v act(w x + bias) + d.
type Classifier struct {
	Dense      Matrix        // w [H, H], not quantised
	Bias       metal.Binding // [H] f32
	Activation Activation
	Labels     int           // C
	Out        metal.Binding // v [C, H] f32
	OutBias    metal.Binding // d [C] f32
	Gather     bool          // [CLS] rows are found by an index
}

// Head makes logits (head.metal).
type Head struct {
	classifier Classifier
	pipeline   metal.Pipeline
	simdgroups int
}

// Columns of a SIMD-group of head.metal, and the most SIMD-groups of a threadgroup.
const (
	headColumns       = 48
	maxHeadSimdgroups = 8
)

// NewHead prepares a classifier. Errors: sizes that it cannot take, *metal.CompileError, *metal.LimitError.
func (l *Library) NewHead(c Classifier) (*Head, error) {
	hidden := c.Dense.K
	if err := checkHidden("head", hidden); err != nil {
		return nil, err
	}
	for _, err := range []error{
		checkSize("head", "H", hidden, hidden%side == 0, "a multiple of 8"),
		checkSize("head", "columns of the dense layer", c.Dense.N, c.Dense.N == hidden, "as many as it has rows"),
		checkSize("head", "bits of a weight", c.Dense.Bits, c.Dense.Bits == 0, "0"),
		checkSize("head", "labels", c.Labels, c.Labels > 0, "at least 1"),
		checkAlignment("head", "weights", c.Dense.Data, l.dtype.Alignment()),
	} {
		if err != nil {
			return nil, err
		}
	}
	h := &Head{classifier: c, simdgroups: min(ceilDiv(hidden, headColumns), maxHeadSimdgroups)}
	var err error
	h.pipeline, err = l.pipeline("head.metal", "head_"+l.dtype.String(),
		constants{activation: c.Activation, gatherA: c.Gather, simdgroups: h.simdgroups})
	return h, err
}

// Record records z [B, C] f32 for B sequences; x is [B, H], or [T, H] with an index [B] u32 of [CLS] rows.
func (h *Head) Record(r *Recorder, sequences int, x, z, index metal.Binding) error {
	if err := checkSize("head", "B", sequences, sequences > 0, "at least 1"); err != nil {
		return err
	}
	c := &h.classifier
	if !c.Gather {
		index = metal.Binding{}
	}
	headArgs{uint32(sequences), uint32(c.Dense.K), uint32(c.Labels)}.record(r)
	r.bind(x, c.Dense.Data, c.Bias, c.Out, c.OutBias, z, index)
	return r.launch(h.pipeline, metal.Size{X: uint32(ceilDiv(sequences, side))}, h.simdgroups)
}
