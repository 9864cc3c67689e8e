// pool.metal: the mean of a sequence's rows; one threadgroup per sequence and 128 columns.
//   y[b,h] = sum over rows t of sequence b of x[t,h] / their number,
//   or if normed of the norm of a kept sum: (x[t,h] - mean[t]) / sqrt(variance[t] + epsilon) * gamma[h] + beta[h], with a mean of 0
//   and the mean of squares for a variance if rms
// Buffers: 0 PoolArgs  1 x [T, H]; f32 if normed  2 starts [B + 1] u32: the first row of each sequence, and their number
//          3 y [B, H]  4 gamma, beta [2, H] f32 and 5 statistics of x (params.h), if normed
// Grid: (ceil(H / 128), B) groups of 8 SIMD-groups, each with every eighth row
// Threadgroup memory: a run of four for each thread, 4,096 B
// Needs: H % 4 == 0; no sequence is empty; x, y and gamma begin at a multiple of four elements
// Numerics: f32; one rounding, at the store
// Constants: normed, rms
// Variants: pool_{f16,f32}

#include "kept.h"

constant bool normed [[function_constant(CONSTANT_NORMED)]];

constant constexpr uint poolSimdgroups = 8;

template <typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void pool(
    constant PoolArgs& args [[buffer(0)]],
    device const T* x [[buffer(1)]],
    device const uint* starts [[buffer(2)]],
    device T* y [[buffer(3)]],
    device const float* vectors [[buffer(4), function_constant(normed)]],
    device const float2* statistics [[buffer(5), function_constant(normed)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint laneIndex [[thread_index_in_simdgroup]]
) {
    threadgroup float4 partial[poolSimdgroups * simdWidth];
    const Lane lane(laneIndex);
    const uint H = args.hidden;
    const uint h = 4 * (group.x * simdWidth + laneIndex);
    const uint begin = starts[group.y];
    const uint end = starts[group.y + 1];
    float4 sum = float4(0.0f);
    for (uint t = begin + simdgroup; t < end; t += poolSimdgroups) {
        const float2 norm =
            normed ? keptNorm<T>(statistics, t, H, args.epsilon, lane) : float2(0.0f);
        if (h >= H) {
            continue;
        }
        const ulong at = ulong(t) * H + h;
        if (normed) {
            sum += (*(device const float4*)((device const float*)x + at) - norm[0]) * norm[1];
        } else {
            sum += float4(*(device const vec<T, 4>*)(x + at));
        }
    }
    partial[simdgroup * simdWidth + laneIndex] = sum;
    // All SIMD-groups' sums are there before they are added up.
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (simdgroup != 0 || h >= H) {
        return;
    }
    for (uint s = 1; s < poolSimdgroups; s++) {
        sum += partial[s * simdWidth + laneIndex];
    }
    float4 mean = sum / float(end - begin);
    if (normed) {
        mean = mean / keptShrink * *(device const float4*)(vectors + h) +
               *(device const float4*)(vectors + H + h);
    }
    *(device vec<T, 4>*)(y + ulong(group.y) * H + h) = vec<T, 4>(mean);
}

template [[host_name("pool_f16")]] [[kernel]] decltype(pool<half>) pool<half>;
template [[host_name("pool_f32")]] [[kernel]] decltype(pool<float>) pool<float>;
