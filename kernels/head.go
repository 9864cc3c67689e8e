package kernels

import (
	"github.com/metalrank/metalrank/metal"
)

// Classifier describes the layers that make logits from a row of each sequence: z = v norm(act(w x + bias)) + d.
type Classifier struct {
	// Dense is w [N, H], not quantised; N is a multiple of 8, with zeros in all of its tensors from column Width on. Without a
	// buffer there is no layer before the classifier, and its K and N are H.
	Dense      Matrix
	Width      int           // N before it was filled up; 0: N
	Bias       metal.Binding // [N] f32; [2, N] of a Normed one, as Linear.Bias has it. Without Dense: beta and gamma / KeptShrink
	Activation Activation
	Labels     int           // C
	Out        metal.Binding // v [C, N] f32
	OutBias    metal.Binding // d [C] f32
	Gather     bool          // rows are found by an index
	Normed     bool          // x is the operand of a kept sum, of which the norm is taken, with Epsilon
	Epsilon    float64
	RMS        bool // that norm leaves the mean where it is
	// Norm takes the layer norm of act(w x + bias) with NormEpsilon: Out is v times gamma then, and OutBias [2, C]: d plus the
	// sums of v times beta, and the sums of v times gamma.
	Norm        bool
	NormEpsilon float64
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
	n := c.Dense.N
	if c.Width == 0 {
		c.Width = n
	}
	if err := checkHidden("head", c.Dense.K); err != nil {
		return nil, err
	}
	for _, err := range []error{
		checkSize("head", "columns of the dense layer", n, n > 0 && n%side == 0, "a positive multiple of 8"),
		checkSize("head", "width of the dense layer", c.Width, c.Width > n-side && c.Width <= n, "its columns less at most 7"),
		checkSize("head", "bits of a weight", c.Dense.Bits, c.Dense.Bits == 0, "0"),
		checkSize("head", "labels", c.Labels, c.Labels > 0, "at least 1"),
		checkAlignment("head", "weights", c.Dense.Data, l.dtype.Alignment()),
	} {
		if err != nil {
			return nil, err
		}
	}
	h := &Head{classifier: c, simdgroups: min(ceilDiv(n, headColumns), maxHeadSimdgroups)}
	var err error
	h.pipeline, err = l.pipeline("head.metal", "head_"+l.dtype.String(), constants{
		activation: c.Activation, gatherA: c.Gather, simdgroups: h.simdgroups, normed: c.Normed, rms: c.RMS,
		dense: c.Dense.Data.Buffer != nil, headNorm: c.Norm,
	})
	return h, err
}

// Record records z [B, C] f32 for B sequences; x is [B, H], or [T, H] with an index [B] u32 of rows. statistics are those of
// a kept sum.
func (h *Head) Record(r *Recorder, sequences int, x, statistics, z, index metal.Binding) error {
	if err := checkSize("head", "B", sequences, sequences > 0, "at least 1"); err != nil {
		return err
	}
	c := &h.classifier
	if !c.Gather {
		index = metal.Binding{}
	}
	if !c.Normed {
		statistics = metal.Binding{}
	}
	headArgs{
		uint32(sequences), uint32(c.Dense.K), uint32(c.Labels), uint32(c.Dense.N), uint32(c.Width), float32(c.Epsilon),
		float32(c.NormEpsilon),
	}.record(r)
	r.bind(x, c.Dense.Data, c.Bias, c.Out, c.OutBias, z, index, statistics)
	return r.launch(h.pipeline, metal.Size{X: uint32(ceilDiv(sequences, side))}, h.simdgroups)
}
