// simd.h: how the 32 lanes of a SIMD-group hold an 8 x 8 matrix, and functions that rely on it.
//
// Apple documents simdgroup_matrix but not which lane holds which element. Every Apple GPU so far has used the layout
// below, which the kernels of MLX rely on too (mlx/backend/metal/kernels/steel/gemm/mma.h); the case `lanes` of
// selftest fails on a device that differs. Knowing it, a kernel fills matrices straight from vectors in registers,
// and works on results without a trip through threadgroup memory.
#pragma once

#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;

// UNROLL makes straight code of the loop behind it. An array that a loop indexes is in memory, and not in registers.
#define UNROLL _Pragma("clang loop unroll(full)")

constant constexpr uint simdWidth = 32;
constant constexpr uint side = 8; // rows, and columns, of a simdgroup_matrix

// A lane holds two neighbours of one row: elements (row, column) and (row, column + 1).
struct Lane {
    uint index;
    uint row;    // 0 to 7
    uint column; // 0, 2, 4 or 6

    explicit Lane(uint lane)
        : index(lane), row((lane >> 4 & 1) * 4 + (lane >> 1 & 3)),
          column((lane >> 3 & 1) * 4 + (lane & 1) * 2) {}

    // at is the lane that holds row r and this lane's columns.
    uint at(uint r) const { return (r >> 2) << 4 | (index & 8) | (r & 3) << 1 | (index & 1); }

    // beside is the lane of this row that holds column c % 8.
    uint beside(uint c) const { return (index & ~9u) | (c >> 2 & 1) << 3 | (c >> 1 & 1); }
};

// sumRow adds up x over the four lanes of a row; they differ in bits 0 and 3 of their index.
static inline float sumRow(float x) {
    x += simd_shuffle_xor(x, 1);
    return x + simd_shuffle_xor(x, 8);
}

// maxRow is the same for the maximum.
static inline float maxRow(float x) {
    x = max(x, simd_shuffle_xor(x, 1));
    return max(x, simd_shuffle_xor(x, 8));
}

// multiplyAdd is c += a b, where a and b are given as the lane's two elements.
template <typename T>
static inline void multiplyAdd(thread simdgroup_float8x8& c, vec<T, 2> a, vec<T, 2> b) {
    simdgroup_matrix<T, 8, 8> left;
    simdgroup_matrix<T, 8, 8> right;
    left.thread_elements()[0] = a[0];
    left.thread_elements()[1] = a[1];
    right.thread_elements()[0] = b[0];
    right.thread_elements()[1] = b[1];
    simdgroup_multiply_accumulate(c, left, right, c);
}
