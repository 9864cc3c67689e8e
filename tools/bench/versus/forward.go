package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/metalrank/metalrank/metal/problem"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/tools/bench/versus/mlx"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// MLX's sizes that all models share.
const vocabulary, maxPositions, typeCount, modelMask = 30522, 512, 2, -1e4

// newForward is the whole pass of a model over lengths. usefulFLOPs counts the matrix products that each token of each
// sequence needs, with all queries in every layer, and none of padding.
func newForward(name string, model weightstest.Spec, lengths []int) *operation {
	p := &operation{name: fmt.Sprintf("%s, one pass over %d sequences", name, len(lengths)), kind: onePass, model: model, lengths: lengths}
	h, f := float64(model.Hidden), float64(model.FeedForward)
	for _, l := range lengths {
		t := float64(l)
		p.usefulFLOPs += float64(model.Layers) * (2*t*(4*h*h+2*h*f) + 4*t*t*h)
	}
	p.usefulFLOPs += 2 * float64(len(lengths)) * (h*h + h)
	return p
}

// largestTile is the most rows that a threadgroup of any kernel of MLX takes.
const largestTile = 64

// forward counts the work of MLX for p: a batch padded to the longest. All sequences of a padded batch are the same
// work. So, where no tile has rows of two sequences, the embedding and one layer run over one sequence and over two, and
// the difference is counted for each further one; else they run over the whole batch, as the head always does. Each part
// is compared with float64.
func (m mlxKernels) forward(p *operation) (entry, error) {
	batch, length := len(p.lengths), slices.Max(p.lengths)
	runs := []int{1, 2}
	if length%largestTile != 0 {
		runs = []int{batch}
	}
	e := entry{contender: m.name()}
	for _, part := range []struct {
		times uint64
		run   func(r *mlx.Runner, p *operation, batch, length int) error
	}{{1, embedPart}, {uint64(p.model.Layers), layerPart}} {
		var counts []sim.Counters
		var names []string
		for i, sequences := range runs {
			reports, err := m.part(part.run, p, sequences, length, batch*length)
			if err != nil {
				return entry{}, err
			}
			if i > 0 && !slices.Equal(names, mlx.Kernels(reports)) {
				return entry{}, fmt.Errorf("two sequences run other kernels than one: %v, %v", names, mlx.Kernels(reports))
			}
			counts, names = append(counts, total(reports)), mlx.Kernels(reports)
		}
		all := counts[0]
		if len(counts) == 2 {
			all = extrapolate(counts[0], counts[1], batch)
		}
		e.counters = e.counters.Plus(all, part.times)
		e.dispatches += len(names) * int(part.times)
		e.kernels += fmt.Sprintf("%d × (%v) ", part.times, names)
	}
	reports, err := m.part(headPart, p, batch, length, 0)
	if err != nil {
		return entry{}, err
	}
	e.counters = e.counters.Plus(total(reports), 1)
	e.dispatches += len(reports)
	e.kernels += fmt.Sprintf("and %v", mlx.Kernels(reports))
	return e, nil
}

// extrapolate returns the counts of batch sequences from those of one and of two: each further one adds as many.
func extrapolate(one, two sim.Counters, batch int) sim.Counters {
	further := two.Plus(one, math.MaxUint64) // minus one times, as unsigned numbers wrap
	return one.Plus(further, uint64(batch-1))
}

// part runs a part of the pass; routedRows is for mlx.Runner.
func (m mlxKernels) part(run func(*mlx.Runner, *operation, int, int) error, p *operation, batch, length, routedRows int) ([]sim.Report, error) {
	r, err := mlx.NewRunner(m.device, m.files, m.gpu)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	r.RoutedRows = routedRows
	if err := run(r, p, batch, length); err != nil {
		return nil, err
	}
	return r.Reports()
}

// words returns values as int32s on the device.
func words(r *mlx.Runner, values []int) mlx.Array {
	var data []byte
	for _, v := range values {
		data = binary.LittleEndian.AppendUint32(data, uint32(v))
	}
	return r.Bytes(data)
}

func embedPart(r *mlx.Runner, p *operation, batch, length int) error {
	t, hidden := batch*length, p.model.Hidden
	ids, positions, types := make([]int, t), make([]int, t), make([]int, t)
	for i := range t {
		ids[i], positions[i], types[i] = (i*7919)%vocabulary, i%length, i/20%typeCount
	}
	tables := [][]float64{
		problem.Normal(vocabulary*hidden, 1, 20), problem.Normal(maxPositions*hidden, 1, 21), problem.Normal(typeCount*hidden, 1, 22),
	}
	gamma, beta := problem.Normal(hidden, 1, 23), problem.Normal(hidden, 1, 24)
	y := r.Embed(mlx.EmbeddingWeights{
		Words: r.Halves(tables[0]), Positions: r.Halves(tables[1]), Types: r.Halves(tables[2]), Gamma: r.Halves(gamma), Beta: r.Halves(beta),
	}, words(r, ids), words(r, positions), words(r, types), t, hidden, vocabulary, maxPositions, typeCount, layerNormEpsilon)
	if _, err := r.Reports(); err != nil {
		return err
	}
	got := y.Values(t * hidden)
	for _, row := range sampleRows(t, 61) {
		sum := make([]float64, hidden)
		for i := range sum {
			sum[i] = tables[0][ids[row]*hidden+i] + tables[1][positions[row]*hidden+i] + tables[2][types[row]*hidden+i]
		}
		if err := checkPrefix("embedding", got[row*hidden:], normalised(sum, gamma, beta), 1e-2); err != nil {
			return err
		}
	}
	return nil
}

func headPart(r *mlx.Runner, p *operation, batch, length int) error {
	hidden := p.model.Hidden
	x := problem.Normal(batch*length*hidden, 1, 30)
	pooler, poolerBias := problem.Normal(hidden*hidden, 0.05, 31), problem.Normal(hidden, 1, 32)
	classifier, bias := problem.Normal(hidden, 0.05, 33), problem.Normal(1, 1, 34)
	y := r.Head(r.Halves(x), r.Halves(pooler), r.Halves(poolerBias), r.Halves(classifier), r.Halves(bias), batch, length, hidden)
	if _, err := r.Reports(); err != nil {
		return err
	}
	want := make([]float64, batch)
	for b := range want {
		pooled := linearRow(x[b*length*hidden:][:hidden], pooler, poolerBias)
		for i := range pooled {
			pooled[i] = math.Tanh(pooled[i])
		}
		want[b] = linearRow(pooled, classifier, bias)[0]
	}
	return checkPrefix("head", y.Values(batch), want, 1e-2)
}

// checkPrefix compares the first values of got with want.
func checkPrefix(what string, got, want []float64, allowed float64) error {
	for i, w := range want {
		if difference := math.Abs(got[i] - w); !(difference <= allowed+allowed*math.Abs(w)) {
			return fmt.Errorf("%s: element %d: %g, want %g", what, i, got[i], w)
		}
	}
	return nil
}

// mixed is the problem that resembles users' traffic.
func mixed() *operation {
	return newForward("MiniLM of six layers", weightstest.MiniLM(6), mixedLengths())
}

// larger is a pass of BERT's shape over four of the same pairs, 209 tokens, the longest 92.
func larger(layers, hidden int) *operation {
	name := fmt.Sprintf("BERT of %d layers of %d", layers, hidden)
	return newForward(name, weightstest.BERT(layers, hidden), mixedLengths()[6:10])
}

// mixedLengths returns the lengths in tokens of 32 pairs of query and document with a heavy tail: 3,414 tokens, 107 a pair,
// the longest 512. A batch that is padded to its longest has 16,384.
//
// They were drawn once: exp(N(4.38, 0.75)) rounded and clamped to 16…512, from PCG(195, 0), the first seed with a mean
// near 107 and a longest of 512. They are kept as numbers, so that no change of a generator changes a published table.
func mixedLengths() []int {
	return []int{
		30, 229, 44, 68, 103, 69, 33, 65, 92, 19, 75, 130, 512, 114, 165, 43,
		142, 24, 284, 65, 135, 61, 134, 38, 44, 152, 151, 90, 98, 76, 60, 69,
	}
}
