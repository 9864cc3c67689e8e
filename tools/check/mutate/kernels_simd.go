package main

// simdMutants spoil simd.h.
var simdMutants = []mutant{
	{"simd.h", "row of a lane without its upper half", "(lane >> 4 & 1) * 4 + (lane >> 1 & 3)", "(lane >> 1 & 3)"},
	{"simd.h", "row of a lane by the wrong bit", "(lane >> 4 & 1) * 4", "(lane >> 3 & 1) * 4"},
	{"simd.h", "column of a lane by the wrong bit", "(lane >> 3 & 1) * 4", "(lane >> 2 & 1) * 4"},
	{"simd.h", "columns of a lane not in pairs", "(lane & 1) * 2) {}", "(lane & 1)) {}"},
	{"simd.h", "lanes row by row", "row((lane >> 4 & 1) * 4 + (lane >> 1 & 3))", "row(lane / 4)"},
	{"simd.h", "lane of a row without its upper half", "(r >> 2) << 4 | ", ""},
	{"simd.h", "lane of a row shifted too little", "(r & 3) << 1", "(r & 3)"},
	{"simd.h", "lane of a row in other columns", " | (index & 1); }", "; }"},
	{"simd.h", "lane beside in the left half", " | (c >> 2 & 1) << 3", ""},
	{"simd.h", "lane beside by the wrong bit", "(c >> 2 & 1) << 3", "(c >> 1 & 1) << 3"},
	{"simd.h", "lane beside by an odd column", "| (c >> 1 & 1)", "| (c & 1)"},
	{"simd.h", "lane beside of the same half", "(index & ~9u)", "(index & ~1u)"},
	{"simd.h", "wrong mask of a sum", "return x + simd_shuffle_xor(x, 8)", "return x + simd_shuffle_xor(x, 4)"},
	{"simd.h", "another row summed", "x += simd_shuffle_xor(x, 1)", "x += simd_shuffle_xor(x, 2)"},
	{"simd.h", "half a row summed", "return x + simd_shuffle_xor(x, 8)", "return x"},
	{"simd.h", "wrong mask of a maximum", "max(x, simd_shuffle_xor(x, 8))", "max(x, simd_shuffle_xor(x, 16))"},
	{"simd.h", "half a row's maximum", "x = max(x, simd_shuffle_xor(x, 1));", ""},
	{"simd.h", "shuffle down for xor", "x += simd_shuffle_xor(x, 1)", "x += simd_shuffle_down(x, 1)"},
	{"simd.h", "factors swapped", "(c, left, right, c)", "(c, right, left, c)"},
	{"simd.h", "elements swapped", "right.thread_elements()[0] = b[0]", "right.thread_elements()[0] = b[1]"},
	{"simd.h", "element not set", "    left.thread_elements()[1] = a[1];\n", ""},
	{"simd.h", "sums in the factors' type", "thread simdgroup_float8x8& c", "thread simdgroup_matrix<T, 8, 8>& c"},
}
