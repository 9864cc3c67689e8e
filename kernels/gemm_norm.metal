// gemm_norm.metal: a linear layer, residual and layer norm; one threadgroup makes whole rows.
//   x[m,n] = sum_k a[r,k] * w[n,k] + bias[n] + residual[s,n],  r and s as in gemm.metal
//   y[m,n] = (x[m,n] - mean[m]) / sqrt(variance[m] + epsilon) * gamma[n] + beta[n]
// Buffers: 0 GemmArgs  1 a [T, K]  2 w [N, K]  3 bias, gamma, beta [3, N] f32  4 y [M, N]
//          5 residual [T or M, N], if hasResidual  6 rows [M] u32, if one of the gathers is set
// Grid: ceil(M / (8 MF)) groups of S = ceil(N / (8 NF)) SIMD-groups, S = simdgroups
// Threadgroup memory: two tiles of a, 2 * 8 MF * 40 elements, and two sums per row and strip, 2 * 36 * 8 MF f32: 14,336 B
//          for gemm_norm_f16_nt_32x48
// Needs: K % 4 == 0, N % 8 == 0, S <= 12; a, w, y and residual begin at a multiple of four elements
// Numerics: f32 from the products to the store, where the only rounding is; variance in a second pass, in registers
// Constants: activation (before the norm), hasResidual, gatherA, gatherResidual, simdgroups
// Variants: gemm_norm_f16_nt_32x48, gemm_norm_{f16,f32}_nt_{32x32,16x48,8x48}: rows of a threadgroup, columns of a SIMD-group

#include "gemm_norm.h"

template <typename T, int MF, int NF>
[[kernel, max_total_threads_per_threadgroup(384)]] void gemm_norm(
    constant GemmArgs& args [[buffer(0)]],
    device const T* a [[buffer(1)]],
    device const T* w [[buffer(2)]],
    device const float* vectors [[buffer(3)]],
    device T* y [[buffer(4)]],
    device const T* residual [[buffer(5), function_constant(hasResidual)]],
    device const uint* rows [[buffer(6), function_constant(hasRows)]],
    uint group [[threadgroup_position_in_grid]],
    uint index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint laneIndex [[thread_index_in_simdgroup]]
) {
    alignas(16) threadgroup T tiles[2 * Tile<T, MF, NF>::elements];
    threadgroup float partial[2 * maxStrips * side * MF];
    const Lane lane(laneIndex);
    const Place place = {group * side * MF, simdgroup * side * NF, index, lane};
    const DenseWeights<T, NF> weights(w, args.N, args.K, place.column0, lane);
    linearNorm<T, MF, NF, depth>(
        args, place, simdgroup, weights, a, vectors, y, residual, rows, tiles, partial
    );
}

#define INSTANTIATE(name, T, MF, NF)                                                               \
    template [[host_name(name)]] [[kernel]] decltype(gemm_norm<T, MF, NF>) gemm_norm<T, MF, NF>;

INSTANTIATE("gemm_norm_f16_nt_32x48", half, 4, 6)
INSTANTIATE("gemm_norm_f16_nt_32x32", half, 4, 4)
INSTANTIATE("gemm_norm_f16_nt_16x48", half, 2, 6)
INSTANTIATE("gemm_norm_f16_nt_8x48", half, 1, 6)
INSTANTIATE("gemm_norm_f32_nt_32x32", float, 4, 4)
INSTANTIATE("gemm_norm_f32_nt_16x48", float, 2, 6)
INSTANTIATE("gemm_norm_f32_nt_8x48", float, 1, 6)
