// gemm_norm_quant.metal: gemm_norm.metal with weights in MLX's affine groups, dequantised in registers.
//   x[m,n] = sum_k a[r,k] * (code[n,k] * scale[n,k/G] + offset[n,k/G]) + bias[n] + residual[s,n]
//   y[m,n] = (x[m,n] - mean[m]) / sqrt(variance[m] + epsilon) * gamma[n] + beta[n]
// Buffers: 0 GemmArgs  1 a [T, K]  2 codes [N, K] of 4 or 8 bits, little-endian  3 scales [N, K/G] f16
//          4 offsets [N, K/G] f16  5 bias, gamma, beta [3, N] f32  6 y [M, N]
//          7 residual [T or M, N], if hasResidual  8 rows [M] u32, if one of the gathers is set
// Grid: ceil(M / (8 MF)) groups of S = ceil(N / (8 NF)) SIMD-groups, S = simdgroups
// Threadgroup memory: as gemm_norm.metal; weights need none
// Needs: K % G == 0, G = 32, 64 or 128, N % 8 == 0, S <= 12; a, y and residual begin at a multiple of four
//        elements, codes of four bytes
// Numerics: a weight is dequantised in f32 and rounded to a's type; else as gemm_norm.metal
// Constants: activation (before the norm), hasResidual, gatherA, gatherResidual, simdgroups, groupSize
// Variants: gemm_norm_{q4,q8}_f16_nt_{32x32,16x48}, gemm_norm_{q4,q8}_{f16,f32}_nt_8x48

#include "gemm_norm.h"
#include "quant.h"

constant uint groupSize [[function_constant(CONSTANT_GROUP_SIZE)]];

template <typename T, int Bits, int MF, int NF>
[[kernel, max_total_threads_per_threadgroup(384)]] void gemm_norm_quant(
    constant GemmArgs& args [[buffer(0)]],
    device const T* a [[buffer(1)]],
    device const uchar* codes [[buffer(2)]],
    device const half* scales [[buffer(3)]],
    device const half* offsets [[buffer(4)]],
    device const float* vectors [[buffer(5)]],
    device T* y [[buffer(6)]],
    device const T* residual [[buffer(7), function_constant(hasResidual)]],
    device const uint* rows [[buffer(8), function_constant(hasRows)]],
    uint group [[threadgroup_position_in_grid]],
    uint index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint laneIndex [[thread_index_in_simdgroup]]
) {
    alignas(16) threadgroup T tiles[2 * Tile<T, MF, NF>::elements];
    threadgroup float partial[2 * maxStrips * side * MF];
    const Lane lane(laneIndex);
    const Place place = {group * side * MF, simdgroup * side * NF, index, lane};
    const QuantWeights<T, NF, Bits> weights(
        codes, scales, offsets, args.N, args.K, groupSize, place.column0, lane
    );
    linearNorm<T, MF, NF, depth>(
        args, place, simdgroup, weights, a, vectors, y, residual, rows, tiles, partial
    );
}

#define INSTANTIATE(name, T, Bits, MF, NF)                                                         \
    template [[host_name(name)]] [[                                                                \
        kernel]] decltype(gemm_norm_quant<T, Bits, MF, NF>) gemm_norm_quant<T, Bits, MF, NF>;

INSTANTIATE("gemm_norm_q4_f16_nt_32x32", half, 4, 4, 4)
INSTANTIATE("gemm_norm_q4_f16_nt_16x48", half, 4, 2, 6)
INSTANTIATE("gemm_norm_q4_f16_nt_8x48", half, 4, 1, 6)
INSTANTIATE("gemm_norm_q8_f16_nt_32x32", half, 8, 4, 4)
INSTANTIATE("gemm_norm_q8_f16_nt_16x48", half, 8, 2, 6)
INSTANTIATE("gemm_norm_q8_f16_nt_8x48", half, 8, 1, 6)
INSTANTIATE("gemm_norm_q4_f32_nt_8x48", float, 4, 1, 6)
INSTANTIATE("gemm_norm_q8_f32_nt_8x48", float, 8, 1, 6)
