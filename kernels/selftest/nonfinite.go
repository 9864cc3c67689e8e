package selftest

import (
	"fmt"
	"math"
	"slices"

	"github.com/metalrank/metalrank/kernels"
)

// nonFiniteCases have one NaN, infinity or overflow each. The results that depend on it must not be finite, and all others
// must be right. It could be lost in min, max and limits of functions.
func nonFiniteCases(d kernels.DType) []Case {
	var cases []Case
	for _, value := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		for _, activation := range []kernels.Activation{kernels.None, kernels.GELU, kernels.GELUNew, kernels.ReLU, kernels.Tanh} {
			g := Gemm{DType: d, M: 9, N: 16, K: 32, Activation: activation}
			cases = append(cases, spoil(g.Case(), gemmA, 3*g.K+5, value, oneRow(3, g.N)), spoil(g.Case(), gemmWeights, 6*g.K+1, value, oneColumn(6, g.N)))
			g.Activation, g.Norm = kernels.None, true
			cases = append(cases, spoil(g.Case(), gemmA, 3*g.K+5, value, oneRow(3, g.N)))
			h := Head{DType: d, B: 9, H: 16, C: 2, Activation: activation}
			cases = append(cases, spoil(h.Case(), 0, 4*h.H+3, value, oneRow(4, h.C)))
		}
		for _, bits := range []int{4, 8} {
			g := Gemm{DType: d, M: 9, N: 16, K: 32, Bits: bits, GroupSize: 32}
			cases = append(cases, spoil(g.Case(), gemmA, 3*g.K+5, value, oneRow(3, g.N)), spoil(g.Case(), gemmScales, 6, value, oneColumn(6, g.N)))
		}
		cases = append(cases, epiloguesSpoilt(d, value)...)
		n := Norm{DType: d, M: 5, H: 132}
		cases = append(cases, spoil(n.Case(), 0, 2*n.H+131, value, oneRow(2, n.H)), headNormSpoilt(d, value))
		cases = append(append(append(cases, embedSpoilt(d, value)...), attentionSpoilt(d, value)...), causalSpoilt(d, value)...)
	}
	if d == kernels.F16 { // finite until they are stored
		g := Gemm{DType: d, M: 9, N: 16, K: 32}
		cases = append(cases, spoil(g.Case(), gemmVectors, 6, 1e6, oneColumn(6, g.N)))
	}
	return append(cases, floatOverflows(d)...)
}

// epiloguesSpoilt spoil a row, and where the epilogue mixes columns or rows, those that it mixes.
func epiloguesSpoilt(d kernels.DType, value float64) []Case {
	var cases []Case
	for _, activation := range []kernels.Activation{kernels.GELU, kernels.GELUNew, kernels.ReLU, kernels.Tanh, kernels.SiLU} {
		gated := Epilogue{Gemm: Gemm{DType: d, M: 9, N: 16, K: 32, Activation: activation}, Gated: true}
		for _, row := range []int{6, 7} { // the gate's, the value's
			cases = append(cases, spoil(gated.Case(), gemmWeights, row*gated.K+1, value, oneColumn(3, 8)))
		}
	}
	plain := Gemm{DType: d, M: 9, N: 16, K: 32}
	normed, turned := Epilogue{Gemm: plain, Normed: true}, Epilogue{Gemm: plain, HeadSize: 8, Turned: 16}
	rms := normed
	rms.RMS = true
	for part := range 2 { // mean and squares
		for _, e := range []Epilogue{normed, rms} {
			cases = append(cases, spoil(e.Case(), gemmStatistics, 2*3+part, value, oneRow(3, 16)))
		}
	}
	pair := func(i int) bool { return i%16/2 == 3 }
	cases = append(cases, spoil(turned.Case(), gemmWeights, 6*plain.K+1, value, pair))
	for _, answer := range []int{gemmY, gemmSum, gemmStatistics} {
		kept, width := Epilogue{Gemm: plain, Kept: true, Answer: answer}, 16
		if answer == gemmStatistics {
			width = 2
		}
		cases = append(cases, spoil(kept.Case(), gemmA, 3*plain.K+5, value, oneRow(3, width)))
	}
	p := Pool{DType: d, H: 132, Lengths: []int{3, 2}, Normed: true}
	whole := Head{DType: d, B: 9, H: 16, N: 16, C: 2, Norm: true, Normed: true}
	return append(cases, spoil(p.Case(), 4, 2*3*4, value, oneRow(1, p.H)), spoil(p.Case(), 0, 4*p.H+7, value, func(i int) bool { return i == p.H+7 }),
		spoil(whole.Case(), headX, 4*16+3, value, oneRow(4, 2)), spoil(whole.Case(), headStatistics, 2*4, value, oneRow(4, 2)))
}

// embedSpoilt spoil the position of the second token, which others may have, too: of a norm, and of a sum that waits for one.
func embedSpoilt(d kernels.DType, value float64) (cases []Case) {
	plain := Embed{DType: d, T: 5, H: 132}
	waiting := Embed{DType: d, T: 5, H: 132, Without: "norm", Waiting: true}
	sum, statistics := waiting, waiting
	sum.Sum, statistics.Answer = true, embedStatistics
	for _, e := range []Embed{plain, waiting, sum, statistics} {
		c := e.Case()
		width := len(c.Want) / e.T
		position := func(t int) int { return int(c.Operands[0].Raw[4*(e.T+t)]) }
		cases = append(cases, spoil(c, 2, position(1)*e.H+7, value, func(i int) bool {
			column := i % width
			inPart := !e.Waiting || column == 7 && e.Answer == 0 || column < 2 && e.Answer != 0 // of the first strip
			return inPart && position(i/width) == position(1)
		}))
	}
	return cases
}

// headNormSpoilt spoils a head of keys of the second row.
func headNormSpoilt(d kernels.DType, value float64) Case {
	n := HeadNorm{DType: d, M: 3, Queries: 2, Keys: 2, Size: 32, Behind: 32, Turned: true}
	return spoil(n.Case(), 0, 160+2*32+5, value, func(i int) bool { return i/32 == 5+2 })
}

// attentionSpoilt spoil a query, a key and a value of the second of three sequences, in the second of two heads; and a key that
// queries with a window don't see, though it is multiplied by them. Such a value may reach them.
func attentionSpoilt(d kernels.DType, value float64) []Case {
	a := Attention{DType: d, Heads: 2, HeadSize: 32, Lengths: []int{7, 40, 9}}
	h := a.Heads * a.HeadSize
	inHead := func(i int) bool { return i/h >= 7 && i/h < 47 && i%h >= a.HeadSize }
	near := a
	near.Window = 20
	return []Case{
		spoil(near.Case(), 0, 31*3*h+h+a.HeadSize, value, func(i int) bool { return inHead(i) && i/h >= 11 }),
		spoil(a.Case(), 0, 10*3*h+a.HeadSize, value, func(i int) bool { return i/h == 10 && i%h >= a.HeadSize }),
		spoil(a.Case(), 0, 45*3*h+h+a.HeadSize+4, value, inHead),
		spoil(a.Case(), 0, 12*3*h+2*h+a.HeadSize+4, value, func(i int) bool { return inHead(i) && i%h == a.HeadSize+4 }),
	}
}

// causalSpoilt spoil a key and a value of the second of three sequences, and the last key of a prefix that two of four sequences have.
// Queries that don't see the key are multiplied by it where it is the last of eight. The value is the first of eight: others may
// reach queries before them, by a probability of 0.
func causalSpoilt(d kernels.DType, value float64) []Case {
	a := Attention{DType: d, Heads: 2, HeadSize: 32, KeyHeads: 1, Lengths: []int{7, 40, 9}, Causal: true}
	behind := a
	behind.Lengths, behind.Prefixes = []int{20, 33, 9, 1}, []int32{-1, 0, -1, 0}
	h, width := a.Heads*a.HeadSize, a.width()
	return []Case{
		spoil(a.Case(), 0, (7+23)*width+h+4, value, func(i int) bool { return i/h >= 7+23 && i/h < 47 }),
		spoil(a.Case(), 0, (7+24)*width+h+32+4, value, func(i int) bool { return i/h >= 7+24 && i/h < 47 && i%32 == 4 }),
		spoil(behind.Case(), 0, 19*width+h+4, value, func(i int) bool { return i/h >= 19 && i/h < 53 || i/h == 62 }),
	}
}

// floatOverflows have finite numbers with squares, or products, beyond f32. A half holds no such number.
func floatOverflows(d kernels.DType) []Case {
	if d == kernels.F16 {
		return nil
	}
	g := Gemm{DType: d, M: 9, N: 16, K: 32, Norm: true}
	n := Norm{DType: d, M: 5, H: 132}
	heads := HeadNorm{DType: d, M: 3, Queries: 2, Size: 32}
	a := Attention{DType: d, Heads: 1, HeadSize: 4, Lengths: []int{7, 40}}
	// The score of query 10 with key 45 is below the least float; its softmax would be 0.
	below := a.Case()
	below.Operands[0].Values[45*12+4] = -1e30
	for i := 7; i < 47; i++ { // queries that don't see that column of the key
		below.Operands[0].Values[i*12] = 0
	}
	a.answer(&below)
	return []Case{
		spoil(g.Case(), gemmA, 3*g.K+5, 1e25, oneRow(3, g.N)), spoil(n.Case(), 0, 2*n.H, 1e25, oneRow(2, n.H)),
		spoil(below, 0, 10*12, 1e30, oneRow(10, 4)), spoil(heads.Case(), 0, 32*3+1, 1e25, oneRow(3, 32)),
	}
}

func oneRow(row, width int) func(int) bool { return func(i int) bool { return i/width == row } }

func oneColumn(column, width int) func(int) bool {
	return func(i int) bool { return i%width == column }
}

// spoil puts value into an operand of a case. The results that lost names must not be finite.
func spoil(c Case, operand, at int, value float64, lost func(i int) bool) Case {
	c.Name += fmt.Sprintf(" with %s[%d] = %g", c.Operands[operand].Name, at, value)
	c.Operands[operand].Values = slices.Clone(c.Operands[operand].Values)
	c.Operands[operand].Values[at] = value
	for i := range c.Want {
		if lost(i) {
			c.Want[i] = math.NaN()
		}
	}
	return c
}
