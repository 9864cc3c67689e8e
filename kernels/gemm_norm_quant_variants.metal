// gemm_norm_quant_variants.metal: gemm_norm_quant.metal with other ways of its operands, for a device on which one of them is
// measured to be faster.
//   y as in gemm_norm_quant.metal, to the bit
// Buffers: as gemm_norm_quant.metal
// Grid: as gemm_norm_quant.metal
// Threadgroup memory: as gemm_norm_variants.metal
// Needs: as gemm_norm_quant.metal
// Numerics: as gemm_norm_quant.metal
// Constants: as gemm_norm_quant.metal
// Variants: gemm_norm_{q4,q8}_f16_nt_{32x32,16x48,8x48}_ahead: codes of a step are read while the weights of the step before are
//   multiplied. There are no registers for 64 terms at a time, nor for 32x48.

#include "gemm_norm.h"
#include "ways.h"

constant uint groupSize [[function_constant(CONSTANT_GROUP_SIZE)]];

template <typename T, int Bits, int MF, int NF, int Depth, int Way>
[[kernel, max_total_threads_per_threadgroup(384)]] void gemm_norm_quant_variant(
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
    alignas(16) threadgroup T tiles[2 * Tile<T, MF, NF, Depth>::elements];
    threadgroup float partial[2 * maxStrips * side * MF];
    const Lane lane(laneIndex);
    const Place place = {group * side * MF, simdgroup * side * NF, index, lane};
    const QuantWeights<T, NF, Bits> weights(
        codes, scales, offsets, args.N, args.K, groupSize, place.column0, lane
    );
    linearNorm<T, MF, NF, Depth>(
        args, place, simdgroup, QuantWay<T, NF, Bits, Depth, Way>::make(weights, tiles), a, vectors,
        y, residual, rows, tiles, partial
    );
}

#define INSTANTIATE(name, T, Bits, MF, NF, Depth, Way)                                             \
    template [[host_name(name)]] [[                                                                \
        kernel]] decltype(gemm_norm_quant_variant<T, Bits, MF, NF, Depth, Way>)                    \
        gemm_norm_quant_variant<T, Bits, MF, NF, Depth, Way>;

INSTANTIATE("gemm_norm_q4_f16_nt_32x32_ahead", half, 4, 4, 4, 32, ahead)
INSTANTIATE("gemm_norm_q4_f16_nt_16x48_ahead", half, 4, 2, 6, 32, ahead)
INSTANTIATE("gemm_norm_q4_f16_nt_8x48_ahead", half, 4, 1, 6, 32, ahead)
INSTANTIATE("gemm_norm_q8_f16_nt_32x32_ahead", half, 8, 4, 4, 32, ahead)
INSTANTIATE("gemm_norm_q8_f16_nt_16x48_ahead", half, 8, 2, 6, 32, ahead)
INSTANTIATE("gemm_norm_q8_f16_nt_8x48_ahead", half, 8, 1, 6, 32, ahead)
