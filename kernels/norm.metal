// norm.metal: residual and layer norm, for rows that are too wide for gemm_norm.metal; R rows to a SIMD-group.
//   s[m,h] = x[m,h] + residual[m,h], if hasResidual
//   y[m,h] = (s[m,h] - mean[m]) / sqrt(variance[m] + epsilon) * gamma[h] + beta[h]
// Buffers: 0 NormArgs  1 x [M, H]  2 gamma, beta [2, H] f32  3 y [M, H] (may be x)  4 residual [M, H], if hasResidual
// Grid: ceil(M / (R S)) groups of S <= 4 SIMD-groups
// Threadgroup memory: none
// Needs: H % 4 == 0, H <= 128 V, all buffers begin at a multiple of four elements
// Numerics: f32, variance in a second pass; one rounding, at the store
// Constants: hasResidual
// Variants: norm_{f16,f32}_{4x512,2x768,2x1024}: R rows of up to 128 V elements, in registers; more rows read gamma and beta
//           less often. norm_{f16,f32}_wide: one row of any width, read three times

#include "norm.h"

constant bool hasResidual [[function_constant(CONSTANT_RESIDUAL)]];

// SummedRows are x + residual, from the first row of a SIMD-group on; the last row again behind count.
template <typename T>
struct SummedRows {
    device const T* x;
    device const T* residual;
    uint H;
    uint count;

    float4 at(uint r, uint h) const {
        const ulong from = ulong(min(r, count - 1)) * H + h;
        float4 sum = float4(*(device const vec<T, 4>*)(x + from));
        if (hasResidual) {
            sum += float4(*(device const vec<T, 4>*)(residual + from));
        }
        return sum;
    }
};

template <typename T, int R, int V>
[[kernel, max_total_threads_per_threadgroup(128)]] void norm(
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
    const ulong from = ulong(m) * H;
    const uint count = min(args.rows - m, uint(R));
    const SummedRows<T> rows = {x + from, hasResidual ? residual + from : x, H, count};
    LayerNorm<T, R, V> norms;
    norms.store(rows, count, y + from, nullptr, vectors, vectors + H, H, args.epsilon, lane);
}

#define INSTANTIATE(name, T, R, V)                                                                 \
    template [[host_name(name)]] [[kernel]] decltype(norm<T, R, V>) norm<T, R, V>;

INSTANTIATE("norm_f16_4x512", half, 4, 4)
INSTANTIATE("norm_f16_2x768", half, 2, 6)
INSTANTIATE("norm_f16_2x1024", half, 2, 8)
INSTANTIATE("norm_f16_wide", half, 1, 0)
INSTANTIATE("norm_f32_4x512", float, 4, 4)
INSTANTIATE("norm_f32_2x768", float, 2, 6)
INSTANTIATE("norm_f32_2x1024", float, 2, 8)
INSTANTIATE("norm_f32_wide", float, 1, 0)
