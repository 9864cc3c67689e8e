// gemm_split_quant.metal: gemm_split.metal with weights in MLX's affine groups, dequantised in registers.
//   y as in gemm_quant.metal, but for the order of the sums (split.h)
// Buffers: as gemm_quant.metal
// Grid: as gemm_split.metal
// Threadgroup memory: as gemm_split.metal; weights need none
// Needs: as gemm_quant.metal
// Numerics: as gemm_quant.metal
// Constants: activation, hasResidual, gatherA, gatherResidual, groupSize
// Variants: gemm_{q4,q8}_f16_nt_{8x16,8x32,16x32}_split4, gemm_{q4,q8}_{f16,f32}_nt_8x32_split{4,8}

#include "split.h"
#include "quant.h"

constant uint groupSize [[function_constant(CONSTANT_GROUP_SIZE)]];

template <typename T, int Bits, int MF, int NF, int S>
[[kernel, max_total_threads_per_threadgroup(32 * S)]] void gemm_split_quant(
    constant GemmArgs& args [[buffer(0)]],
    device const T* a [[buffer(1)]],
    device const uchar* codes [[buffer(2)]],
    device const half* scales [[buffer(3)]],
    device const half* offsets [[buffer(4)]],
    device const float* bias [[buffer(5)]],
    device T* y [[buffer(6)]],
    device const T* residual [[buffer(7), function_constant(hasResidual)]],
    device const uint* rows [[buffer(8), function_constant(hasRows)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint laneIndex [[thread_index_in_simdgroup]]
) {
    threadgroup float2 partial[Partial<MF, NF, S>::elements];
    const Lane lane(laneIndex);
    const Place place = {group.y * side * MF, group.x * side * NF, index, lane};
    const QuantWeights<T, NF, Bits, depth * S> weights(
        codes, scales, offsets, args.N, args.K, groupSize, place.column0, lane
    );
    splitLinear<T, MF, NF, S>(args, place, simdgroup, weights, a, bias, y, residual, rows, partial);
}

#define INSTANTIATE(name, T, Bits, MF, NF, S)                                                      \
    template [[host_name(name)]] [[kernel]] decltype(gemm_split_quant<T, Bits, MF, NF, S>)         \
        gemm_split_quant<T, Bits, MF, NF, S>;

INSTANTIATE("gemm_q4_f16_nt_16x32_split4", half, 4, 2, 4, 4)
INSTANTIATE("gemm_q4_f16_nt_8x32_split4", half, 4, 1, 4, 4)
INSTANTIATE("gemm_q4_f16_nt_8x16_split4", half, 4, 1, 2, 4)
INSTANTIATE("gemm_q4_f16_nt_8x32_split8", half, 4, 1, 4, 8)
INSTANTIATE("gemm_q8_f16_nt_16x32_split4", half, 8, 2, 4, 4)
INSTANTIATE("gemm_q8_f16_nt_8x32_split4", half, 8, 1, 4, 4)
INSTANTIATE("gemm_q8_f16_nt_8x16_split4", half, 8, 1, 2, 4)
INSTANTIATE("gemm_q8_f16_nt_8x32_split8", half, 8, 1, 4, 8)
INSTANTIATE("gemm_q4_f32_nt_8x32_split4", float, 4, 1, 4, 4)
INSTANTIATE("gemm_q4_f32_nt_8x32_split8", float, 4, 1, 4, 8)
INSTANTIATE("gemm_q8_f32_nt_8x32_split4", float, 8, 1, 4, 4)
INSTANTIATE("gemm_q8_f32_nt_8x32_split8", float, 8, 1, 4, 8)
