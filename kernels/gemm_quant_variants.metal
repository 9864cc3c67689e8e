// gemm_quant_variants.metal: gemm_quant.metal with other ways of its operands, for a device on which one of them is measured to be
// faster.
//   y as in gemm_quant.metal, to the bit
// Buffers: as gemm_quant.metal
// Grid: as gemm_quant.metal
// Threadgroup memory: two tiles of a, 2 * 8 MF * (Depth + 8) elements, and for staged codes 4 * 8 NF * (Depth * Bits / 32 + 1) words
//          more: 11,520 B for gemm_q4_f16_nt_32x16_k64_staged
// Needs: as gemm_quant.metal
// Numerics: as gemm_quant.metal
// Constants: as gemm_quant.metal
// Variants: gemm_{q4,q8}_f16_nt_ROWSxCOLUMNS and
//   _k64         64 terms of the sums at a time: half of the barriers
//   _ahead       codes of a step are read while the weights of the step before are multiplied
//   _k64_staged  codes pass through threadgroup memory, 64 at a time: whole pieces of 32 or 64 bytes
//   64x16 and 32x32 have no registers left for 64 terms, nor 64x32 for codes ahead.

#include "gemm.h"
#include "ways.h"

constant uint groupSize [[function_constant(CONSTANT_GROUP_SIZE)]];

template <typename T, int Bits, int MF, int NF, int Depth, int Way>
[[kernel, max_total_threads_per_threadgroup(128)]] void gemm_quant_variant(
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
    typedef QuantWay<T, NF, Bits, Depth, Way> Weights;
    constexpr uint room = 2 * Tile<T, MF, NF, Depth>::elements;
    alignas(16) threadgroup T tiles[room + 4 * Weights::elements];
    const Lane lane(laneIndex);
    const Place place = {
        group.y * side * MF, (group.x * simdgroups + simdgroup) * side * NF, index, lane
    };
    const QuantWeights<T, NF, Bits> weights(
        codes, scales, offsets, args.N, args.K, groupSize, place.column0, lane
    );
    linear<T, MF, NF, Depth>(
        args, place, Weights::make(weights, tiles + room + simdgroup * Weights::elements),
        Operands<T>{a, bias, y, residual, rows, turns, positions, statistics, sum}, tiles
    );
}

#define INSTANTIATE(name, T, Bits, MF, NF, Depth, Way)                                             \
    template                                                                                       \
        [[host_name(name)]] [[kernel]] decltype(gemm_quant_variant<T, Bits, MF, NF, Depth, Way>)   \
            gemm_quant_variant<T, Bits, MF, NF, Depth, Way>;

INSTANTIATE("gemm_q4_f16_nt_64x16_ahead", half, 4, 8, 2, 32, ahead)
INSTANTIATE("gemm_q4_f16_nt_32x32_ahead", half, 4, 4, 4, 32, ahead)
INSTANTIATE("gemm_q4_f16_nt_32x16_k64", half, 4, 4, 2, 64, direct)
INSTANTIATE("gemm_q4_f16_nt_32x16_ahead", half, 4, 4, 2, 32, ahead)
INSTANTIATE("gemm_q4_f16_nt_32x16_k64_staged", half, 4, 4, 2, 64, staged)
INSTANTIATE("gemm_q4_f16_nt_8x32_k64", half, 4, 1, 4, 64, direct)
INSTANTIATE("gemm_q4_f16_nt_8x32_ahead", half, 4, 1, 4, 32, ahead)
INSTANTIATE("gemm_q8_f16_nt_64x16_ahead", half, 8, 8, 2, 32, ahead)
INSTANTIATE("gemm_q8_f16_nt_32x32_ahead", half, 8, 4, 4, 32, ahead)
INSTANTIATE("gemm_q8_f16_nt_32x16_k64", half, 8, 4, 2, 64, direct)
INSTANTIATE("gemm_q8_f16_nt_32x16_ahead", half, 8, 4, 2, 32, ahead)
INSTANTIATE("gemm_q8_f16_nt_32x16_k64_staged", half, 8, 4, 2, 64, staged)
INSTANTIATE("gemm_q8_f16_nt_8x32_k64", half, 8, 1, 4, 64, direct)
INSTANTIATE("gemm_q8_f16_nt_8x32_ahead", half, 8, 1, 4, 32, ahead)
