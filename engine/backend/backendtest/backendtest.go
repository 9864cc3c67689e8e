// Package backendtest tests the contract of backend.Backend: each backend's own tests run it, on a model of their choice.
// It must not know how a backend computes.
package backendtest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/metalrank/metalrank/engine/backend"
)

// Model has the limits of the batches that a backend's model takes, and how many logits a sequence has.
type Model struct {
	backend.Limits
	Labels int
}

// Batch makes sequences of random tokens; sequences of one length are the same in every batch.
func (m Model) Batch(lengths ...int) *backend.Batch {
	batch := &backend.Batch{}
	for _, length := range lengths {
		r := rand.New(rand.NewPCG(uint64(length), 1))
		ids, types := make([]int32, length), make([]int32, length)
		for i := range ids {
			ids[i], types[i] = r.Int32N(int32(m.Vocab)), r.Int32N(int32(m.Types))
		}
		batch.Append(ids, types)
	}
	return batch
}

// Forward returns the logits of a batch [B*Labels].
func (m Model) Forward(t testing.TB, b backend.Backend, batch *backend.Batch) []float32 {
	t.Helper()
	out := make([]float32, batch.Sequences()*m.Labels)
	if err := b.Forward(t.Context(), batch, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// Contract runs all tests over an open backend, which is left open and must still work: a wrong call may not harm the next.
func Contract(t *testing.T, b backend.Backend, m Model) {
	t.Helper()
	t.Run("info", func(t *testing.T) {
		info := b.Info()
		if info.Name == "" || info.Device == "" || info.DType == "" || info.WeightBytes <= 0 || info.Overlap < 1 {
			t.Errorf("something is missing: %+v", info)
		}
	})
	t.Run("refuses", func(t *testing.T) { refuses(t, b, m) })
	t.Run("empty batch", func(t *testing.T) {
		if err := b.Forward(t.Context(), &backend.Batch{}, nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.Forward(ctx, m.Batch(2), make([]float32, m.Labels)); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
	})
	t.Run("neighbours", func(t *testing.T) { neighbours(t, b, m) })
	t.Run("overlap", func(t *testing.T) { overlap(t, b, m) })
}

// refuses runs batches that no model of these limits can compute; each error names the fault.
func refuses(t *testing.T, b backend.Backend, m Model) {
	t.Helper()
	for _, c := range []struct {
		name   string
		change func(batch *backend.Batch)
		out    int
		want   string
	}{
		{"out", func(*backend.Batch) {}, m.Labels + 4, "out has"},
		{"no out", func(*backend.Batch) {}, 0, "out has 0 values"},
		{"id", func(x *backend.Batch) { x.IDs[1] = int32(m.Vocab) }, m.Labels, "token 1: token id"},
		{"negative id", func(x *backend.Batch) { x.IDs[0] = -1 }, m.Labels, "token 0: token id -1"},
		{"type", func(x *backend.Batch) { x.Types[1] = int32(m.Types) }, m.Labels, "token 1: token type"},
		{"position", func(x *backend.Batch) { x.Positions[1] = int32(m.Positions) }, m.Labels, "token 1: position"},
		{"lengths", func(x *backend.Batch) { x.Types = x.Types[:1] }, m.Labels, "want equal numbers"},
		{"starts", func(x *backend.Batch) { x.Starts[1] = 1 }, m.Labels, "starts must run from 0 to 2"},
	} {
		batch := m.Batch(2)
		c.change(batch)
		if err := b.Forward(t.Context(), batch, make([]float32, c.out)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}

// lengthsFor returns lengths round the sizes of tiles, as far as the model has positions.
func (m Model) lengthsFor() []int {
	all := []int{1, 2, 37, 5, 64, 3, 33, 16, 17}
	return slices.DeleteFunc(all, func(n int) bool { return n > m.Positions })
}

// neighbours checks that a sequence sees only itself: its logits are the same bit for bit alone, among others, and in any
// order.
func neighbours(t *testing.T, b backend.Backend, m Model) {
	t.Helper()
	lengths := m.lengthsFor()
	backwards := slices.Clone(lengths)
	slices.Reverse(backwards)
	together, reversed := m.Forward(t, b, m.Batch(lengths...)), m.Forward(t, b, m.Batch(backwards...))
	for i, length := range lengths {
		alone := m.Forward(t, b, m.Batch(length))
		if got := together[i*m.Labels : (i+1)*m.Labels]; !slices.Equal(got, alone) {
			t.Errorf("%d tokens: %v among others, %v alone", length, got, alone)
		}
		at := (len(lengths) - 1 - i) * m.Labels
		if got := reversed[at : at+m.Labels]; !slices.Equal(got, alone) {
			t.Errorf("%d tokens: %v among others in reverse, %v alone", length, got, alone)
		}
	}
}

// overlap has more calls under way than are useful, and some callers give up: no call sees another's rows.
func overlap(t *testing.T, b backend.Backend, m Model) {
	t.Helper()
	longest := slices.Max(m.lengthsFor())
	batches := []*backend.Batch{m.Batch(longest), m.Batch(1, 2, 3, 4), m.Batch(m.lengthsFor()...)}
	var want [][]float32
	for _, batch := range batches {
		want = append(want, m.Forward(t, b, batch))
	}
	var group sync.WaitGroup
	for i := range 3 * (b.Info().Overlap + 2) {
		group.Go(func() {
			for range 4 {
				ctx, cancel := context.WithCancel(t.Context())
				leaves := i%4 == 3
				if leaves {
					go cancel()
				}
				out := make([]float32, len(want[i%3]))
				err := b.Forward(ctx, batches[i%3], out)
				cancel()
				if leaves && errors.Is(err, context.Canceled) {
					continue
				}
				if err != nil || !slices.Equal(out, want[i%3]) {
					t.Errorf("call %d: error %v, logits %v, alone %v", i, err, out, want[i%3])
					return
				}
			}
		})
	}
	group.Wait()
}
