// lanes.metal: which element of an 8 x 8 matrix each lane holds, by the device's own word; see simd.h.
//   y[lane] = (a[0], a[1]), a[r,c] = 8 r + c loaded by simdgroup_load
// Buffers: 1 a [8, 8] T  2 y [32, 2] f32
// Grid: one group of 32 threads
// Threadgroup memory: none
// Needs: nothing
// Numerics: numbers up to 63, which T holds exactly
// Variants: lanes_{f16,f32}

#include "simd.h"

template <typename T>
[[kernel, max_total_threads_per_threadgroup(32)]] void lanes(
    device const T* a [[buffer(1)]],
    device float* y [[buffer(2)]],
    uint lane [[thread_index_in_simdgroup]]
) {
    simdgroup_matrix<T, 8, 8> m;
    simdgroup_load(m, a, side);
    y[2 * lane] = m.thread_elements()[0];
    y[2 * lane + 1] = m.thread_elements()[1];
}

template [[host_name("lanes_f16")]] [[kernel]] decltype(lanes<half>) lanes<half>;
template [[host_name("lanes_f32")]] [[kernel]] decltype(lanes<float>) lanes<float>;
