package gpu_test

import (
	"testing"

	"github.com/metalrank/metalrank/engine/cost"
	"github.com/metalrank/metalrank/engine/gpu"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// mixed are the lengths of 32 pairs with a heavy tail, mean 107, as a search engine sends them (log-normal, as the workload
// of that name in tools/bench/peers).
func mixed() []int {
	return []int{
		14, 17, 20, 23, 26, 29, 32, 36, 39, 43, 47, 51, 56, 60, 65, 71, 76, 83, 89, 97, 105, 113, 123, 134, 147, 162,
		180, 202, 231, 272, 340, 441,
	}
}

// useful is the arithmetic that a pass of the rig's model needs.
func (r *rig) useful(lengths []int) float64 {
	flops, _ := cost.Total(cost.Pass(cost.ShapeOf(r.plan), lengths, cost.Format{}))
	return flops
}

// modern returns a checkpoint of ModernBERT-base's shape with four layers, two of which see a window, and lengths of up to 2,048
// tokens; in an ordinary test two layers of half the sizes, and fewer tokens.
func modern() (spec weightstest.Spec, lengths []int) {
	if simtest.Long() {
		return weightstest.ModernBERT(4, 768, 1152), []int{2048, 300, 64, 20}
	}
	return weightstest.ModernBERT(2, 384, 576), []int{640, 171, 64, 33}
}

// economical returns a checkpoint of MiniLM's shape, and whether it is small. In a long test it has six layers of MiniLM's
// sizes; else two of half the sizes, which are tiled alike.
func economical() (spec weightstest.Spec, small bool) {
	if simtest.Long() {
		return weightstest.MiniLM(6), false
	}
	spec = weightstest.MiniLM(2)
	spec.Hidden, spec.Heads, spec.FeedForward = spec.Hidden/2, spec.Heads/2, spec.FeedForward/2
	return spec, true
}

// TestArithmetic holds dispatches to five a layer, one more in the last, and two besides; and multiplications, the padding
// of tiles included, to the useful ones. Multiplications are counted exactly in plain mode, too.
func TestArithmetic(t *testing.T) {
	notShort(t)
	mini, small := economical()
	lengths := mixed()
	if small {
		lengths = lengths[:24] // 1,526 tokens
	}
	wide, long := modern()
	for _, c := range []struct {
		spec    weightstest.Spec
		lengths []int
	}{{mini, lengths}, {wide, long}} {
		t.Run(c.spec.Name, func(t *testing.T) {
			r := newRig(t, sim.Config{}, written(t, c.spec), gpu.Config{})
			r.forward(t, r.gpu, r.batch(9, c.lengths...))
			reports := r.device.reports()
			if want := 5*c.spec.Layers + 3; len(reports) != want {
				t.Errorf("%d dispatches, want %d", len(reports), want)
			}
			var executed float64
			for _, report := range reports {
				executed += float64(report.Counters.MatrixFLOPs())
			}
			ratio := executed / r.useful(c.lengths)
			t.Logf("%d dispatches, %.4g FLOPs, %.4f of what is useful", len(reports), executed, ratio)
			if ratio > 1.06 || ratio < 1 {
				t.Errorf("%.4f of the useful FLOPs were executed, want 1 to 1.06", ratio)
			}
		})
	}
}

// TestTraffic holds the distinct bytes that each dispatch moves, those that no cache could save, to the least that the
// operations need: weights once, activations in and out of each once.
func TestTraffic(t *testing.T) {
	notShort(t)
	const size = 2
	sequences := 32 // 2,048 tokens
	spec, small := economical()
	if small {
		sequences = 4
	}
	layers, h, f := spec.Layers, spec.Hidden, spec.FeedForward
	lengths := make([]int, sequences)
	for i := range lengths {
		lengths[i] = 64
	}
	tokens := 64 * sequences
	r := newRig(t, sim.Config{Checked: true}, written(t, spec), gpu.Config{})
	r.forward(t, r.gpu, r.batch(10, lengths...))
	var moved, all uint64
	for _, report := range r.device.reports() {
		c := report.Counters
		moved += c.DeviceReadUniqueBytes + c.DeviceWrittenUniqueBytes
		all += c.DeviceReadBytes + c.DeviceWrittenBytes
	}
	layer := func(wide, rows, residual int) int { // bytes of a block, projection aside, that makes rows
		block := h*h + 2*h*f               // weights
		block += rows * (h + h + residual) // attention's output in, the residual in, normed out
		block += rows*(h+f) + rows*(f+h+h) // feed-forward block, with its residual
		return size * (block + wide)
	}
	least := size * tokens * h                                                             // embeddings out; tables are small
	least += (layers - 1) * layer(3*h*h+tokens*(h+3*h)+tokens*(3*h+h), tokens, h)          // projection, attention
	least += layer(3*h*h+tokens*(h+2*h)+tokens*2*h+sequences*4*h, sequences, h) + size*h*h // last layer, pooler
	ratio := float64(moved) / float64(least)
	t.Logf("%d tokens, %d layers: %d bytes moved, %d at least: %.3f; %d with every repetition", tokens, layers, moved, least, ratio, all)
	if ratio > 1.5 || ratio < 0.95 {
		t.Errorf("%.3f of the least were moved, want 0.95 to 1.5", ratio)
	}
}
