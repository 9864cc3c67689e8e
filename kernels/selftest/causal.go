package selftest

import "github.com/metalrank/metalrank/kernels"

// causalCases have heads of up to 128 values, heads that share keys, and queries that see no key behind them, with windows and
// prefixes. Lengths are those of items (64 queries), of blocks of keys (16 to 64) and of SIMD-groups, and their neighbours; those
// of prefixes and of what follows them together, too.
func causalCases(d kernels.DType) []Case {
	var cases []Case
	for _, a := range []Attention{
		{Heads: 1, HeadSize: 128, Lengths: []int{1, 8, 9, 16, 17, 33, 65}},
		{Heads: 4, HeadSize: 128, KeyHeads: 2, Lengths: []int{31, 64, 7}},
		{Heads: 2, HeadSize: 72, KeyHeads: 1, Lengths: []int{40, 3}, Slopes: true},
		{Heads: 2, HeadSize: 128, Lengths: []int{100, 21}, Window: 20},
		{Heads: 6, HeadSize: 32, KeyHeads: 2, Lengths: []int{9, 70}},
		{Heads: 2, HeadSize: 128, Lengths: []int{20, 33}, PositionKeys: true, PositionQueries: true, Reach: 20},
	} {
		a.DType = d
		first, last := a, a
		first.First, last.Last = true, true
		cases = append(cases, a.Case(), first.Case(), last.Case())
	}
	for _, a := range []Attention{
		{Heads: 1, HeadSize: 32, Lengths: []int{1, 7, 8, 9, 15, 17, 31, 33, 63, 64, 65, 130}},
		{Heads: 2, HeadSize: 64, KeyHeads: 1, Lengths: []int{1, 33, 97}},
		{Heads: 4, HeadSize: 128, KeyHeads: 2, Lengths: []int{5, 16, 17, 70}},
		{Heads: 3, HeadSize: 20, Lengths: []int{40, 66}, Slopes: true},
		{Heads: 1, HeadSize: 32, Lengths: []int{1, 8, 9, 150, 200}, Window: 9},
		{Heads: 1, HeadSize: 64, Lengths: []int{193, 7}, Window: 70},
		{Heads: 2, HeadSize: 32, Lengths: []int{70, 33}, Falling: true},
		{Heads: 1, HeadSize: 128, Lengths: []int{70}, Falling: true},
		{Heads: 2, HeadSize: 32, KeyHeads: 1, Lengths: []int{1, 40, 70, 5, 1, 9}, Prefixes: []int32{-1, 0, -1, 2, 2, -1}},
		{Heads: 2, HeadSize: 128, KeyHeads: 1, Lengths: []int{33, 64, 66, 31, 2}, Prefixes: []int32{-1, 0, 0, 0, -1}},
		{Heads: 1, HeadSize: 64, Lengths: []int{32, 64, 40, 70}, Prefixes: []int32{-1, -1, 1, 0}},
		{Heads: 1, HeadSize: 32, Lengths: []int{150, 70, 9}, Prefixes: []int32{-1, 0, 0}, Window: 40},
		{Heads: 1, HeadSize: 20, Lengths: []int{30, 70, 1}, Prefixes: []int32{-1, 0, 0}, Window: 3, Slopes: true},
		{Heads: 1, HeadSize: 32, Lengths: []int{20, 33}, Prefixes: []int32{-1, 0}, PositionKeys: true, PositionQueries: true, Reach: 20},
	} {
		a.DType, a.Causal = d, true
		last := a
		last.Last = true
		cases = append(cases, a.Case(), last.Case())
	}
	return cases
}
