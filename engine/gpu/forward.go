package gpu

import (
	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
)

// record records the forward pass of the batch that s was filled with. T are its tokens, B its sequences.
//
// x [T, H] is the input of a layer's first product: its rows, or where the plan keeps sums, the operand of its norm. The
// residual is x, or s.sum.
func (m *model) record(s *slot) error {
	if err := m.recordEmbedding(s); err != nil {
		return err
	}
	for i := range m.layers {
		if err := m.layers[i].record(s, i); err != nil {
			return err
		}
	}
	if m.last != nil {
		if err := m.last.record(s, len(m.layers)); err != nil {
			return err
		}
	}
	s.recorder.Barrier()
	return s.recorded(cost.NoLayer, cost.Head, m.recordHead(s))
}

func (m *model) recordHead(s *slot) error {
	if m.pool != nil {
		rows := s.x
		if s.shape.kept {
			rows = s.sum
		}
		if err := m.pool.Record(s.recorder, s.batch.Sequences(), rows, s.statistics, s.rows, s.context); err != nil {
			return err
		}
		s.recorder.Barrier()
	}
	return m.head.record(s, s.context)
}

// recordEmbedding leaves the tokens' embeddings in x [T, H], and where sums are kept, in sum.
func (m *model) recordEmbedding(s *slot) error {
	tokens := s.batch.Tokens()
	if m.projection == nil {
		return s.recorded(cost.NoLayer, cost.Embed, m.embed.Record(s.recorder, tokens, s.tokens, s.x, s.sum, s.statistics))
	}
	err := m.embed.Record(s.recorder, tokens, s.tokens, s.wide, metal.Binding{}, metal.Binding{})
	if err := s.recorded(cost.NoLayer, cost.Embed, err); err != nil {
		return err
	}
	s.recorder.Barrier()
	err = m.projection.Record(s.recorder, kernels.Rows{M: tokens, A: s.wide, Y: s.x, Sum: s.sum, Statistics: s.statistics})
	return s.recorded(cost.NoLayer, cost.Projection, err)
}

// residual is what the sum of a layer's attention is added to; where sums are kept, sum, else rows.
func (s *slot) residual(rows metal.Binding) metal.Binding {
	if s.shape.kept {
		return s.sum
	}
	return rows
}

// record replaces x [T, H] by the output of block number index. Every dispatch reads the output of the one before.
func (l *layer) record(s *slot, index int) error {
	r, tokens := s.recorder, s.batch.Tokens()
	q, k := l.attention.queries, l.attention.keys
	r.Barrier()
	err := l.projection.Record(r, kernels.Rows{
		M: tokens, A: s.x, Y: s.wide, Positions: s.positions(), Statistics: s.statistics,
	})
	if err == nil && l.heads != nil {
		r.Barrier()
		err = l.heads.Record(r, tokens, s.wide, q+2*k, s.positions(), metal.Binding{})
	}
	if err := s.recorded(index, cost.QKV, err); err != nil {
		return err
	}
	r.Barrier()
	err = l.attention.Record(r, s.withItems(l.attention.list, kernels.AttentionRows{
		Q: s.wide, K: s.columns(s.wide, q), V: s.columns(s.wide, q+k), QueryStride: q + 2*k, KeyStride: q + 2*k, Out: s.context, OutStride: q,
	}))
	if err := s.recorded(index, cost.Attention, err); err != nil {
		return err
	}
	r.Barrier()
	err = l.output.record(r, kernels.Rows{
		M: tokens, A: s.context, Residual: s.residual(s.x), Y: s.normed, Sum: s.sum, Statistics: s.statistics,
	})
	if err := s.recorded(index, cost.AttentionOutput, err); err != nil {
		return err
	}
	return recordFeedForward(s, index, tokens, l.inner, &l.outer, s.sum, s.x)
}

// recordFeedForward leaves in out the output of the rest of a block for rows of normed; sum is their sum, if it is kept, and is
// replaced.
func recordFeedForward(s *slot, index, rows int, inner *kernels.Gemm, outer *normed, sum, out metal.Binding) error {
	s.recorder.Barrier()
	err := inner.Record(s.recorder, kernels.Rows{M: rows, A: s.normed, Y: s.wide, Statistics: s.statistics})
	if err := s.recorded(index, cost.Intermediate, err); err != nil {
		return err
	}
	s.recorder.Barrier()
	residual := s.normed
	if s.shape.kept {
		residual = sum
	}
	err = outer.record(s.recorder, kernels.Rows{M: rows, A: s.wide, Residual: residual, Y: out, Sum: sum, Statistics: s.statistics})
	return s.recorded(index, cost.Output, err)
}

// record leaves the block's output of one token of each sequence, [B, H], in context. Queries wait in normed until attention has
// read them; keys and values are [T, 2 GD].
func (l *lastLayer) record(s *slot, index int) error {
	r, tokens, sequences := s.recorder, s.batch.Tokens(), s.batch.Sequences()
	q, k := l.attention.queries, l.attention.keys
	r.Barrier()
	err := l.keyValue.Record(r, kernels.Rows{
		M: tokens, A: s.x, Y: s.wide, Positions: s.positions(), Statistics: s.statistics,
	})
	if err := s.recorded(index, cost.KeysValues, err); err != nil {
		return err
	}
	// No barrier: neither needs the other.
	err = l.query.Record(r, kernels.Rows{
		M: sequences, A: s.x, Index: s.rows, Y: s.normed, Positions: s.positions(), Statistics: s.statistics,
	})
	if err == nil && l.queries != nil {
		err = l.recordHeads(s)
	}
	if err := s.recorded(index, cost.Query, err); err != nil {
		return err
	}
	r.Barrier()
	err = l.attention.Record(r, s.withItems(l.attention.list, kernels.AttentionRows{
		Q: s.normed, K: s.wide, V: s.columns(s.wide, k), QueryStride: q, KeyStride: 2 * k, Out: s.context, OutStride: q,
	}))
	if err := s.recorded(index, cost.Attention, err); err != nil {
		return err
	}
	r.Barrier()
	err = l.output.record(r, kernels.Rows{
		M: sequences, A: s.context, Residual: s.residual(s.x), Index: s.rows, Y: s.normed, Sum: s.aloneSum,
		Statistics: s.statistics,
	})
	if err := s.recorded(index, cost.AttentionOutput, err); err != nil {
		return err
	}
	return recordFeedForward(s, index, sequences, l.inner, &l.outer, s.aloneSum, s.context)
}

// recordHeads records the norms of heads of keys [T, 2 GD] and of queries [B, AD].
func (l *lastLayer) recordHeads(s *slot) error {
	s.recorder.Barrier()
	if err := l.keys.Record(s.recorder, s.batch.Tokens(), s.wide, 2*l.attention.keys, s.positions(), metal.Binding{}); err != nil {
		return err
	}
	return l.queries.Record(s.recorder, s.batch.Sequences(), s.normed, l.attention.queries, s.positions(), s.rows)
}
