// gemm_split.metal: gemm.metal for few rows, with each sum over K shared out among the SIMD-groups of a threadgroup.
//   y as in gemm.metal, but for the order of the sums (split.h)
// Buffers: as gemm.metal
// Grid: (ceil(N / (8 NF)), ceil(M / (8 MF))) groups of S SIMD-groups
// Threadgroup memory: a sum for each SIMD-group and element, 8 MF * 8 NF * S f32: 4,096 B for gemm_f16_nt_8x32_split4
// Needs: as gemm.metal
// Numerics: as gemm.metal
// Constants: activation, hasResidual, gatherA, gatherResidual
// Variants: gemm_f16_nt_{8x16,8x32,16x32}_split4, gemm_{f16,f32}_nt_8x32_split{4,8}: rows and columns of a threadgroup, S

#include "split.h"

template <typename T, int MF, int NF, int S>
[[kernel, max_total_threads_per_threadgroup(32 * S)]] void gemm_split(
    constant GemmArgs& args [[buffer(0)]],
    device const T* a [[buffer(1)]],
    device const T* w [[buffer(2)]],
    device const float* bias [[buffer(3)]],
    device T* y [[buffer(4)]],
    device const T* residual [[buffer(5), function_constant(hasResidual)]],
    device const uint* rows [[buffer(6), function_constant(hasRows)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint laneIndex [[thread_index_in_simdgroup]]
) {
    threadgroup float2 partial[Partial<MF, NF, S>::elements];
    const Lane lane(laneIndex);
    const Place place = {group.y * side * MF, group.x * side * NF, index, lane};
    const DenseWeights<T, NF> weights(w, args.N, args.K, place.column0, lane);
    splitLinear<T, MF, NF, S>(args, place, simdgroup, weights, a, bias, y, residual, rows, partial);
}

#define INSTANTIATE(name, T, MF, NF, S)                                                            \
    template [[host_name(name)]] [[                                                                \
        kernel]] decltype(gemm_split<T, MF, NF, S>) gemm_split<T, MF, NF, S>;

INSTANTIATE("gemm_f16_nt_16x32_split4", half, 2, 4, 4)
INSTANTIATE("gemm_f16_nt_8x32_split4", half, 1, 4, 4)
INSTANTIATE("gemm_f16_nt_8x16_split4", half, 1, 2, 4)
INSTANTIATE("gemm_f16_nt_8x32_split8", half, 1, 4, 8)
INSTANTIATE("gemm_f32_nt_8x32_split4", float, 1, 4, 4)
INSTANTIATE("gemm_f32_nt_8x32_split8", float, 1, 4, 8)
