package gpu

import (
	"github.com/metalrank/metalrank/kernels"
)

// record records the forward pass of the batch that s was filled with. T are its tokens, B its sequences.
func (m *model) record(s *slot) error {
	if err := m.recordEmbedding(s); err != nil {
		return err
	}
	for i := range m.layers {
		if err := m.layers[i].record(m.attention, s); err != nil {
			return err
		}
	}
	if err := m.last.record(m.attention, s); err != nil {
		return err
	}
	s.recorder.Barrier()
	return m.head.Record(s.recorder, s.batch.Sequences(), s.context, s.logitsOut, s.first)
}

// recordEmbedding leaves the tokens' embeddings in x [T, H].
func (m *model) recordEmbedding(s *slot) error {
	tokens := s.batch.Tokens()
	if m.projection == nil {
		return m.embed.Record(s.recorder, tokens, s.tokens, s.x)
	}
	if err := m.embed.Record(s.recorder, tokens, s.tokens, s.wide); err != nil {
		return err
	}
	s.recorder.Barrier()
	return m.projection.Record(s.recorder, kernels.Rows{M: tokens, A: s.wide, Y: s.x})
}

// record replaces x [T, H] by the block's output. Every dispatch reads what the one before has written.
func (l *layer) record(attention *kernels.Attention, s *slot) error {
	r, tokens, h := s.recorder, s.batch.Tokens(), s.shape.hidden
	r.Barrier()
	if err := l.projection.Record(r, kernels.Rows{M: tokens, A: s.x, Y: s.wide}); err != nil {
		return err
	}
	r.Barrier()
	if err := attention.Record(r, kernels.AttentionRows{
		Q: s.wide, K: s.columns(s.wide, h), V: s.columns(s.wide, 2*h), QueryStride: 3 * h, KeyStride: 3 * h,
		Items: s.work, Count: s.itemCount, Out: s.context, OutStride: h,
	}); err != nil {
		return err
	}
	r.Barrier()
	if err := l.output.record(r, kernels.Rows{M: tokens, A: s.context, Residual: s.x, Y: s.normed}); err != nil {
		return err
	}
	r.Barrier()
	if err := l.inner.Record(r, kernels.Rows{M: tokens, A: s.normed, Y: s.wide}); err != nil {
		return err
	}
	r.Barrier()
	return l.outer.record(r, kernels.Rows{M: tokens, A: s.wide, Residual: s.normed, Y: s.x})
}

// record leaves the block's output of first tokens, [B, H], in context. Queries wait in normed until attention has read
// them; keys and values are [T, 2H].
func (l *lastLayer) record(attention *kernels.Attention, s *slot) error {
	r, tokens, sequences, h := s.recorder, s.batch.Tokens(), s.batch.Sequences(), s.shape.hidden
	r.Barrier()
	if err := l.keyValue.Record(r, kernels.Rows{M: tokens, A: s.x, Y: s.wide}); err != nil {
		return err
	}
	// No barrier: neither needs the other.
	if err := l.query.Record(r, kernels.Rows{M: sequences, A: s.x, Index: s.first, Y: s.normed}); err != nil {
		return err
	}
	r.Barrier()
	if err := attention.Record(r, kernels.AttentionRows{
		Q: s.normed, K: s.wide, V: s.columns(s.wide, h), QueryStride: h, KeyStride: 2 * h,
		Items: s.firstItems(), Count: sequences, Out: s.context, OutStride: h,
	}); err != nil {
		return err
	}
	r.Barrier()
	if err := l.output.record(r, kernels.Rows{
		M: sequences, A: s.context, Residual: s.x, Index: s.first, Y: s.normed,
	}); err != nil {
		return err
	}
	r.Barrier()
	if err := l.inner.Record(r, kernels.Rows{M: sequences, A: s.normed, Y: s.wide}); err != nil {
		return err
	}
	r.Barrier()
	return l.outer.record(r, kernels.Rows{M: sequences, A: s.wide, Residual: s.normed, Y: s.context})
}
