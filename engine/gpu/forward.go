package gpu

import (
	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
)

// record records the forward pass of the batch that s was filled with. T are its tokens, B its sequences.
func (m *model) record(s *slot) error {
	if err := m.recordEmbedding(s); err != nil {
		return err
	}
	for i := range m.layers {
		if err := m.layers[i].record(m.attention, s, i); err != nil {
			return err
		}
	}
	if err := m.last.record(m.attention, s, len(m.layers)); err != nil {
		return err
	}
	s.recorder.Barrier()
	err := m.head.Record(s.recorder, s.batch.Sequences(), s.context, s.logitsOut, s.first)
	return s.recorded(cost.NoLayer, cost.Head, err)
}

// recordEmbedding leaves the tokens' embeddings in x [T, H].
func (m *model) recordEmbedding(s *slot) error {
	tokens := s.batch.Tokens()
	if m.projection == nil {
		return s.recorded(cost.NoLayer, cost.Embed, m.embed.Record(s.recorder, tokens, s.tokens, s.x))
	}
	err := m.embed.Record(s.recorder, tokens, s.tokens, s.wide)
	if err := s.recorded(cost.NoLayer, cost.Embed, err); err != nil {
		return err
	}
	s.recorder.Barrier()
	err = m.projection.Record(s.recorder, kernels.Rows{M: tokens, A: s.wide, Y: s.x})
	return s.recorded(cost.NoLayer, cost.Projection, err)
}

// record replaces x [T, H] by the output of block number index. Every dispatch reads the output of the one before.
func (l *layer) record(attention *kernels.Attention, s *slot, index int) error {
	r, tokens, h := s.recorder, s.batch.Tokens(), s.shape.hidden
	r.Barrier()
	err := l.projection.Record(r, kernels.Rows{M: tokens, A: s.x, Y: s.wide})
	if err := s.recorded(index, cost.QKV, err); err != nil {
		return err
	}
	r.Barrier()
	err = attention.Record(r, kernels.AttentionRows{
		Q: s.wide, K: s.columns(s.wide, h), V: s.columns(s.wide, 2*h), QueryStride: 3 * h, KeyStride: 3 * h,
		Items: s.work, Count: s.itemCount, Out: s.context, OutStride: h,
	})
	if err := s.recorded(index, cost.Attention, err); err != nil {
		return err
	}
	r.Barrier()
	err = l.output.record(r, kernels.Rows{M: tokens, A: s.context, Residual: s.x, Y: s.normed})
	if err := s.recorded(index, cost.AttentionOutput, err); err != nil {
		return err
	}
	return recordFeedForward(s, index, tokens, l.inner, &l.outer, s.x)
}

// recordFeedForward leaves in out the output of the rest of a block for rows of normed.
func recordFeedForward(s *slot, index, rows int, inner *kernels.Gemm, outer *normed, out metal.Binding) error {
	s.recorder.Barrier()
	err := inner.Record(s.recorder, kernels.Rows{M: rows, A: s.normed, Y: s.wide})
	if err := s.recorded(index, cost.Intermediate, err); err != nil {
		return err
	}
	s.recorder.Barrier()
	err = outer.record(s.recorder, kernels.Rows{M: rows, A: s.wide, Residual: s.normed, Y: out})
	return s.recorded(index, cost.Output, err)
}

// record leaves the block's output of first tokens, [B, H], in context. Queries wait in normed until attention has read
// them; keys and values are [T, 2H].
func (l *lastLayer) record(attention *kernels.Attention, s *slot, index int) error {
	r, tokens, sequences, h := s.recorder, s.batch.Tokens(), s.batch.Sequences(), s.shape.hidden
	r.Barrier()
	err := l.keyValue.Record(r, kernels.Rows{M: tokens, A: s.x, Y: s.wide})
	if err := s.recorded(index, cost.KeysValues, err); err != nil {
		return err
	}
	// No barrier: neither needs the other.
	err = l.query.Record(r, kernels.Rows{M: sequences, A: s.x, Index: s.first, Y: s.normed})
	if err := s.recorded(index, cost.Query, err); err != nil {
		return err
	}
	r.Barrier()
	err = attention.Record(r, kernels.AttentionRows{
		Q: s.normed, K: s.wide, V: s.columns(s.wide, h), QueryStride: h, KeyStride: 2 * h,
		Items: s.firstItems(), Count: sequences, Out: s.context, OutStride: h, Alone: true,
	})
	if err := s.recorded(index, cost.Attention, err); err != nil {
		return err
	}
	r.Barrier()
	err = l.output.record(r, kernels.Rows{M: sequences, A: s.context, Residual: s.x, Index: s.first, Y: s.normed})
	if err := s.recorded(index, cost.AttentionOutput, err); err != nil {
		return err
	}
	return recordFeedForward(s, index, sequences, l.inner, &l.outer, s.context)
}
