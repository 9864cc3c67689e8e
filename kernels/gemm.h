// gemm.h: the common part of the linear layers in gemm.metal and gemm_quant.metal: all but reading weights.
#pragma once

#include "activation.h"
#include "tile.h"

constant uint activation [[function_constant(CONSTANT_ACTIVATION)]];
constant bool hasResidual [[function_constant(CONSTANT_RESIDUAL)]];
constant bool gatherA [[function_constant(CONSTANT_GATHER_A)]];
constant bool gatherResidual [[function_constant(CONSTANT_GATHER_RES)]];
constant uint simdgroups [[function_constant(CONSTANT_SIMDGROUPS)]];
constant bool hasRows = gatherA || gatherResidual;

// Place is the part of y that a thread makes.
struct Place {
    uint row0;    // of the threadgroup
    uint column0; // of the SIMD-group
    uint index;   // of the thread in its threadgroup
    Lane lane;
};

// finish adds bias and residual to the lane's two sums of block (i, j), and applies the activation.
template <typename T>
static inline float2 finish(
    GemmArgs args,
    Place place,
    uint i,
    uint j,
    float2 sums,
    device const float* bias,
    device const T* residual,
    device const uint* rows
) {
    const uint m = min(place.row0 + side * i + place.lane.row, args.M - 1);
    const uint n =
        place.column0 + side * j + place.lane.column; // N is even, so that n + 1 is inside if n is
    float2 y = sums + float2(bias[n], bias[n + 1]);
    if (hasResidual) {
        const uint from = gatherResidual ? rows[m] : m;
        y += float2(*(device const vec<T, 2>*)(residual + ulong(from) * args.N + n));
    }
    return float2(activate<T>(activation, y[0]), activate<T>(activation, y[1]));
}

// linear makes y = act(a wT + bias + residual), Depth terms of the sums at a time.
template <typename T, int MF, int NF, int Depth, typename Weights>
static inline void linear(
    GemmArgs args,
    Place place,
    Weights w,
    device const T* a,
    device const float* bias,
    device T* y,
    device const T* residual,
    device const uint* rows,
    threadgroup T* tiles
) {
    Tile<T, MF, NF, Depth> tile;
    const GatheredRows<T> from = {a, gatherA ? rows : nullptr, args.M, place.row0};
    tile.multiply(from, w, args.K, tiles, place.index, simdWidth * simdgroups, place.lane);
    UNROLL for (uint i = 0; i < MF; i++) {
        const uint m = place.row0 + side * i + place.lane.row;
        UNROLL for (uint j = 0; j < NF; j++) {
            const uint n = place.column0 + side * j + place.lane.column;
            if (m < args.M && n < args.N) {
                const float2 sums = float2(
                    tile.sums[i][j].thread_elements()[0], tile.sums[i][j].thread_elements()[1]
                );
                const float2 value = finish(args, place, i, j, sums, bias, residual, rows);
                *(device vec<T, 2>*)(y + ulong(m) * args.N + n) = vec<T, 2>(value);
            }
        }
    }
}
