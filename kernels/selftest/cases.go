package selftest

import (
	"slices"

	"github.com/metalrank/metalrank/kernels"
	"github.com/metalrank/metalrank/metal"
)

// Cases are all operations, in both dtypes, at 1, a tile, a tile and one more or less, primes, and real shapes.
func Cases() []Case {
	var cases []Case
	for _, d := range []kernels.DType{kernels.F16, kernels.F32} {
		cases = append(cases, gemmCases(d)...)
		cases = append(cases, epilogueCases(d)...)
		cases = append(cases, poolCases(d)...)
		cases = append(cases, normCases(d)...)
		cases = append(cases, embedCases(d)...)
		cases = append(cases, attentionCases(d)...)
		cases = append(cases, headCases(d)...)
		cases = append(cases, headNormCases(d)...)
		cases = append(cases, nonFiniteCases(d)...)
	}
	return cases
}

// gemmShapes are M, N, K. A threadgroup of gemm has 8, 32 or 64 rows and 64 or 128 columns and goes along K by 32; one of
// gemm_norm has 8, 16 or 32 rows and SIMD-groups of 32 or 48 columns.
var gemmShapes = [][3]int{
	{1, 2, 4}, {1, 128, 32}, {7, 130, 36}, {8, 126, 28}, {9, 62, 64}, {31, 48, 100}, {33, 96, 8}, {64, 40, 32},
	{127, 256, 68}, {350, 256, 8}, {640, 256, 12}, {1290, 130, 4}, {16, 384, 384},
}

// anyDevice has the limits of every device that has the kernels.
var anyDevice = metal.Info{MaxThreadsPerGroup: 1024, MaxThreadgroupMemoryBytes: 32 << 10}

func gemmCases(d kernels.DType) []Case {
	var cases []Case
	activations := []kernels.Activation{kernels.None, kernels.GELU, kernels.GELUNew, kernels.ReLU, kernels.Tanh, kernels.SiLU}
	for i, s := range gemmShapes {
		g := Gemm{DType: d, M: s[0], N: s[1], K: s[2]}
		cases = append(cases, g.Case())
		g.Activation, g.Residual = activations[i%len(activations)], i%2 == 0
		g.GatherA, g.GatherResidual = i%3 == 0, i%3 == 1
		cases = append(cases, g.Case())
		g.N, g.Norm, g.Residual = (g.N+7)/8*8, true, true
		cases = append(cases, g.Case())
	}
	for i, s := range []struct{ m, n, k, bits, group int }{
		{1, 8, 32, 4, 32}, {9, 136, 64, 4, 64}, {33, 96, 128, 4, 128}, {350, 8, 32, 4, 32}, {640, 8, 32, 4, 32}, {1290, 8, 32, 4, 32}, {65, 130, 96, 4, 32},
		{1, 8, 32, 8, 32}, {7, 128, 128, 8, 64}, {31, 48, 256, 8, 128}, {350, 8, 32, 8, 32}, {640, 8, 32, 8, 32}, {1290, 8, 32, 8, 32}, {64, 384, 64, 8, 64},
	} {
		g := Gemm{DType: d, M: s.m, N: s.n, K: s.k, Bits: s.bits, GroupSize: s.group, Residual: i%2 == 0, GatherA: i%3 == 0}
		cases = append(cases, g.Case())
		g.N, g.Norm, g.Residual = (g.N+7)/8*8, true, true
		cases = append(cases, g.Case())
	}
	for i, s := range []struct{ m, n, k, bits, group int }{{70, 132, 100, 0, 0}, {64, 128, 128, 0, 0}, {70, 132, 96, 4, 32}, {33, 68, 160, 8, 32}} {
		g := Gemm{DType: d, M: s.m, N: s.n, K: s.k, Bits: s.bits, GroupSize: s.group, Residual: true, GatherA: i%2 == 0, GatherResidual: i%2 == 1}
		cases = append(cases, g.Variants(kernels.Candidates(g.Shape(), anyDevice))...)
		g.N, g.Norm = (g.N+7)/8*8, true
		cases = append(cases, g.Variants(kernels.Candidates(g.Shape(), anyDevice))...)
	}
	// Steps of K: 14, less than eight, less than four, and some that are all in groups of their own. The third reads the end of a.
	for i, s := range []struct{ m, n, k, bits, group int }{
		{19, 132, 420, 0, 0}, {9, 38, 196, 0, 0}, {1, 2, 4, 0, 0}, {19, 132, 416, 4, 32}, {9, 38, 640, 4, 128}, {17, 36, 320, 8, 64}, {3, 68, 96, 8, 32},
	} {
		g := Gemm{DType: d, M: s.m, N: s.n, K: s.k, Bits: s.bits, GroupSize: s.group, FewRows: true, Residual: i%2 == 0, GatherA: i%3 == 1, GatherResidual: i%3 == 0}
		cases = append(cases, g.Variants(slices.DeleteFunc(kernels.Candidates(g.Shape(), anyDevice), func(v kernels.Variant) bool { return v.Split == 0 }))...)
	}
	// Wide rows: as many SIMD-groups as a threadgroup may have.
	wide := Gemm{DType: d, M: 3, N: kernels.MaxGemmNormColumns, K: 32, Residual: true, Norm: true}
	var ahead []kernels.Variant
	if d == kernels.F16 {
		ahead = []kernels.Variant{{Rows: 8, Columns: 48, Depth: 32, Way: kernels.Ahead}}
	}
	cases = append(append(cases, wide.Case()), wide.Variants(ahead)...)
	wide.Bits, wide.GroupSize = 4, 32
	cases = append(append(cases, wide.Case()), wide.Variants(ahead)...)
	return append(cases, Gemm{DType: d, M: 700, N: 8, K: 8, Norm: true}.Case())
}

func normCases(d kernels.DType) []Case {
	var cases []Case
	for i, s := range [][2]int{{1, 4}, {3, 124}, {37, 128}, {5, 132}, {7, 384}, {6, 512}, {5, 768}, {3, 772}, {2, 1024}, {3, 1028}, {1, kernels.MaxHidden}} {
		n := Norm{DType: d, M: s[0], H: s[1], Residual: i%2 == 0}
		other := n
		other.Residual = !n.Residual
		cases = append(cases, n.Case(), other.Case())
	}
	return cases
}

func embedCases(d kernels.DType) []Case {
	var cases []Case
	for _, s := range [][2]int{{1, 4}, {3, 124}, {4, 128}, {5, 132}, {37, 384}, {2, 388}, {3, 768}, {2, 1024}, {2, 1028}} {
		cases = append(cases, Embed{DType: d, T: s[0], H: s[1]}.Case())
	}
	for _, s := range [][4]int{{5, 32, 4, 32}, {4, 384, 4, 64}, {9, 128, 8, 128}, {6, 96, 8, 32}} {
		cases = append(cases, Embed{DType: d, T: s[0], H: s[1], Bits: s[2], GroupSize: s[3]}.Case())
	}
	for i, without := range []string{"positions", "types", "norm", "positions types", "positions types norm"} {
		e := Embed{DType: d, T: 5, H: []int{132, 1028}[i%2], Without: without}
		sum := e
		sum.Sum = true
		cases = append(cases, e.Case(), sum.Case())
	}
	for i, s := range [][4]int{{3, 4, 0, 0}, {5, 60, 0, 0}, {6, 132, 0, 0}, {4, 1152, 0, 0}, {5, 192, 4, 32}, {3, 320, 8, 64}} {
		e := Embed{DType: d, T: s[0], H: s[1], Bits: s[2], GroupSize: s[3], Waiting: true, Without: []string{"positions types norm", "norm"}[i%2]}
		sum, statistics := e, e
		sum.Sum, statistics.Answer = true, embedStatistics
		cases = append(cases, e.Case(), sum.Case(), statistics.Case())
	}
	return cases
}

func attentionCases(d kernels.DType) []Case {
	every := make([]int, 70)
	for i := range every {
		every[i] = i + 1
	}
	var cases []Case
	for _, s := range []struct {
		heads, size int
		lengths     []int
	}{
		{1, 32, []int{1}}, {2, 32, []int{7, 8, 9}}, {1, 32, []int{15, 16, 17}}, {2, 32, []int{31, 32, 33}},
		{1, 32, []int{63, 64, 65}}, {1, 32, []int{127, 1, 129}}, {1, 32, every}, {1, 64, []int{1, 33, 64, 65, 5}},
		{2, 64, []int{31, 32, 97}}, {3, 4, []int{9, 40}}, {1, 20, []int{33, 2}}, {2, 40, []int{17, 70}}, {12, 32, []int{23, 11}},
	} {
		a := Attention{DType: d, Heads: s.heads, HeadSize: s.size, Lengths: s.lengths}
		cases = append(cases, a.Case())
		a.First = true
		cases = append(cases, a.Case())
	}
	cases = append(append(cases, nearCases(d)...), causalCases(d)...)
	falling := Attention{DType: d, Heads: 2, HeadSize: 32, Lengths: []int{70, 33}, Falling: true}
	first := falling
	first.First = true
	return append(cases, falling.Case(), first.Case())
}

// nearCases have windows, or scores that fall with distance, or both. Lengths are 1, W, 2W + 1, their neighbours, and such
// that a window crosses the ends of items (64 queries) and of blocks of keys.
func nearCases(d kernels.DType) []Case {
	var cases []Case
	for _, s := range []struct {
		heads, size, window int
		slopes              bool
		lengths             []int
	}{
		{1, 32, 1, false, []int{1, 2, 3, 4, 70}}, {1, 64, 3, false, []int{1, 3, 7, 8, 65, 2}}, {1, 32, 8, false, []int{8, 16, 17, 18, 129}},
		{2, 32, 37, false, []int{36, 37, 38, 74, 75, 76, 131}}, {1, 64, 64, false, []int{64, 129, 1, 200, 65}},
		{2, 40, 20, false, []int{150, 41}}, {1, 20, 500, false, []int{70, 9}}, {1, 32, 31, false, []int{193}},
		{3, 32, 0, true, []int{1, 33, 64, 130}}, {2, 64, 0, true, []int{97, 5}}, {2, 32, 10, true, []int{100, 21}}, {1, 64, 33, true, []int{140, 1}},
	} {
		a := Attention{DType: d, Heads: s.heads, HeadSize: s.size, Lengths: s.lengths, Window: s.window, Slopes: s.slopes}
		cases = append(cases, a.Case())
		a.First = true
		cases = append(cases, a.Case())
	}
	for _, a := range []Attention{
		{Heads: 2, HeadSize: 32, Lengths: []int{1, 2, 31, 33, 64, 70}, PositionKeys: true, PositionQueries: true, Reach: 20},
		{Heads: 2, HeadSize: 64, Lengths: []int{129, 5, 16, 17}, PositionKeys: true, PositionQueries: true, Reach: 200},
		{Heads: 1, HeadSize: 20, Lengths: []int{40, 3}, PositionKeys: true, Reach: 1},
		{Heads: 3, HeadSize: 40, Lengths: []int{9, 65}, PositionQueries: true, Reach: 64},
		{Heads: 1, HeadSize: 64, Lengths: []int{100}, PositionKeys: true, PositionQueries: true, Reach: 0, Window: 13, Slopes: true},
	} {
		a.DType = d
		cases = append(cases, a.Case())
		a.First = true
		cases = append(cases, a.Case())
	}
	return append(cases, Attention{DType: d, Heads: 1, HeadSize: 32, Lengths: []int{150}, Window: 40, Falling: true}.Case())
}

func headCases(d kernels.DType) []Case {
	var cases []Case
	for i, s := range [][3]int{{8, 56, 2}, {7, 48, 2}, {1, 8, 1}, {9, 40, 3}, {33, 384, 1}, {2, 768, 2}, {9, 1024, 3}, {3, 1160, 2}} {
		activation := []kernels.Activation{kernels.Tanh, kernels.GELU, kernels.ReLU}[i%3]
		cases = append(cases, Head{DType: d, B: s[0], H: s[1], C: s[2], Activation: activation, Gather: i%2 == 0}.Case())
	}
	for i, s := range [][4]int{{9, 56, 56, 2}, {7, 132, 20, 1}, {3, 68, 391, 2}, {9, 40, 400, 3}, {2, 768, 768, 1}} {
		for _, h := range []Head{
			{Norm: true}, {Normed: true}, {Norm: true, Normed: true}, {Bare: true}, {Bare: true, Norm: true, Normed: true},
			{Bare: true, Normed: true}, {Bare: true, Normed: true, RMS: true}, {Normed: true, RMS: true},
		} {
			h.DType, h.B, h.H, h.N, h.C, h.Activation, h.Gather = d, s[0], s[1], s[2], s[3], kernels.GELU, i%2 == 1
			if h.Bare {
				h.N, h.Activation = h.H, kernels.None
			}
			cases = append(cases, h.Case())
		}
	}
	return cases
}

// Share returns the cases that ordinary tests run in checked mode, too: every fourth.
func Share(cases []Case) []Case {
	var share []Case
	count := map[string]int{}
	for _, c := range cases {
		if count[c.File]%4 == 0 {
			share = append(share, c)
		}
		count[c.File]++
	}
	return share
}

// Of returns the cases that run one file.
func Of(cases []Case, file string) []Case {
	return slices.DeleteFunc(slices.Clone(cases), func(c Case) bool { return c.File != file })
}
