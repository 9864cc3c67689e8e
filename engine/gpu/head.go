package gpu

import (
	"slices"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/weights"
)

// head makes logits of one row for each sequence.
type head struct {
	steps      []headStep // all but the last two layers
	classifier *kernels.Head
}

// headStep is a layer of the head with its norm.
type headStep struct {
	normed
	width int // of its results
}

// filled is the multiple of columns that the classifier's kernel takes.
const filled = 8

// head makes the classifier's kernel of the last step and the one before, and products of those before.
func (b *builder) head() (h head) {
	steps := b.plan.Head
	out := steps[len(steps)-1]
	if out.Linear == nil || out.Norm != nil || out.Activation != 0 {
		b.unsupported("a head that does not end in a linear layer")
		return h
	}
	var waiting *weights.Norm
	if b.plan.Pool != weights.PoolMean {
		waiting = b.waiting(len(b.plan.Layers))
	}
	for steps = steps[:len(steps)-1]; len(steps) > 1; steps = steps[1:] {
		if steps[0].Linear == nil {
			b.unsupported("a head that begins with a norm before two linear layers")
			return h
		}
		h.steps = append(h.steps, b.headStep(&steps[0], waiting))
		waiting = nil
	}
	var before weights.Step
	if len(steps) > 0 {
		before = steps[0]
	}
	c := b.classifier(&before, waiting, out.Linear.Weight.Shape[1])
	b.out(&c, before.Norm, out.Linear)
	h.classifier = unlessFailed(b, func() (*kernels.Head, error) { return b.library.NewHead(c) })
	return h
}

func (b *builder) headStep(from *weights.Step, waiting *weights.Norm) headStep {
	b.fewRows = true
	defer func() { b.fewRows = false }()
	linear := b.linear(nil, waiting, *from.Linear)
	linear.Activation = b.activation(from.Activation)
	s := headStep{normed{gemm: b.gemm(linear)}, linear.Weights.N}
	if n := from.Norm; n != nil {
		vectors := b.vectors(n.Gamma, n.Beta)
		s.norm = unlessFailed(b, func() (*kernels.Norm, error) { return b.library.NewNorm(s.width, vectors, n.Epsilon, false) })
	}
	return s
}

// classifier is the step before the last, of rows that may wait for a norm, with results of a width.
func (b *builder) classifier(from *weights.Step, waiting *weights.Norm, width int) kernels.Classifier {
	n := (width + filled - 1) / filled * filled
	c := kernels.Classifier{
		Dense: kernels.Matrix{N: n, K: width}, Width: width, Activation: b.activation(from.Activation), Labels: b.plan.Labels,
	}
	var bias []float32 // one row of them, or two
	switch l := from.Linear; {
	case l != nil:
		c.Dense.K = l.Weight.Shape[1]
		fill := weights.Zeros("columns of zeros", n-width, c.Dense.K)
		c.Dense.Data = unlessFailed(b, func() (metal.Binding, error) { return b.memory.put(b.library.DType(), nil, l.Weight, fill) })
		if waiting == nil {
			bias = b.floats(l.Bias)
		} else {
			bias = unlessFailed(b, func() ([]float32, error) { return b.memory.fold(waiting, []weights.Linear{*l}) })
		}
	case waiting != nil: // the norm itself
		bias = slices.Concat(b.floats(waiting.Beta), shrunk(b.floats(waiting.Gamma)))
	}
	if waiting != nil {
		c.Normed, c.Epsilon, c.RMS = true, waiting.Epsilon, waiting.RMS
	}
	if bias != nil && b.err == nil {
		c.Bias = b.values(fill(bias, width, n))
	}
	return c
}

// out is the last layer, with the norm before it, which may be nil.
func (b *builder) out(c *kernels.Classifier, norm *weights.Norm, l *weights.Linear) {
	v, d := slices.Clone(b.floats(l.Weight)), slices.Clone(b.floats(l.Bias))
	if norm != nil {
		c.Norm, c.NormEpsilon = true, norm.Epsilon
		gamma, beta := b.floats(norm.Gamma), b.floats(norm.Beta)
		if b.err != nil {
			return
		}
		for label := range c.Labels {
			var scaled, shift float64
			for i := range c.Width {
				w := &v[label*c.Width+i]
				shift += float64(*w) * float64(beta[i])
				*w = float32(float64(*w) * float64(gamma[i]))
				scaled += float64(*w)
			}
			d[label] = float32(float64(d[label]) + shift)
			d = append(d, float32(scaled))
		}
	}
	if b.err == nil {
		c.Out, c.OutBias = b.values(fill(v, c.Width, c.Dense.N)), b.values(d)
	}
}

// fill returns rows of a width as rows of n, with zeros behind.
func fill(rows []float32, width, n int) []float32 {
	filled := make([]float32, len(rows)/width*n)
	for i, v := range rows {
		filled[i/width*n+i%width] = v
	}
	return filled
}

// record makes logits of x, a row for each sequence.
func (h *head) record(s *slot, x metal.Binding) error {
	r, sequences := s.recorder, s.batch.Sequences()
	for i := range h.steps {
		y := s.columns(s.wide, i%2*sequences*s.shape.head)
		rows := kernels.Rows{M: sequences, A: x, Y: y, Statistics: s.statistics}
		if err := h.steps[i].record(r, rows); err != nil {
			return err
		}
		r.Barrier()
		x = y
	}
	return h.classifier.Record(r, sequences, x, s.statistics, s.logitsOut, metal.Binding{})
}

// width is the widest result of the steps.
func (h *head) width() (widest int) {
	for _, s := range h.steps {
		widest = max(widest, s.width)
	}
	return widest
}
