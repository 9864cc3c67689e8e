// lanes.metal: which element of an 8 x 8 matrix each lane holds, by the device's own word; see simd.h.
//   y[lane] = (a[0], a[1]), a[r,c] = 8 r + c loaded by simdgroup_load
// Buffers: 1 a [8, 8] f32  2 y [32, 2] f32
// Grid: one group of 32 threads
// Threadgroup memory: none
// Needs: nothing
// Variants: lanes

#include "simd.h"

[[kernel, max_total_threads_per_threadgroup(32)]] void lanes(
    device const float* a [[buffer(1)]],
    device float* y [[buffer(2)]],
    uint lane [[thread_index_in_simdgroup]]
) {
    simdgroup_float8x8 m;
    simdgroup_load(m, a, side);
    y[2 * lane] = m.thread_elements()[0];
    y[2 * lane + 1] = m.thread_elements()[1];
}
