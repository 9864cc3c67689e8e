// split.h: a product of few rows, y = act(a wT + bias + residual), with each sum over K shared out among SIMD-groups.
//
// All SIMD-groups of a threadgroup make the same 8 MF rows and 8 NF columns. SIMD-group s of S takes step s of K, of 32 terms, and
// every S-th from there. So a product of few rows has S times the threadgroups of gemm.metal, each goes along K in 1/S of the
// steps, and together its SIMD-groups read 32 S neighbours of a row of weights. As no two of them use the same part of a either,
// it is read straight into registers: nothing waits for another SIMD-group before the last step.
//
// A sum has another order than in Tile::multiply, and so other bits: first each SIMD-group's terms, then by SIMD-groups, from the
// first on. It is the same for all MF and NF with the same S.
#pragma once

#include "gemm.h"

// Partial is room for the sums of all SIMD-groups: of each a lane's two elements of each block.
template <int MF, int NF, int S>
struct Partial {
    static constant constexpr uint blocks = MF * NF;
    static constant constexpr uint elements = S * blocks * simdWidth;

    static uint at(uint simdgroup, uint block, Lane lane) {
        return (simdgroup * blocks + block) * simdWidth + lane.index;
    }
};

// splitLinear makes the part of y of a threadgroup. Weights w read every S-th step.
template <typename T, int MF, int NF, int S, typename Weights>
static inline void splitLinear(
    GemmArgs args,
    Place place,
    uint simdgroup,
    Weights w,
    device const T* a,
    device const float* bias,
    device T* y,
    device const T* residual,
    device const uint* rows,
    threadgroup float2* partial
) {
    typedef Partial<MF, NF, S> Sums;
    const Operands<T> of = {a, bias, y, residual, rows, nullptr, nullptr, nullptr, nullptr};
    const Lane lane = place.lane;
    const GatheredRows<T> source = {a, gatherA ? rows : nullptr, args.M, place.row0};
    uint from[MF]; // elements of a to the lane's first
    UNROLL for (uint i = 0; i < MF; i++) {
        from[i] = source.row(side * i + lane.row) * args.K + 4 * lane.column;
    }
    Tile<T, MF, NF> tile;
    for (uint k0 = depth * simdgroup; k0 < args.K; k0 += depth * S) {
        vec<T, 4> part[NF][2];
        w.load(k0, part);
        const uint k = k0 + 4 * lane.column;
        UNROLL for (uint i = 0; i < MF; i++) {
            device const vec<T, 4>* run = (device const vec<T, 4>*)(a + (from[i] + k0));
            const vec<T, 4> left = k < args.K ? run[0] : vec<T, 4>(T(0));
            const vec<T, 4> right = k + 4 < args.K ? run[1] : vec<T, 4>(T(0));
            tile.add(i, left, right, part);
        }
    }
    UNROLL for (uint i = 0; i < MF; i++) {
        UNROLL for (uint j = 0; j < NF; j++) {
            partial[Sums::at(simdgroup, i * NF + j, lane)] =
                float2(tile.sums[i][j].thread_elements()[0], tile.sums[i][j].thread_elements()[1]);
        }
    }
    // All SIMD-groups' sums are there before they are added up.
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint block = simdgroup; block < Sums::blocks; block += S) {
        float2 sums = partial[Sums::at(0, block, lane)];
        UNROLL for (uint s = 1; s < S; s++) {
            sums += partial[Sums::at(s, block, lane)];
        }
        const uint i = block / NF;
        const uint j = block % NF;
        const uint m = place.row0 + side * i + lane.row;
        const uint n = place.column0 + side * j + lane.column;
        if (m < args.M && n < args.N) {
            store(args, m, n, finish(args, place, i, j, sums, RowOfA{float2(0.0f), 0}, of), of);
        }
    }
}
