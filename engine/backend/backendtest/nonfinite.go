package backendtest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/engine/backend"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// nans are a NaN as arithmetic makes it, and one of all ones, as in a file: arithmetic on its bits, as in exp, may make a
// number of it. Tensors take turns with them.
var nans = []float32{float32(math.NaN()), math.Float32frombits(0xffffffff)}

// NonFinite opens random checkpoints with one number that is not finite, in each tensor in turn, and some with numbers that
// become too large on the way: a logit of each sequence that they are part of must not be finite, and the logits of all
// other sequences must be the same bits as without them. beyond is a number that the backend's activations cannot hold.
func NonFinite(t *testing.T, beyond float32, open func(t *testing.T, spec weightstest.Spec) (backend.Backend, Model)) {
	t.Helper()
	spec := weightstest.Tiny()
	spec.Layers, spec.Labels, spec.LabelNames = 2, 2, nil
	for _, activation := range []string{"gelu", "gelu_new", "relu"} {
		spec.Activation = activation
		b, m := open(t, spec)
		batch := m.Batch(5, 9)
		sound := m.Forward(t, b, batch)
		for turn, tensor := range spec.Tensors() {
			if activation != "gelu" && !strings.Contains(tensor, "intermediate") {
				continue // the activation is all that differs
			}
			for _, value := range []float32{nans[turn%2], float32(math.Inf(1)), float32(math.Inf(-1))} {
				at, touched := place(tensor, spec.Hidden, batch)
				damaged := spec
				damaged.Change = func(name string, i int, v float32) float32 {
					if name == tensor && i == at {
						return value
					}
					return v
				}
				name := fmt.Sprintf("%s: %s[%d] = %g (%#x)", activation, tensor, at, value, math.Float32bits(value))
				t.Run(name, func(t *testing.T) {
					b, m := open(t, damaged)
					compareDamaged(t, m, m.Forward(t, b, batch), sound, touched)
				})
			}
		}
		for _, tensors := range [][]string{
			{"query.bias", "key.bias"}, {"value.bias"}, {"intermediate.dense.bias"}, {"embeddings.LayerNorm.bias"},
			{"0.attention.output.LayerNorm.bias"}, {"0.output.LayerNorm.bias"},
		} {
			damaged := spec
			damaged.Change = func(name string, i int, v float32) float32 {
				if i == 0 && slices.ContainsFunc(tensors, func(end string) bool { return strings.HasSuffix(name, end) }) {
					return beyond
				}
				return v
			}
			t.Run(fmt.Sprintf("%s: %s[0] = %g", activation, tensors, beyond), func(t *testing.T) {
				b, m := open(t, damaged)
				compareDamaged(t, m, m.Forward(t, b, batch), sound, []bool{true, true})
			})
		}
	}
}

// place chooses an element of a tensor, and says which sequences of a batch it is part of. In the tables of embeddings, it
// is of a row of the second sequence's last token.
func place(tensor string, width int, batch *backend.Batch) (at int, touched []bool) {
	var column []int32
	switch {
	case strings.Contains(tensor, "word_embeddings"):
		column = batch.IDs
	case strings.Contains(tensor, "position_embeddings"):
		column = batch.Positions
	case strings.Contains(tensor, "token_type_embeddings"):
		column = batch.Types
	case strings.HasPrefix(tensor, "classifier"):
		return 1, []bool{true, true}
	default:
		return width - 1, []bool{true, true}
	}
	row := column[len(column)-1]
	for i := range batch.Sequences() {
		touched = append(touched, slices.Contains(column[batch.Starts[i]:batch.Starts[i+1]], row))
	}
	return int(row)*width + 3, touched
}

func compareDamaged(t *testing.T, m Model, got, sound []float32, touched []bool) {
	t.Helper()
	for i, lost := range touched {
		logits, before := got[i*m.Labels:(i+1)*m.Labels], sound[i*m.Labels:(i+1)*m.Labels]
		finite := !slices.ContainsFunc(logits, func(v float32) bool { return v-v != 0 })
		if lost && finite {
			t.Errorf("logits %v of sequence %d, want one that is not finite; without, they are %v", logits, i, before)
		}
		if !lost && !slices.Equal(logits, before) {
			t.Errorf("logits %v of sequence %d, which it is no part of, want %v", logits, i, before)
		}
	}
}
