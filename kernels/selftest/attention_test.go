package selftest_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/x448/float16"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/kernels/selftest"
	"github.com/metalrank/metalrank/metal"
	"github.com/metalrank/metalrank/metal/problem"
	"github.com/metalrank/metalrank/metal/sim"
	"github.com/metalrank/metalrank/metal/sim/simtest"
)

// TestWindowCost counts the products of attention with ModernBERT's window: a token of a long document costs what one of a short
// document does, and tiles add at most 6 % to the scores that are needed.
func TestWindowCost(t *testing.T) {
	device := simtest.Open(t, sim.Config{})
	library := libraries(t, device)
	perToken := 0.0
	for _, tokens := range []int{1024, 2048, 4096, 8192} {
		c := selftest.Attention{DType: kernels.F16, Heads: 1, HeadSize: 4, Lengths: []int{tokens}, Window: 64}.Case()
		pending, err := c.Run(t.Context(), device, library[c.DType], problem.Exact)
		if err != nil {
			t.Fatal(err)
		}
		var executed float64
		for _, report := range pending.(*sim.Pending).Reports() {
			executed += float64(report.Counters.MatrixFLOPs())
		}
		executed *= 4. / 32 // a head of 4 fills an eighth of its tiles
		if ratio := executed / c.FLOPs; ratio < 1 || ratio > 1.06 {
			t.Errorf("%d tokens: %.4f of the useful FLOPs were executed, want 1 to 1.06", tokens, ratio)
		}
		if perToken == 0 {
			perToken = executed / float64(tokens)
		}
		if ratio := executed / float64(tokens) / perToken; math.Abs(ratio-1) > 0.15 {
			t.Errorf("a token of %d costs %.3f of one of 1,024, want 0.85 to 1.15", tokens, ratio)
		}
		t.Logf("%d tokens: %.4g FLOPs, %.4f of the useful, %.4g a token", tokens, executed, executed/c.FLOPs, executed/float64(tokens))
	}
}

// TestCausalCost counts the products of causal attention with heads of 32 and of 128: blocks on the diagonal add little to the
// scores that are needed, and less for longer sequences.
func TestCausalCost(t *testing.T) {
	device := simtest.Open(t, sim.Config{})
	library := libraries(t, device)
	for _, c := range []struct {
		size, tokens int
		most         float64 // of the useful FLOPs
	}{{32, 256, 1.03}, {32, 512, 1.015}, {128, 256, 1.03}} {
		a := selftest.Attention{DType: kernels.F16, Heads: 1, HeadSize: c.size, Lengths: []int{c.tokens}, Causal: true}.Case()
		pending, err := a.Run(t.Context(), device, library[a.DType], problem.Exact)
		if err != nil {
			t.Fatal(err)
		}
		var executed float64
		for _, report := range pending.(*sim.Pending).Reports() {
			executed += float64(report.Counters.MatrixFLOPs())
		}
		ratio := executed / a.FLOPs
		t.Logf("heads of %d, %d tokens: %.4f of the useful FLOPs", c.size, c.tokens, ratio)
		if ratio < 1 || ratio > c.most {
			t.Errorf("heads of %d, %d tokens: %.4f of the useful FLOPs were executed, want 1 to %g", c.size, c.tokens, ratio, c.most)
		}
	}
}

// TestAlone wants the same bits of a sequence by itself as among others, at every place in the items of 64 queries.
func TestAlone(t *testing.T) {
	const heads, size, reach = 2, 32, 30
	p := packed{t: t, device: simtest.Open(t, sim.Config{}), columns: heads * size}
	lengths := []int{1, 33, 130, 7, 64, 65, 21}
	p.starts = []int32{0}
	for _, n := range lengths {
		p.starts = append(p.starts, p.starts[len(p.starts)-1]+int32(n))
	}
	random := rand.New(rand.NewPCG(7, 0))
	half := func() uint32 { return uint32(float16.Fromfloat32(float32(random.NormFloat64())).Bits()) }
	halves := func(int) uint32 { return half() | half()<<16 }
	p.qkv = p.buffer(int(p.starts[len(lengths)])*3*p.columns/2, halves)
	slopes := p.buffer(heads, func(i int) uint32 { return math.Float32bits(float32(i+1) / 8) })
	relative := &kernels.Relative{
		Keys: true, Queries: true, Table: p.buffer(reach*2*p.columns/2, halves),
		Rows: p.buffer(2*reach+1, func(i int) uint32 { return uint32(i / 3) }), Reach: reach,
	}
	library := libraries(t, p.device)[kernels.F16]
	for name, scores := range map[string]kernels.Scores{
		"all": {}, "window": {Window: 13}, "wide window": {Window: 64}, "slopes": {Slopes: slopes}, "positions": {Relative: relative},
	} {
		scores.Heads, scores.Size = heads, size
		op, err := library.NewAttention(scores)
		if err != nil {
			t.Fatal(err)
		}
		all := p.attend(op, scores.Window, 0, len(lengths))
		for i := range lengths {
			own := all[2*p.columns*int(p.starts[i]) : 2*p.columns*int(p.starts[i+1])]
			if !bytes.Equal(p.attend(op, scores.Window, i, i+1), own) {
				t.Errorf("%s: sequence %d, of %d tokens, has other bits alone", name, i, lengths[i])
			}
		}
	}
}

// packed are sequences in the memory of a device.
type packed struct {
	t       *testing.T
	device  metal.Device
	columns int           // H
	starts  []int32       // [B+1]
	qkv     metal.Binding // [T, 3H] f16
}

func (p *packed) buffer(words int, word func(i int) uint32) metal.Binding {
	b, err := p.device.NewBuffer(4 * words)
	if err != nil {
		p.t.Fatal(err)
	}
	simtest.CloseLater(p.t, b)
	for i := range words {
		binary.LittleEndian.PutUint32(b.Bytes()[4*i:], word(i))
	}
	return metal.At(b, 0)
}

// attend returns attention's output for sequences first to last - 1, in a batch of their own.
func (p *packed) attend(op *kernels.Attention, window, first, last int) []byte {
	var starts []int32
	for _, start := range p.starts[first : last+1] {
		starts = append(starts, start-p.starts[first])
	}
	items := kernels.AppendItems(nil, starts, window)
	h := p.columns
	at := func(column int) metal.Binding {
		return metal.At(p.qkv.Buffer, 2*(int(p.starts[first])*3*h+column))
	}
	rows := kernels.AttentionRows{
		Q: at(0), K: at(h), V: at(2 * h), QueryStride: 3 * h, KeyStride: 3 * h, Count: len(items), OutStride: h,
		Items: p.buffer(4*len(items), func(i int) uint32 {
			item := items[i/4]
			return [...]uint32{item.Key, item.Keys, item.Query, item.Queries}[i%4]
		}),
		Out: p.buffer(int(starts[len(starts)-1])*h/2, func(int) uint32 { return 0 }),
	}
	recorder := kernels.NewRecorder(p.device)
	if err := op.Record(recorder, rows); err != nil {
		p.t.Fatal(err)
	}
	pending, err := recorder.Commit()
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := pending.Wait(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	return rows.Out.Buffer.Bytes()
}
