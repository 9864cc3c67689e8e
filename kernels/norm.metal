// norm.metal: residual and layer norm, for rows that are too wide for gemm_norm.metal; one SIMD-group per row.
//   s[m,h] = x[m,h] + residual[m,h], if hasResidual
//   y[m,h] = (s[m,h] - mean[m]) / sqrt(variance[m] + epsilon) * gamma[h] + beta[h]
// Buffers: 0 NormArgs  1 x [M, H]  2 gamma, beta [2, H] f32  3 y [M, H] (may be x)  4 residual [M, H], if hasResidual
// Grid: ceil(M / S) groups of any number S of SIMD-groups
// Threadgroup memory: none
// Needs: H % 4 == 0, H <= 4096, all buffers begin at a multiple of four elements
// Numerics: f32 in registers, variance in a second pass; one rounding, at the store
// Constants: hasResidual, rowVectors
// Variants: norm_{f16,f32}

#include "norm.h"

constant bool hasResidual [[function_constant(CONSTANT_RESIDUAL)]];

template <typename T>
kernel void norm(
    constant NormArgs& args [[buffer(0)]],
    device const T* x [[buffer(1)]],
    device const float* vectors [[buffer(2)]],
    device T* y [[buffer(3)]],
    device const T* residual [[buffer(4), function_constant(hasResidual)]],
    uint group [[threadgroup_position_in_grid]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint groupSimdgroups [[simdgroups_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]
) {
    const uint m = group * groupSimdgroups + simdgroup;
    if (m >= args.rows) {
        return;
    }
    const uint H = args.hidden;
    RowVectors row;
    for (uint i = 0; i < rowVectors; i++) {
        const uint h = 4 * (lane + simdWidth * i);
        if (h < H) {
            row.x[i] = float4(*(device const vec<T, 4>*)(x + ulong(m) * H + h));
            if (hasResidual) {
                row.x[i] += float4(*(device const vec<T, 4>*)(residual + ulong(m) * H + h));
            }
        }
    }
    row.store(y + ulong(m) * H, vectors, vectors + H, H, args.epsilon, lane);
}

template [[host_name("norm_f16")]] [[kernel]] decltype(norm<half>) norm<half>;
template [[host_name("norm_f32")]] [[kernel]] decltype(norm<float>) norm<float>;
