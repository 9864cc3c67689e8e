package main

// headMutants spoil head.metal.
var headMutants = []mutant{
	{"head.metal", "sums read before they are there", barrier + "\n        if (simdgroup == 0", "if (simdgroup == 0"},
	{"head.metal", "sums overwritten before they are read", "        }\n        // They have been read before the next label's replace them.\n        " + barrier, "        }"},
	{"head.metal", "first barrier of a SIMD-group only", barrier + "\n        if (simdgroup == 0", "simdgroup_barrier(mem_flags::mem_threadgroup);\n        if (simdgroup == 0"},
	{"head.metal", "every SIMD-group writes", "if (simdgroup == 0 && lane", "if (lane"},
	{"head.metal", "every column writes", "simdgroup == 0 && lane.column == 0 && ", "simdgroup == 0 && "},
	{"head.metal", "sequences not tested", " && row0 + lane.row < args.sequences", ""},
	{"head.metal", "one sequence too many", "row0 + lane.row < args.sequences", "row0 + lane.row <= args.sequences"},
	{"head.metal", "last sequence dropped", "row0 + lane.row < args.sequences", "row0 + lane.row + 1 < args.sequences"},
	{"head.metal", "stride of the result", "(row0 + lane.row) * args.labels + c", "(row0 + lane.row) + c * args.labels"},
	{"head.metal", "bias of the first label", "sums.get(0) + d[c]", "sums.get(0) + d[0]"},
	{"head.metal", "bias before the activation left out", "activate(activation, pooled.thread_elements()[0] + bias[n])", "activate(activation, pooled.thread_elements()[0])"},
	{"head.metal", "bias after the activation", "activate(activation, pooled.thread_elements()[1] + bias[n + 1])", "activate(activation, pooled.thread_elements()[1]) + bias[n + 1]"},
	{"head.metal", "classifier of the first label", "v + ulong(c) * H + column0", "v + column0"},
	{"head.metal", "classifier of the first SIMD-group", "ulong(c) * H + column0 + side", "ulong(c) * H + side"},
	{"head.metal", "sum not begun again", "for (uint c = 0; c < args.labels; c++) {\n        float sum = 0.0f;", "float sum = 0.0f;\n    for (uint c = 0; c < args.labels; c++) {"},
	{"head.metal", "second element left out", " +\n                       tile.sums[0][j].thread_elements()[1] * row[1];", ";"},
	{"head.metal", "blocks not limited", "min((H - column0) / side, uint(NF))", "uint(NF)"},
	{"head.metal", "blocks of absent columns", "H > column0 ? min((H - column0) / side, uint(NF)) : 0", "min(H / side, uint(NF))"},
	{"head.metal", "gather ignored", "gatherA ? rows : nullptr", "nullptr"},
	{"head.metal", "rows of a group", "row0 = group * side", "row0 = group * simdWidth"},
	{"head.metal", "too few partial sums", "partial[maxSimdgroups * side]", "partial[side]"},
	{"head.metal", "last label left out", "c < args.labels; c++", "c + 1 < args.labels; c++"},
	{"head.metal", "fewer columns in the wide variant", `"head_f16_wide", half, 16`, `"head_f16_wide", half, 6`},
	{"head.metal", "classifier read as half", "device const float* v [[buffer(4)]]", "device const half* v [[buffer(4)]]"},
}
