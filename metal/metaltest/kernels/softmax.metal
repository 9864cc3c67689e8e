// softmax.metal: softmax of each row; one threadgroup per row.
//   y[r,c] = exp(s[r,c] - most[r]) / sum_c exp(s[r,c] - most[r]),  s = x * scale,  most[r] = max_c s[r,c]
// Buffers: 0 SoftmaxArgs  1 x [rows, columns] f16  2 y [rows, columns] f16 (may alias x)
// Grid: rows groups of 32*n threads, n <= 32
// Threadgroup memory: columns f32 by dispatch, rounded up to 16 B; 32 f32 = 128 B of its own
// Needs: 1 <= columns <= 8000
// Numerics: f32 throughout; one rounding, at the store
// Variants: softmax_f16

#include <metal_stdlib>
using namespace metal;

constant constexpr uint simdWidth = 32;
constant constexpr uint maxSimdgroups = 1024 / simdWidth;

struct SoftmaxArgs {
    uint columns;
    float scale;
};

kernel void softmax_f16(
    constant SoftmaxArgs& args [[buffer(0)]],
    device const half* x [[buffer(1)]],
    device half* y [[buffer(2)]],
    threadgroup float* row [[threadgroup(0)]],
    uint group [[threadgroup_position_in_grid]],
    uint index [[thread_index_in_threadgroup]],
    uint threads [[threads_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint simdgroups [[simdgroups_per_threadgroup]]
) {
    threadgroup float scratch[maxSimdgroups]; // one value per SIMD-group
    const uint columns = args.columns;
    x += group * columns;
    y += group * columns;

    float most = -INFINITY;
    for (uint c = index; c < columns; c += threads) {
        row[c] = float(x[c]) * args.scale; // only this thread reads it again
        most = max(most, row[c]);
    }
    most = simd_max(most);
    if (lane == 0) {
        scratch[simdgroup] = most;
    }
    // Every SIMD-group's maximum is there before any thread reads them.
    threadgroup_barrier(mem_flags::mem_threadgroup);
    most = simd_max(lane < simdgroups ? scratch[lane] : -INFINITY);
    // Every thread has read the maxima before sums take their place.
    threadgroup_barrier(mem_flags::mem_threadgroup);

    float sum = 0.0f;
    for (uint c = index; c < columns; c += threads) {
        row[c] = exp(row[c] - most);
        sum += row[c];
    }
    sum = simd_sum(sum);
    if (lane == 0) {
        scratch[simdgroup] = sum;
    }
    // Every SIMD-group's sum is there before any thread reads them.
    threadgroup_barrier(mem_flags::mem_threadgroup);
    sum = simd_sum(lane < simdgroups ? scratch[lane] : 0.0f);

    for (uint c = index; c < columns; c += threads) {
        y[c] = half(row[c] / sum);
    }
}
