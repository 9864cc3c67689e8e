package selftest

import (
	"math/rand/v2"

	"github.com/metalrank/metalrank/kernels"
)

// Random returns a small random case of a random operation, the same for the same seed.
func Random(seed uint64) Case {
	r := rand.New(rand.NewPCG(seed, 0x6b65726e))
	upTo := func(n int) int { return 1 + r.IntN(n) }
	coin := func() bool { return r.IntN(2) == 0 }
	d := kernels.DType(r.IntN(2))
	switch r.IntN(7) {
	case 0:
		return Norm{DType: d, M: upTo(20), H: 4 * upTo(80), Residual: coin()}.Case()
	case 1:
		e := Embed{DType: d, T: upTo(20), H: 4 * upTo(60)}
		if coin() {
			e.Bits, e.GroupSize, e.H = 4*upTo(2), 32, 32*upTo(6)
		}
		return e.Case()
	case 2:
		a := Attention{DType: d, KeyHeads: upTo(2), HeadSize: 4 * upTo(32), First: coin()}
		a.Heads, a.Causal, a.Last = a.KeyHeads*upTo(2), !a.First && coin(), !a.First && coin()
		for i := range upTo(5) {
			a.Lengths = append(a.Lengths, upTo(upTo(80)))
			if a.Causal && i > 0 {
				a.Prefixes = append(a.Prefixes, int32(-r.IntN(2))) // the first one's tokens, or none
			} else if a.Causal {
				a.Prefixes = []int32{-1}
			}
		}
		if coin() {
			a.Window = upTo(40)
		}
		a.Slopes, a.PositionKeys, a.PositionQueries, a.Reach = coin(), coin(), coin(), upTo(50)
		return a.Case()
	case 3:
		return HeadNorm{
			DType: d, M: upTo(9), Queries: upTo(9), Keys: upTo(4), Size: 4 * upTo(32), Behind: 4 * upTo(9), Turned: coin(), Gather: coin(),
		}.Case()
	case 4:
		return Head{
			DType: d, B: upTo(20), H: 8 * upTo(20), C: upTo(4), Activation: kernels.Activation(r.IntN(5)), Gather: coin(),
		}.Case()
	}
	g := Gemm{
		DType: d, M: upTo(upTo(150)), N: 2 * upTo(80), K: 4 * upTo(30), Activation: kernels.Activation(r.IntN(5)),
		Residual: coin(), GatherA: coin(), GatherResidual: coin(),
	}
	if coin() {
		g.Bits, g.GroupSize = 4*upTo(2), kernels.GroupSizes[r.IntN(2)]
		g.K = g.GroupSize * upTo(4)
	}
	if coin() {
		g.Norm, g.N = true, 8*upTo(30)
	}
	return g.Case()
}

// Shapes are the operations of one layer of MiniLM (H = 384, F = 1536, 12 heads) over a number of tokens, in sequences
// of at most 64, for benchmarks.
func Shapes(d kernels.DType, tokens int) []Case {
	const h, f = 384, 1536
	var lengths []int
	for left := tokens; left > 0; left -= 64 {
		lengths = append(lengths, min(left, 64))
	}
	return []Case{
		Gemm{DType: d, M: tokens, N: 3 * h, K: h}.Case(),
		Attention{DType: d, Heads: 12, HeadSize: 32, Lengths: lengths}.Case(),
		Gemm{DType: d, M: tokens, N: h, K: h, Residual: true, Norm: true}.Case(),
		Gemm{DType: d, M: tokens, N: f, K: h, Activation: kernels.GELU}.Case(),
		Gemm{DType: d, M: tokens, N: h, K: f, Residual: true, Norm: true}.Case(),
	}
}

// Products are the products of a layer with hidden size H and F = 4H: queries, keys and values; keys and values; inner;
// attention's output; outer.
func Products(d kernels.DType, hidden int) []kernels.Shape {
	h := hidden
	return []kernels.Shape{
		{Type: d, N: 3 * h, K: h}, {Type: d, N: 2 * h, K: h}, {Type: d, N: 4 * h, K: h},
		{Norm: true, Type: d, N: h, K: h}, {Norm: true, Type: d, N: h, K: 4 * h},
	}
}

// ProductOf returns the product of M rows that has a shape, as a layer has it.
func ProductOf(s kernels.Shape, m int) Gemm {
	return Gemm{DType: s.Type, M: m, N: s.N, K: s.K, Bits: s.Bits, Norm: s.Norm, Residual: s.Norm}
}
