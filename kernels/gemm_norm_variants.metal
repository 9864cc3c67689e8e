// gemm_norm_variants.metal: gemm_norm.metal with other ways of its operands, for a device on which one of them is measured to be
// faster.
//   y as in gemm_norm.metal, to the bit
// Buffers: as gemm_norm.metal
// Grid: as gemm_norm.metal
// Threadgroup memory: two tiles of a, 2 * 8 MF * (Depth + 8) elements, and two sums per row and strip, 2 * 36 * 8 MF f32: 18,432 B
//          for gemm_norm_f16_nt_32x32_k64. Twelve SIMD-groups have no room to stage weights in the rest.
// Needs: as gemm_norm.metal
// Numerics: as gemm_norm.metal
// Constants: as gemm_norm.metal
// Variants: gemm_norm_f16_nt_ROWSxCOLUMNS and
//   _k64    64 terms of the sums at a time: whole lines of 128 bytes, and half of the barriers
//   _ahead  weights of a step are read while those of the step before are multiplied; 32x48 has no registers for it

#include "gemm_norm.h"
#include "ways.h"

template <typename T, int MF, int NF, int Depth, int Way>
[[kernel, max_total_threads_per_threadgroup(384)]] void gemm_norm_variant(
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
    alignas(16) threadgroup T tiles[2 * Tile<T, MF, NF, Depth>::elements];
    threadgroup float partial[2 * maxStrips * side * MF];
    const Lane lane(laneIndex);
    const Place place = {group * side * MF, simdgroup * side * NF, index, lane};
    linearNorm<T, MF, NF, Depth>(
        args, place, simdgroup,
        DenseWay<T, NF, Depth, Way>::make(w, tiles, args, place.column0, lane), a, vectors, y,
        residual, rows, tiles, partial
    );
}

#define INSTANTIATE(name, T, MF, NF, Depth, Way)                                                   \
    template [[host_name(name)]] [[kernel]] decltype(gemm_norm_variant<T, MF, NF, Depth, Way>)     \
        gemm_norm_variant<T, MF, NF, Depth, Way>;

INSTANTIATE("gemm_norm_f16_nt_32x48_k64", half, 4, 6, 64, direct)
INSTANTIATE("gemm_norm_f16_nt_32x32_k64", half, 4, 4, 64, direct)
INSTANTIATE("gemm_norm_f16_nt_32x32_ahead", half, 4, 4, 32, ahead)
INSTANTIATE("gemm_norm_f16_nt_16x48_k64", half, 2, 6, 64, direct)
INSTANTIATE("gemm_norm_f16_nt_16x48_ahead", half, 2, 6, 32, ahead)
INSTANTIATE("gemm_norm_f16_nt_8x48_k64", half, 1, 6, 64, direct)
INSTANTIATE("gemm_norm_f16_nt_8x48_ahead", half, 1, 6, 32, ahead)
