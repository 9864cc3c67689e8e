// gemm.h: the common part of the linear layers in gemm.metal and gemm_quant.metal: all but reading weights.
#pragma once

#include "activation.h"
#include "kept.h"
#include "tile.h"
#include "turn.h"

constant uint activation [[function_constant(CONSTANT_ACTIVATION)]];
constant bool hasResidual [[function_constant(CONSTANT_RESIDUAL)]];
constant bool gatherA [[function_constant(CONSTANT_GATHER_A)]];
constant bool gatherResidual [[function_constant(CONSTANT_GATHER_RES)]];
constant uint simdgroups [[function_constant(CONSTANT_SIMDGROUPS)]];
constant uint headSize [[function_constant(CONSTANT_HEAD_SIZE)]];
constant bool gated [[function_constant(CONSTANT_GATED)]];
constant uint turned [[function_constant(CONSTANT_TURNED)]];
constant bool normed [[function_constant(CONSTANT_NORMED)]];
constant bool kept [[function_constant(CONSTANT_KEPT)]];
constant bool hasRows = gatherA || gatherResidual;
constant bool hasTurns = turned != 0;
constant bool hasStatistics = normed || kept;

// Place is the part of y that a thread makes.
struct Place {
    uint row0;    // of the threadgroup
    uint column0; // of the SIMD-group
    uint index;   // of the thread in its threadgroup
    Lane lane;
};

// Operands are the buffers of a linear layer, weights aside; null where a constant says that there is none.
template <typename T>
struct Operands {
    device const T* a;
    device const float* bias; // [N]; [2, N] with sum_k gamma w if normed, or the next gamma if kept
    device T* y;
    device const T* residual; // f32 if kept
    device const uint* rows;
    device const float2* turns; // [P, D/2]: cosine and sine
    device const uint* positions;
    device float2* statistics; // of a, if normed; of the result, if kept
    device float* sum;
};

// RowOfA is what the epilogue needs of a lane's row of a.
struct RowOfA {
    float2 norm; // keptNorm, if normed
    uint turns;  // the first of its position, if hasTurns
};

// finish makes of the lane's two sums of block (i, j) two values of y, or of a gate and a value one.
template <typename T>
static inline float2 finish(
    GemmArgs args,
    Place place,
    uint i,
    uint j,
    float2 sums,
    RowOfA row,
    Operands<T> of
) {
    const uint m = min(place.row0 + side * i + place.lane.row, args.M - 1);
    const uint n =
        place.column0 + side * j + place.lane.column; // N is even, so that n + 1 is inside if n is
    if (normed) {
        device const float* shift = of.bias + args.N;
        sums = row.norm[1] * (rms ? sums : sums - row.norm[0] * float2(shift[n], shift[n + 1]));
    }
    float2 y = sums + float2(of.bias[n], of.bias[n + 1]);
    if (n < turned) {
        y = turn(y, of.turns[row.turns + n % headSize / 2]);
    }
    if (hasResidual) {
        const ulong from = ulong(gatherResidual ? of.rows[m] : m) * args.N + n;
        y += kept ? *(device const float2*)((device const float*)of.residual + from)
                  : float2(*(device const vec<T, 2>*)(of.residual + from));
    }
    if (gated) {
        return float2(activate<T>(activation, y[0]) * y[1], 0.0f);
    }
    return float2(activate<T>(activation, y[0]), activate<T>(activation, y[1]));
}

// store stores what finish made for column n, which is inside.
template <typename T>
static inline void store(GemmArgs args, uint m, uint n, float2 value, Operands<T> of) {
    const ulong at = ulong(m) * args.N + n;
    if (gated) {
        of.y[at / 2] = T(value[0]);
        return;
    }
    if (kept) {
        *(device float2*)(of.sum + at) = value;
        device const float* gamma = of.bias + args.N;
        value *= float2(gamma[n], gamma[n + 1]);
    }
    *(device vec<T, 2>*)(of.y + at) = vec<T, 2>(value);
}

// describe stores the statistics of a threadgroup's part of a kept sum, which tile holds: of every 16 columns in partial,
// [columns / 16, 8 MF], and from there of every strip. The columns of a threadgroup are whole strips.
template <typename T, int MF, int NF, int Depth>
static inline void describe(
    GemmArgs args,
    Place place,
    thread Tile<T, MF, NF, Depth>& tile,
    device float2* statistics,
    threadgroup float2* partial
) {
    static_assert(NF % 2 == 0, "16 columns are two blocks");
    const uint group0 = place.column0 / (side * NF * simdgroups) * (side * NF * simdgroups);
    UNROLL for (uint i = 0; i < MF; i++) {
        UNROLL for (uint j = 0; j < NF; j += 2) {
            const uint n = place.column0 + side * j;
            const float count = args.N > n ? float(min(args.N - n, 16u)) : 1.0f;
            float sum = 0.0f;
            UNROLL for (uint b = j; b < j + 2; b++) {
                if (place.column0 + side * b + place.lane.column < args.N) {
                    sum +=
                        tile.sums[i][b].thread_elements()[0] + tile.sums[i][b].thread_elements()[1];
                }
            }
            const float mean = sumRow(sum) / count;
            float squares = 0.0f;
            UNROLL for (uint b = j; b < j + 2; b++) {
                if (place.column0 + side * b + place.lane.column < args.N) {
                    const float first = tile.sums[i][b].thread_elements()[0] - mean;
                    const float second = tile.sums[i][b].thread_elements()[1] - mean;
                    squares += first * first + second * second;
                }
            }
            squares = sumRow(squares);
            if (place.lane.column == 0) {
                partial[(n - group0) / 16 * side * MF + side * i + place.lane.row] =
                    float2(mean, squares);
            }
        }
    }
    // All parts of a strip are there before they are put together.
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const uint strips = stripsOf(args.N);
    for (uint at = place.index; at < side * MF * (side * NF * simdgroups / keptStrip);
         at += simdWidth * simdgroups) {
        const uint row = at % (side * MF);
        const uint strip = at / (side * MF);
        const uint n = group0 + keptStrip * strip;
        if (place.row0 + row >= args.M || n >= args.N) {
            continue;
        }
        const uint width = min(args.N - n, keptStrip);
        float sum = 0.0f;
        UNROLL for (uint q = 0; q < keptStrip / 16; q++) {
            if (16 * q < width) {
                sum += float(min(width - 16 * q, 16u)) *
                       partial[(strip * (keptStrip / 16) + q) * side * MF + row][0];
            }
        }
        const float mean = sum / float(width);
        float squares = 0.0f;
        UNROLL for (uint q = 0; q < keptStrip / 16; q++) {
            if (16 * q < width) {
                const float2 part = partial[(strip * (keptStrip / 16) + q) * side * MF + row];
                const float distance = part[0] - mean;
                squares += part[1] + float(min(width - 16 * q, 16u)) * distance * distance;
            }
        }
        statistics[ulong(place.row0 + row) * strips + n / keptStrip] = float2(mean, squares);
    }
}

// linear makes y = act(a wT + bias + residual), Depth terms of the sums at a time.
template <typename T, int MF, int NF, int Depth, typename Weights>
static inline void linear(
    GemmArgs args,
    Place place,
    Weights w,
    Operands<T> of,
    threadgroup T* tiles
) {
    Tile<T, MF, NF, Depth> tile;
    const GatheredRows<T> from = {of.a, gatherA ? of.rows : nullptr, args.M, place.row0};
    tile.multiply(from, w, args.K, tiles, place.index, simdWidth * simdgroups, place.lane);
    UNROLL for (uint i = 0; i < MF; i++) {
        const uint m = place.row0 + side * i + place.lane.row;
        RowOfA row = {float2(0.0f), 0};
        if (normed) {
            row.norm = keptNorm<T>(
                of.statistics, from.row(side * i + place.lane.row), args.K, args.epsilon, place.lane
            );
        }
        if (hasTurns) {
            row.turns = of.positions[from.row(side * i + place.lane.row)] * (headSize / 2);
        }
        UNROLL for (uint j = 0; j < NF; j++) {
            const uint n = place.column0 + side * j + place.lane.column;
            if (m < args.M && n < args.N) {
                const float2 sums = float2(
                    tile.sums[i][j].thread_elements()[0], tile.sums[i][j].thread_elements()[1]
                );
                const float2 value = finish(args, place, i, j, sums, row, of);
                store(args, m, n, value, of);
                if (kept) {
                    tile.sums[i][j].thread_elements()[0] = value[0];
                    tile.sums[i][j].thread_elements()[1] = value[1];
                }
            }
        }
    }
    if (kept) {
        describe(args, place, tile, of.statistics, (threadgroup float2*)tiles);
    }
}
