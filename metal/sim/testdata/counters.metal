// counters.metal: kernels whose counters TestCounters has worked out by hand. 3 groups of 64 threads.
#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;

struct Args {
    uint n;
    float scale;
};

// For each thread:
kernel void counted(
    device float* out [[buffer(0)]],
    const device float* in [[buffer(1)]],
    constant Args& args [[buffer(2)]],
    device atomic_uint* total [[buffer(3)]],
    uint t [[thread_index_in_threadgroup]],
    uint i [[thread_position_in_grid]],
    uint lane [[thread_index_in_simdgroup]]
) {
    threadgroup float tile[64];
    tile[t] = in[i % args.n]; // reads 4 device, 4 constant; writes 4 threadgroup
    threadgroup_barrier(mem_flags::mem_threadgroup); // one for each group
    const float pair = tile[t] + tile[t ^ 1];        // reads 8 threadgroup
    const float sum = simd_sum(pair);                // one for each simdgroup
    simdgroup_barrier(mem_flags::mem_none);          // one for each simdgroup
    if (lane == 0)                                   // reads 4 device, writes 4, for each simdgroup
        atomic_fetch_add_explicit(total, 1u, memory_order_relaxed);
    out[i] = exp(sum * args.scale); // reads 4 constant, writes 4 device
}

// For each group, of which one simdgroup does anything:
kernel void counted_matrix(
    device float* out [[buffer(0)]],
    const device float* in [[buffer(1)]],
    uint t [[thread_index_in_threadgroup]],
    uint group [[threadgroup_position_in_grid]]
) {
    if (t >= 32) return;
    simdgroup_float8x8 a, c = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
    simdgroup_load(a, in + 64 * group, 8); // reads 256
    for (int k = 0; k < 3; k++)
        simdgroup_multiply_accumulate(c, a, a, c);
    simdgroup_store(c, out + 64 * group, 8); // writes 256
}

// For each thread: reads 4 device, writes 4.
kernel void counted_arithmetic(
    device float* out [[buffer(0)]],
    const device float* in [[buffer(1)]],
    uint i [[thread_position_in_grid]]
) {
    const float x = in[i];
    const float y = fma(x, x, 1.0f);                   // 2
    const half h = half(x) * half(3);                  // 1
    const float4 v = float4(x, y, float(h), 2.0f) / y; // 4
    float sum = max(v.x, v.y) + min(v.z, v.w);         // 1
    for (uint k = 0; k < i % 3; k++)                   // 192 rounds in all
        sum = sum * y - x;                             // 2
    out[i] = -sum;
}
