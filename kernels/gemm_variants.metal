// gemm_variants.metal: gemm.metal with other ways of its operands, for a device on which one of them is measured to be faster.
//   y as in gemm.metal, to the bit
// Buffers: as gemm.metal
// Grid: as gemm.metal
// Threadgroup memory: two tiles of a, 2 * 8 MF * (Depth + 8) elements, and for staged weights 4 * 8 NF * (Depth + 8) more:
//          18,432 B for gemm_f16_nt_32x16_k64_staged
// Needs: as gemm.metal
// Numerics: as gemm.metal
// Constants: as gemm.metal
// Variants: gemm_f16_nt_ROWSxCOLUMNS and
//   _k64         64 terms of the sums at a time: whole lines of 128 bytes, and half of the barriers
//   _ahead       weights of a step are read while those of the step before are multiplied
//   _staged      weights pass through threadgroup memory
//   _k64_staged  the same, by 64 terms

#include "gemm.h"
#include "ways.h"

template <typename T, int MF, int NF, int Depth, int Way>
[[kernel, max_total_threads_per_threadgroup(128)]] void gemm_variant(
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
    typedef DenseWay<T, NF, Depth, Way> Weights;
    constexpr uint room = 2 * Tile<T, MF, NF, Depth>::elements;
    alignas(16) threadgroup T tiles[room + 4 * Weights::elements];
    const Lane lane(laneIndex);
    const Place place = {
        group.y * side * MF, (group.x * simdgroups + simdgroup) * side * NF, index, lane
    };
    linear<T, MF, NF, Depth>(
        args, place,
        Weights::make(w, tiles + room + simdgroup * Weights::elements, args, place.column0, lane),
        Operands<T>{a, bias, y, residual, rows, turns, positions, statistics, sum}, tiles
    );
}

#define INSTANTIATE(name, T, MF, NF, Depth, Way)                                                   \
    template [[host_name(name)]] [[kernel]] decltype(gemm_variant<T, MF, NF, Depth, Way>)          \
        gemm_variant<T, MF, NF, Depth, Way>;

INSTANTIATE("gemm_f16_nt_64x16_k64", half, 8, 2, 64, direct)
INSTANTIATE("gemm_f16_nt_64x16_ahead", half, 8, 2, 32, ahead)
INSTANTIATE("gemm_f16_nt_32x32_k64", half, 4, 4, 64, direct)
INSTANTIATE("gemm_f16_nt_32x32_ahead", half, 4, 4, 32, ahead)
INSTANTIATE("gemm_f16_nt_32x32_staged", half, 4, 4, 32, staged)
INSTANTIATE("gemm_f16_nt_32x16_k64", half, 4, 2, 64, direct)
INSTANTIATE("gemm_f16_nt_32x16_ahead", half, 4, 2, 32, ahead)
INSTANTIATE("gemm_f16_nt_32x16_staged", half, 4, 2, 32, staged)
INSTANTIATE("gemm_f16_nt_32x16_k64_staged", half, 4, 2, 64, staged)
INSTANTIATE("gemm_f16_nt_8x32_k64", half, 1, 4, 64, direct)
INSTANTIATE("gemm_f16_nt_8x32_ahead", half, 1, 4, 32, ahead)
