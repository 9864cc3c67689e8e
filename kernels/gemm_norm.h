// gemm_norm.h: the common part of gemm_norm.metal and gemm_norm_quant.metal: a linear layer with threadgroups that make
// whole rows, so that they can normalise rows before they store them.
#pragma once

#include "gemm.h"
#include "rownorm.h"

template <typename T, int MF, int NF, int Depth, typename Weights>
static inline void linearNorm(
    GemmArgs args,
    Place place,
    uint simdgroup,
    Weights w,
    device const T* a,
    device const float* vectors,
    device T* y,
    device const T* residual,
    device const uint* rows,
    threadgroup T* tiles,
    threadgroup float* partial
) {
    const Operands<T> of = {a, vectors, y, residual, rows, nullptr, nullptr, nullptr, nullptr};
    Tile<T, MF, NF, Depth> tile;
    const GatheredRows<T> from = {a, gatherA ? rows : nullptr, args.M, place.row0};
    tile.multiply(from, w, args.K, tiles, place.index, simdWidth * simdgroups, place.lane);

    const uint blocks = args.N > place.column0 ? min((args.N - place.column0) / side, uint(NF)) : 0;
    UNROLL for (uint i = 0; i < MF; i++) {
        UNROLL for (uint j = 0; j < NF; j++) {
            if (j < blocks) {
                const float2 sums = float2(
                    tile.sums[i][j].thread_elements()[0], tile.sums[i][j].thread_elements()[1]
                );
                const float2 value = finish(args, place, i, j, sums, RowOfA{float2(0.0f), 0}, of);
                tile.sums[i][j].thread_elements()[0] = value[0];
                tile.sums[i][j].thread_elements()[1] = value[1];
            }
        }
    }
    const uint strips = (args.N / side + stripBlocks - 1) / stripBlocks;
    const uint strip = simdgroup * NF / stripBlocks;
    const RowSums<MF> first = {partial, strips, strip, place.lane};
    const RowSums<MF> second = {partial + maxStrips * side * MF, strips, strip, place.lane};
    normalizeRows(tile, args.N, blocks, args.epsilon, first, second);

    device const float* gamma = vectors + args.N;
    device const float* beta = gamma + args.N;
    UNROLL for (uint i = 0; i < MF; i++) {
        const uint m = place.row0 + side * i + place.lane.row;
        UNROLL for (uint j = 0; j < NF; j++) {
            const uint n = place.column0 + side * j + place.lane.column;
            if (m < args.M && j < blocks) {
                const float2 x = float2(
                    tile.sums[i][j].thread_elements()[0], tile.sums[i][j].thread_elements()[1]
                );
                const float2 value =
                    x * float2(gamma[n], gamma[n + 1]) + float2(beta[n], beta[n + 1]);
                *(device vec<T, 2>*)(y + ulong(m) * args.N + n) = vec<T, 2>(value);
            }
        }
    }
}
