// gemm_quant.metal: a linear layer with weights in MLX's affine groups, dequantised in registers.
//   y[m,n] = act(sum_k a[r,k] * (code[n,k] * scale[n,k/G] + offset[n,k/G]) + bias[n] + residual[s,n]),
//   r and s as in gemm.metal
// Buffers: 0 GemmArgs  1 a [T, K]  2 codes [N, K] of 4 or 8 bits, little-endian  3 scales [N, K/G] f16
//          4 offsets [N, K/G] f16  5 bias [N] f32  6 y [M, N]
//          7 residual [T or M, N], if hasResidual  8 rows [M] u32, if one of the gathers is set
//          9 to 12 as 7 to 10 of gemm.metal
// Grid: (ceil(N / (8 NF S)), ceil(M / (8 MF))) groups of S SIMD-groups, S = simdgroups
// Threadgroup memory: as gemm.metal; weights need none
// Needs: K % G == 0, G = 32, 64 or 128, N % 2 == 0; a, y and residual begin at a multiple of four elements, codes of four
//        bytes
// Numerics: a weight is dequantised in f32 and rounded to a's type; f32 accumulators; one rounding, at the store
// Constants: as gemm.metal, groupSize
// Variants: gemm_{q4,q8}_f16_nt_{64x16,32x32}, gemm_{q4,q8}_{f16,f32}_nt_{32x16,8x32}

#include "gemm.h"
#include "quant.h"

constant uint groupSize [[function_constant(CONSTANT_GROUP_SIZE)]];

template <typename T, int Bits, int MF, int NF>
[[kernel, max_total_threads_per_threadgroup(128)]] void gemm_quant(
    constant GemmArgs& args [[buffer(0)]],
    device const T* a [[buffer(1)]],
    device const uchar* codes [[buffer(2)]],
    device const half* scales [[buffer(3)]],
    device const half* offsets [[buffer(4)]],
    device const float* bias [[buffer(5)]],
    device T* y [[buffer(6)]],
    device const T* residual [[buffer(7), function_constant(hasResidual)]],
    device const uint* rows [[buffer(8), function_constant(hasRows)]],
    device const float2* turns [[buffer(9), function_constant(hasTurns)]],
    device const uint* positions [[buffer(10), function_constant(hasTurns)]],
    device float2* statistics [[buffer(11), function_constant(hasStatistics)]],
    device float* sum [[buffer(12), function_constant(kept)]],
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
    const QuantWeights<T, NF, Bits> weights(
        codes, scales, offsets, args.N, args.K, groupSize, place.column0, lane
    );
    linear<T, MF, NF, depth>(
        args, place, weights,
        Operands<T>{a, bias, y, residual, rows, turns, positions, statistics, sum}, tiles
    );
}

#define INSTANTIATE(name, T, Bits, MF, NF)                                                         \
    template [[host_name(name)]] [[                                                                \
        kernel]] decltype(gemm_quant<T, Bits, MF, NF>) gemm_quant<T, Bits, MF, NF>;

INSTANTIATE("gemm_q4_f16_nt_64x16", half, 4, 8, 2)
INSTANTIATE("gemm_q4_f16_nt_32x32", half, 4, 4, 4)
INSTANTIATE("gemm_q4_f16_nt_32x16", half, 4, 4, 2)
INSTANTIATE("gemm_q4_f16_nt_8x32", half, 4, 1, 4)
INSTANTIATE("gemm_q8_f16_nt_64x16", half, 8, 8, 2)
INSTANTIATE("gemm_q8_f16_nt_32x32", half, 8, 4, 4)
INSTANTIATE("gemm_q8_f16_nt_32x16", half, 8, 4, 2)
INSTANTIATE("gemm_q8_f16_nt_8x32", half, 8, 1, 4)
INSTANTIATE("gemm_q4_f32_nt_32x16", float, 4, 4, 2)
INSTANTIATE("gemm_q4_f32_nt_8x32", float, 4, 1, 4)
INSTANTIATE("gemm_q8_f32_nt_32x16", float, 8, 4, 2)
INSTANTIATE("gemm_q8_f32_nt_8x32", float, 8, 1, 4)
