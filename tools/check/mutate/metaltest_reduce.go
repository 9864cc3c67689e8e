package main

const barrier = "threadgroup_barrier(mem_flags::mem_threadgroup);"

// reduceMutants spoil reduce.metal.
var reduceMutants = []mutant{
	{"reduce.metal", "barrier removed", barrier, ""},
	{"reduce.metal", "barrier for device memory only", barrier, "threadgroup_barrier(mem_flags::mem_device);"},
	{"reduce.metal", "barrier for no memory", barrier, "threadgroup_barrier(mem_flags::mem_none);"},
	{"reduce.metal", "barrier of a SIMD-group only", barrier, "simdgroup_barrier(mem_flags::mem_threadgroup);"},
	{"reduce.metal", "barrier that not all reach", barrier + "\n    if (simdgroup == 0) {",
		"if (simdgroup == 0) {\n        " + barrier},
	{"reduce.metal", "piece begins one too late", "group * args.chunk;", "group * args.chunk + 1;"},
	{"reduce.metal", "last piece not cut short", "min(begin + args.chunk, args.count)", "begin + args.chunk"},
	{"reduce.metal", "one too many", "i < end", "i <= end"},
	{"reduce.metal", "stride of a SIMD-group", "i += threads", "i += simdWidth"},
	{"reduce.metal", "starts at the lane", "begin + index", "begin + lane"},
	{"reduce.metal", "lanes not summed", "sum = simd_sum(sum);", ""},
	{"reduce.metal", "max for sum", "sum = simd_sum(sum);", "sum = simd_max(sum);"},
	{"reduce.metal", "wrong lane stores", "if (lane == 0) {\n        partial", "if (lane == 1) {\n        partial"},
	{"reduce.metal", "every lane stores", "if (lane == 0) {\n        partial", "if (lane < simdWidth) {\n        partial"},
	{"reduce.metal", "too few partial sums", "partial[maxSimdgroups]", "partial[maxSimdgroups / 2]"},
	{"reduce.metal", "partial sums in thread memory", "threadgroup float partial", "float partial"},
	{"reduce.metal", "absent SIMD-groups summed", "lane < simdgroups ? partial[lane] : 0.0f", "partial[lane]"},
	{"reduce.metal", "one SIMD-group too many", "lane < simdgroups", "lane <= simdgroups"},
	{"reduce.metal", "all groups write one place", "y[group] = sum", "y[0] = sum"},
	{"reduce.metal", "result one too far", "y[group] = sum", "y[group + 1] = sum"},
	{"reduce.metal", "every lane writes the result", "if (lane == 0) {\n            y", "if (lane < simdWidth) {\n            y"},
	{"reduce.metal", "pointer without address space", "device const float* x", "const float* x"},
	{"reduce.metal", "one index for two buffers", "[[buffer(2)]]", "[[buffer(1)]]"},
	{"reduce.metal", "index for lane", "[[thread_index_in_simdgroup]]", "[[thread_index_in_threadgroup]]"},
}
