// norm.metal: residual and layer norm, for rows that are too wide for gemm_norm.metal; R rows to a SIMD-group.
//   s[m,h] = x[m,h] + residual[m,h], if hasResidual
//   y[m,h] = (s[m,h] - mean[m]) / sqrt(variance[m] + epsilon) * gamma[h] + beta[h]
// Buffers: 0 NormArgs  1 x [M, H]  2 gamma, beta [2, H] f32  3 y [M, H] (may be x)  4 residual [M, H], if hasResidual
// Grid: ceil(M / (R S)) groups of any number S of SIMD-groups
// Threadgroup memory: none
// Needs: H % 4 == 0, H <= 4096, all buffers begin at a multiple of four elements
// Numerics: f32 in registers, variance in a second pass; one rounding, at the store
// Constants: hasResidual, rowVectors
// Variants: norm_{f16,f32}_{4,2,1}: R; more rows read gamma and beta less often, and fewer leave registers for wide ones

#include "norm.h"

constant bool hasResidual [[function_constant(CONSTANT_RESIDUAL)]];

template <typename T, int R>
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
    const uint m = (group * groupSimdgroups + simdgroup) * R;
    if (m >= args.rows) {
        return;
    }
    const uint H = args.hidden;
    const uint count = min(args.rows - m, uint(R));
    RowVectors<R> rows;
    for (uint r = 0; r < R; r++) {
        const ulong from = ulong(m + min(r, count - 1)) * H; // the last row again behind M
        for (uint i = 0; i < rowVectors; i++) {
            const uint h = 4 * (lane + simdWidth * i);
            if (h < H) {
                rows.x[r][i] = float4(*(device const vec<T, 4>*)(x + from + h));
                if (hasResidual) {
                    rows.x[r][i] += float4(*(device const vec<T, 4>*)(residual + from + h));
                }
            }
        }
    }
    rows.store(y + ulong(m) * H, vectors, vectors + H, H, args.epsilon, count, lane);
}

#define INSTANTIATE(name, T, R)                                                                    \
    template [[host_name(name)]] [[kernel]] decltype(norm<T, R>) norm<T, R>;

INSTANTIATE("norm_f16_4", half, 4)
INSTANTIATE("norm_f16_2", half, 2)
INSTANTIATE("norm_f16_1", half, 1)
INSTANTIATE("norm_f32_4", float, 4)
INSTANTIATE("norm_f32_2", float, 2)
INSTANTIATE("norm_f32_1", float, 1)
