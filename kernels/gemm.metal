// gemm.metal: a linear layer.
//   y[m,n] = act(sum_k a[r,k] * w[n,k] + bias[n] + residual[s,n]),  r = rows[m] if gatherA, else m;
//                                                                   s = rows[m] if gatherResidual, else m
//   and by constants: rows of a get their norm (params.h), pairs of columns are turned by rotary positions before they are stored,
//   or are a gate and a value, so that y[m,n/2] = act(.. of n) * (.. of n + 1)
// Buffers: 0 GemmArgs  1 a [T, K]  2 w [N, K]  3 bias [N] f32  4 y [M, N]
//          5 residual [T or M, N], if hasResidual; f32 if kept  6 rows [M] u32, if one of the gathers is set
//          7 turns [P, D/2] float2: cosine and sine, and 8 positions [T or M] u32, if turned  9 statistics of a or, if kept, of
//          the result  10 sum [M, N] f32, if kept; may be the residual, unless that is gathered
//          bias is [2, N] if normed, unless rms, or kept: with sum_k gamma w, or with the next norm's gamma / keptShrink
// Grid: (ceil(N / (8 NF S)), ceil(M / (8 MF))) groups of S SIMD-groups, S = simdgroups
// Threadgroup memory: two tiles of a, 2 * 8 MF * 40 elements: 10,240 B for gemm_f16_nt_64x16
// Needs: K % 4 == 0, N % 2 == 0; a, w, y and residual begin at a multiple of four elements
// Numerics: f32 accumulators; one rounding, at the store
// Constants: activation, hasResidual, gatherA, gatherResidual, simdgroups, gated, turned, headSize, normed, rms, kept
// Variants: gemm_f16_nt_{64x32,64x16}, gemm_{f16,f32}_nt_{32x32,32x16,8x32}; the last are the rows of a threadgroup and the columns of a SIMD-group

#include "gemm.h"

template <typename T, int MF, int NF>
[[kernel, max_total_threads_per_threadgroup(128)]] void gemm(
    constant GemmArgs& args [[buffer(0)]],
    device const T* a [[buffer(1)]],
    device const T* w [[buffer(2)]],
    device const float* bias [[buffer(3)]],
    device T* y [[buffer(4)]],
    device const T* residual [[buffer(5), function_constant(hasResidual)]],
    device const uint* rows [[buffer(6), function_constant(hasRows)]],
    device const float2* turns [[buffer(7), function_constant(hasTurns)]],
    device const uint* positions [[buffer(8), function_constant(hasTurns)]],
    device float2* statistics [[buffer(9), function_constant(hasStatistics)]],
    device float* sum [[buffer(10), function_constant(kept)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint laneIndex [[thread_index_in_simdgroup]]
) {
    alignas(16) threadgroup T tiles[2 * Tile<T, MF, NF>::elements];
    const Lane lane(laneIndex);
    const Place place = {
        group.y * side * MF, (group.x * simdgroups + simdgroup) * side * NF, index, lane
    };
    const DenseWeights<T, NF> weights(w, args.N, args.K, place.column0, lane);
    linear<T, MF, NF, depth>(
        args, place, weights,
        Operands<T>{a, bias, y, residual, rows, turns, positions, statistics, sum}, tiles
    );
}

#define INSTANTIATE(name, T, MF, NF)                                                               \
    template [[host_name(name)]] [[kernel]] decltype(gemm<T, MF, NF>) gemm<T, MF, NF>;

INSTANTIATE("gemm_f16_nt_64x32", half, 8, 4)
INSTANTIATE("gemm_f16_nt_64x16", half, 8, 2)
INSTANTIATE("gemm_f16_nt_32x32", half, 4, 4)
INSTANTIATE("gemm_f16_nt_32x16", half, 4, 2)
INSTANTIATE("gemm_f16_nt_8x32", half, 1, 4)
INSTANTIATE("gemm_f32_nt_32x32", float, 4, 4)
INSTANTIATE("gemm_f32_nt_32x16", float, 4, 2)
INSTANTIATE("gemm_f32_nt_8x32", float, 1, 4)
