package main

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/metalrank/metalrank/cmd/cli"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
	"github.com/metalrank/metalrank/weights/weightstest"
)

// fixed is a contender with a given answer.
type fixed struct {
	title  string
	answer func(p *operation) (entry, error)
}

func (f fixed) name() string                      { return f.title }
func (f fixed) solve(p *operation) (entry, error) { return f.answer(p) }

// referenceContender answers with the reference itself, and counts as given.
func referenceContender(title string, c sim.Counters) fixed {
	return fixed{title, func(p *operation) (entry, error) {
		e := entry{contender: title, counters: c, dispatches: 2, kernels: "k", output: make([]float64, p.rows*p.n)}
		for _, row := range p.sampled {
			copy(e.output[row*p.n:], p.reference(row))
		}
		return e, nil
	}}
}

// TestCompare wants a right answer in the table with its ratio, and a wrong one and a failure in the error alone.
func TestCompare(t *testing.T) {
	p := newLinear(65, 3, 16)
	wrong := referenceContender("wrong", sim.Counters{})
	right := wrong.answer
	wrong.answer = func(p *operation) (entry, error) {
		e, err := right(p)
		e.output[64*3+2] += 0.1
		return e, err
	}
	var out bytes.Buffer
	err := compare(&out, p, []contender{
		referenceContender("ours", sim.Counters{DeviceReadBytes: 1234567, MatrixMultiplies: 9}),
		referenceContender("theirs", sim.Counters{DeviceReadBytes: 2469134, MatrixMultiplies: 6}),
		wrong,
		fixed{"broken", func(*operation) (entry, error) { return entry{}, errors.New("no such kernel") }},
	})
	for _, want := range []string{"wrong: GEMM 65×3×16", "row 64, column 2", "broken: no such kernel"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	for _, want := range []string{
		"| | ours | theirs |\n|---|---:|---:|\n", "| device bytes read | 1,234,567 | 2,469,134 (×0.50) |",
		"| MMAs | 9 | 6 (×1.50) |", "| executed ÷ useful matrix FLOPs | 1.477 | 0.985 |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "wrong:") {
		t.Errorf("a wrong answer was counted:\n%s", out.String())
	}
}

// TestReference compares the references with answers that are known without them.
func TestReference(t *testing.T) {
	constant := attentionRow([]float64{1, 2, 3, 4}, make([]float64, 12), []float64{1, 2, 3, 4, 3, 4, 5, 6, 5, 6, 7, 8}, 2)
	for i, want := range []float64{3, 4, 5, 6} { // equal scores: the mean of the values
		if math.Abs(constant[i]-want) > 1e-12 {
			t.Errorf("attention %v, element %d want %g", constant, i, want)
		}
	}
	sharp := attentionRow([]float64{100, 0}, []float64{0, 0, 1, 0}, []float64{1, 2, 3, 4}, 1)
	if math.Abs(sharp[0]-3) > 1e-12 || math.Abs(sharp[1]-4) > 1e-12 {
		t.Errorf("attention to one key: %v", sharp)
	}
	norm := normalised([]float64{1, 3}, []float64{2, 2}, []float64{0, 1}) // mean 2, variance 1
	if math.Abs(norm[0]+2) > 1e-9 || math.Abs(norm[1]-3) > 1e-9 {
		t.Errorf("layer norm %v", norm)
	}
	if got := linearRow([]float64{1, 2}, []float64{3, 4, 5, 6}, []float64{0, 1}); got[0] != 11 || got[1] != 18 {
		t.Errorf("linear %v", got)
	}
}

// TestQuantizedWeights reads the packed words as MLX's format has them, and gets the weights of the reference.
func TestQuantizedWeights(t *testing.T) {
	p := newQuantized(1, 2, 128, 64)
	for i, want := range p.operands["w"] {
		nibble := float64(p.packed[i/2] >> (4 * (i % 2)) & 15)
		if got := p.operands["scales"][i/64]*nibble + p.operands["offsets"][i/64]; got != want {
			t.Fatalf("weight %d: %g, want %g", i, got, want)
		}
	}
}

func TestAdd(t *testing.T) {
	a, b := sim.Counters{DeviceReadBytes: 10, Atomics: 1}, sim.Counters{DeviceReadBytes: 3, MatrixMultiplies: 2}
	if got, want := a.Plus(b, 4), (sim.Counters{DeviceReadBytes: 22, Atomics: 1, MatrixMultiplies: 8}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got, want := extrapolate(a, a.Plus(b, 1), 5), a.Plus(b, 4); got != want {
		t.Errorf("a and four times b: %+v, want %+v", got, want)
	}
}

// TestFurtherLayers counts a pass of three layers, and gets the same from passes of one and of two.
func TestFurtherLayers(t *testing.T) {
	device := simtest.Open(t, sim.Config{Checked: true})
	model := weightstest.MiniLM(mostLayers + 1)
	model.Hidden, model.Heads, model.FeedForward = 64, 2, 128
	p, o := newForward("small", model, []int{3, 17}), ourKernels{device}
	got, err := o.forward(p)
	if err != nil {
		t.Fatal(err)
	}
	want, err := o.pass(p, model.Layers)
	if err != nil {
		t.Fatal(err)
	}
	if got.counters != want.counters || got.dispatches != want.dispatches {
		t.Errorf("%+v in %d dispatches, want %+v in %d", got.counters, got.dispatches, want.counters, want.dispatches)
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "--mlx=DIR"}, {[]string{"--mlx=.", "more"}, "unexpected argument more"}, {[]string{"--gpu"}, "--gpu: missing value"},
	} {
		var out bytes.Buffer
		if status := run(t.Context(), c.args, cli.Streams{Out: &out, Err: &out}); status != 2 || !strings.Contains(out.String(), c.want) {
			t.Errorf("%q: status %d, %q", c.args, status, out.String())
		}
	}
}

// TestMixedLengths draws the list again, and checks the numbers in its comment.
func TestMixedLengths(t *testing.T) {
	random := rand.New(rand.NewPCG(195, 0))
	want := make([]int, 32)
	total := 0
	for i := range want {
		want[i] = min(max(int(math.Round(math.Exp(4.38+0.75*random.NormFloat64()))), 16), 512)
		total += want[i]
	}
	if got := mixedLengths(); !slices.Equal(got, want) || total != 3414 || slices.Max(got) != 512 {
		t.Errorf("%v, %d tokens, drawn are %v", got, total, want)
	}
	mixedLengths()[0] = 0
	if mixedLengths()[0] == 0 {
		t.Error("mixedLengths returns its own list")
	}
}
