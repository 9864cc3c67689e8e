// reduce.metal: sums of consecutive pieces of an array; one threadgroup per piece.
//   y[g] = sum of x[i] for i in [g*chunk, min((g+1)*chunk, count))
// A second dispatch over y, with one group, makes the sum of everything.
// Buffers: 0 ReduceArgs  1 x [count] f32  2 y [groups] f32
// Grid: ceil(count/chunk) groups of 1 to 1024 threads, any number
// Threadgroup memory: 32 f32 = 128 B
// Needs: chunk >= 1, count >= 1
// Numerics: f32 throughout; each thread sums a stride of its piece, then a tree over lanes and SIMD-groups
// Variants: reduce_sum_f32

#include <metal_stdlib>
using namespace metal;

constant constexpr uint simdWidth = 32;
constant constexpr uint maxSimdgroups = 1024 / simdWidth;

struct ReduceArgs {
    uint count;
    uint chunk;
};

kernel void reduce_sum_f32(
    constant ReduceArgs& args [[buffer(0)]],
    device const float* x [[buffer(1)]],
    device float* y [[buffer(2)]],
    uint group [[threadgroup_position_in_grid]],
    uint index [[thread_index_in_threadgroup]],
    uint threads [[threads_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint simdgroups [[simdgroups_per_threadgroup]]
) {
    threadgroup float partial[maxSimdgroups];

    const uint begin = group * args.chunk;
    const uint end = min(begin + args.chunk, args.count);
    float sum = 0.0f;
    for (uint i = begin + index; i < end; i += threads) {
        sum += x[i];
    }
    sum = simd_sum(sum);
    if (lane == 0) {
        partial[simdgroup] = sum;
    }
    // Every SIMD-group's partial sum is there before the first SIMD-group reads them.
    threadgroup_barrier(mem_flags::mem_threadgroup);
    if (simdgroup == 0) {
        sum = simd_sum(lane < simdgroups ? partial[lane] : 0.0f);
        if (lane == 0) {
            y[group] = sum;
        }
    }
}
