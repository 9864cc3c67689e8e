package gpu

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/weights"
)

// relative has the keys and queries of distances, which don't depend on the input: the device makes them of the table here.
// Nil: attention has none.
func (b *builder) relative(r *weights.Relative) *kernels.Relative {
	if r == nil || b.err != nil {
		return nil
	}
	made := &kernels.Relative{Keys: r.Key != nil, Queries: r.Query != nil, Reach: max(b.plan.Positions-1, 1)}
	made.Table = unlessFailed(b, func() (metal.Binding, error) { return b.positionTable(r) })
	made.Rows = unlessFailed(b, func() (metal.Binding, error) {
		at, to, err := b.memory.buffer(4 * (2*made.Reach + 1))
		for i := 0; err == nil && i <= 2*made.Reach; i++ {
			binary.LittleEndian.PutUint32(to[4*i:], uint32(r.Row(i-made.Reach)))
		}
		return at, err
	})
	return made
}

// positionTable returns rows of the table, normed, times the weights of keys and of queries, side by side.
func (b *builder) positionTable(r *weights.Relative) (table metal.Binding, err error) {
	// What the product reads is not needed afterwards.
	needed := &builder{library: b.library, memory: newMemory(b.memory.device, b.memory.checkpoint, b.memory.dtype), plan: b.plan}
	defer func() { err = errors.Join(err, needed.memory.close()) }()
	var parts []weights.Linear
	for _, l := range []*weights.Linear{r.Key, r.Query} {
		if l != nil {
			parts = append(parts, *l)
		}
	}
	rows, recorder := 2*r.Span, kernels.NewRecorder(b.memory.device)
	from, product := needed.table(&r.Table), needed.gemm(needed.linear(nil, nil, parts...))
	if n := r.Norm; n != nil {
		vectors := needed.vectors(n.Gamma, n.Beta)
		norm := unlessFailed(needed, func() (*kernels.Norm, error) { return b.library.NewNorm(b.hidden, vectors, n.Epsilon, false) })
		if needed.err == nil {
			needed.err = norm.Record(recorder, rows, from, from, metal.Binding{})
			recorder.Barrier()
		}
	}
	if needed.err != nil {
		return table, needed.err
	}
	table, _, err = b.memory.buffer(rows * len(parts) * b.hidden * b.library.DType().Size())
	if err != nil {
		return table, err
	}
	if err := product.Record(recorder, kernels.Rows{M: rows, A: from, Y: table}); err != nil {
		return table, err
	}
	pending, err := recorder.Commit()
	if err != nil {
		return table, err
	}
	_, err = pending.Wait(context.Background())
	return table, err
}
