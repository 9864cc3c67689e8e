// defects.metal: kernels with one defect each, and the same kernels without (right_…).
//   out[512], in[512] f32; 2 groups of 256 threads, unless the test says otherwise
// A line with a defect ends in `want`, and the kinds of finding that may point at it.
#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;

#define BUFFERS device float *out [[buffer(0)]], const device float *in [[buffer(1)]]
#define THREADS                                                                                    \
    uint t [[thread_index_in_threadgroup]], uint i [[thread_position_in_grid]],                    \
        uint n [[threads_per_threadgroup]], uint group [[threadgroup_position_in_grid]]

// Device memory.

kernel void read_past_end(BUFFERS, THREADS) {
    out[i] = in[i + 1]; // want: out of bounds
}

kernel void read_far_past_end(BUFFERS, THREADS) {
    out[i] = in[i + 100000]; // want: out of bounds
}

kernel void read_before_start(BUFFERS, THREADS) {
    out[i] = in[int(i) - 1]; // want: out of bounds
}

kernel void write_past_end(BUFFERS, THREADS) {
    out[i + 1] = in[i]; // want: out of bounds
}

kernel void read_vector_past_end(BUFFERS, THREADS) {
    const float4 v = *(const device float4*)(in + 4 * (i / 4) + 4); // want: out of bounds
    out[i] = v.x + v.w;
}

kernel void right_bounds(BUFFERS, THREADS) {
    out[i] = i + 1 < 512 ? in[i + 1] : 0.0f;
}

kernel void read_unwritten(BUFFERS, THREADS) {
    out[i] += in[i]; // want: uninitialised
}

kernel void misaligned_vector(BUFFERS, THREADS) {
    if (i >= 127) return;
    const float4 v = *(const device float4*)(in + 4 * i + 1); // want: misaligned
    out[i] = v.x;
}

kernel void tile_read_as_vectors(BUFFERS, THREADS) {
    threadgroup float tile[256];
    tile[t] = in[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const float4 v = *(threadgroup const float4*)(tile + 4 * (t / 4)); // want: misaligned
    out[i] = v.x;
}

kernel void right_tile_read_as_vectors(BUFFERS, THREADS) {
    alignas(float4) threadgroup float tile[256];
    alignas(8) threadgroup half halves[256];
    tile[t] = in[i];
    halves[t] = half(in[i]);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const float4 v = *(threadgroup const float4*)(tile + 4 * (t / 4));
    const half4 h = *(threadgroup const half4*)(halves + 4 * (t / 4));
    out[i] = v.x + float(h.y);
}

kernel void right_vector(BUFFERS, THREADS) {
    if (i >= 127) return;
    const packed_float4 v = *(const device packed_float4*)(in + 4 * i + 1);
    out[i] = v[0] + v[3];
}

kernel void groups_write_one_place(BUFFERS, THREADS) {
    out[t] = in[i]; // want: race
}

kernel void group_reads_anothers(BUFFERS, THREADS) {
    out[i] = in[i];        // want: race
    out[i ^ 256] += in[i]; // want: race uninitialised
}

kernel void device_race(BUFFERS, THREADS) {
    out[i] = in[i]; // want: race
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i ^ 1] += 1.0f; // want: race
}

kernel void right_device_order(BUFFERS, THREADS) {
    out[i] = in[i];
    threadgroup_barrier(mem_flags::mem_device);
    out[i ^ 1] += 1.0f;
}

kernel void atomic_and_plain(BUFFERS, THREADS) {
    device atomic_uint* counter = (device atomic_uint*)out;
    if (i == 0) out[0] = 0.0f;                                    // want: race
    atomic_fetch_add_explicit(counter, 1u, memory_order_relaxed); // want: race uninitialised
}

kernel void right_atomic(BUFFERS, THREADS) {
    device atomic_uint* counters = (device atomic_uint*)out;
    atomic_store_explicit(counters, 1u, memory_order_relaxed);
    atomic_fetch_add_explicit(counters, in[i] > 0.0f ? 1u : 0u, memory_order_relaxed);
    if (atomic_load_explicit(counters, memory_order_relaxed) == 0)
        atomic_fetch_max_explicit(counters, t, memory_order_relaxed);
}

kernel void right_narrow_neighbours(BUFFERS, THREADS) {
    device uchar* bytes = (device uchar*)out;
    device half* halves = (device half*)out;
    bytes[i] = uchar(in[i]);
    halves[512 + i] = half(in[i]);
}

struct Row {
    float values[16];
};

kernel void copy_past_end(BUFFERS, THREADS) {
    const device Row* from = (const device Row*)in;
    device Row* to = (device Row*)out;
    if (i < 32) to[i] = from[i + 1]; // want: out of bounds
}

kernel void copy_to_one_place(BUFFERS, THREADS) {
    const device Row* from = (const device Row*)in;
    device Row* to = (device Row*)out;
    if (i < 32) to[i / 2] = from[i]; // want: race
}

kernel void right_copy(BUFFERS, THREADS) {
    const device Row* from = (const device Row*)in;
    device Row* to = (device Row*)out;
    if (i < 32) to[i] = from[i];
}

kernel void exchange_past_end(BUFFERS, THREADS) {
    device atomic_uint* counters = (device atomic_uint*)out;
    uint expected = 0;
    atomic_store_explicit(&counters[i], 0u, memory_order_relaxed);
    atomic_compare_exchange_weak_explicit( // want: out of bounds
        &counters[i + 1], &expected, 1u, memory_order_relaxed, memory_order_relaxed
    );
}

kernel void matrix_stored_twice(BUFFERS, THREADS) {
    if (t >= 64) return;
    simdgroup_float8x8 a;
    simdgroup_load(a, in, 8);
    simdgroup_store(a, out + 64 * group, 8); // want: race
}

// Threadgroup memory.

kernel void missing_barrier(BUFFERS, THREADS) {
    threadgroup float tile[256];
    tile[t] = in[i];            // want: race
    out[i] = tile[(t + 1) % n]; // want: race uninitialised
}

kernel void wrong_flags(BUFFERS, THREADS) {
    threadgroup float tile[256];
    tile[t] = in[i]; // want: race
    threadgroup_barrier(mem_flags::mem_device);
    out[i] = tile[(t + 1) % n]; // want: race
}

kernel void no_flags(BUFFERS, THREADS) {
    threadgroup float tile[256];
    tile[t] = in[i]; // want: race
    threadgroup_barrier(mem_flags::mem_none);
    out[i] = tile[(t + 1) % n]; // want: race
}

kernel void write_after_read(BUFFERS, THREADS) {
    threadgroup float tile[256];
    float sum = 0.0f;
    for (int k = 0; k < 2; k++) {
        tile[t] = in[i] + k; // want: race
        threadgroup_barrier(mem_flags::mem_threadgroup);
        sum += tile[(t + 1) % n]; // want: race
    }
    out[i] = sum;
}

kernel void right_barriers(BUFFERS, THREADS) {
    threadgroup float tile[256];
    float sum = 0.0f;
    for (int k = 0; k < 2; k++) {
        tile[t] = in[i] + k;
        threadgroup_barrier(mem_flags::mem_threadgroup);
        sum += tile[(t + 1) % n];
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    out[i] = sum;
}

kernel void lanes_without_barrier(BUFFERS, THREADS) {
    threadgroup float tile[256];
    tile[t] = in[i];      // want: race
    out[i] = tile[t ^ 1]; // want: race uninitialised
}

kernel void simdgroups_with_simdgroup_barrier(BUFFERS, THREADS) {
    threadgroup float tile[256];
    tile[t] = in[i]; // want: race
    simdgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = tile[t ^ 32]; // want: race uninitialised
}

kernel void right_simdgroup_barrier(BUFFERS, THREADS) {
    threadgroup float tile[256];
    tile[t] = in[i];
    simdgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = tile[t ^ 1];
}

kernel void unwritten_tile(BUFFERS, THREADS) {
    threadgroup float tile[256];
    if (t < 100) tile[t] = in[i];
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = tile[t]; // want: uninitialised
}

kernel void tile_too_small(BUFFERS, THREADS) {
    threadgroup float tile[100];
    tile[t] = in[i]; // want: out of bounds, array index
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = tile[t];
}

kernel void tile_too_small_by_pointer(BUFFERS, THREADS) {
    threadgroup float tile[255];
    threadgroup float guard[1];
    threadgroup float* p = tile;
    if (t == 0) guard[0] = 0.0f;
    p[t] = in[i]; // want: out of bounds
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = p[t] + guard[0];
}

kernel void argument_too_small(BUFFERS, threadgroup float* tile [[threadgroup(0)]], THREADS) {
    tile[t] = in[i]; // want: out of bounds
    threadgroup_barrier(mem_flags::mem_threadgroup);
    out[i] = tile[t];
}

kernel void matrix_without_barrier(BUFFERS, THREADS) {
    threadgroup float tile[64];
    if (t >= 32) return;
    tile[2 * t] = in[2 * t];         // want: race
    tile[2 * t + 1] = in[2 * t + 1]; // want: race
    simdgroup_float8x8 a, c = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
    simdgroup_load(a, tile, 8); // want: race uninitialised
    simdgroup_multiply_accumulate(c, a, a, c);
    simdgroup_store(c, out + 64 * group, 8);
}

kernel void right_matrix(BUFFERS, THREADS) {
    threadgroup float tile[64];
    if (t >= 32) return;
    tile[2 * t] = in[2 * t];
    tile[2 * t + 1] = in[2 * t + 1];
    simdgroup_barrier(mem_flags::mem_threadgroup);
    simdgroup_float8x8 a, c = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
    simdgroup_load(a, tile, 8);
    simdgroup_multiply_accumulate(c, a, a, c);
    simdgroup_store(c, out + 64 * group, 8);
}

// Threads that don't keep together.

kernel void barrier_for_some(BUFFERS, THREADS) {
    if (t < 16) threadgroup_barrier(mem_flags::mem_threadgroup); // want: divergence
    out[i] = in[i];
}

kernel void two_barriers(BUFFERS, THREADS) {
    if (t < 32)
        threadgroup_barrier(mem_flags::mem_threadgroup); // want: divergence
    else
        threadgroup_barrier(mem_flags::mem_threadgroup); // want: divergence
    out[i] = in[i];
}

kernel void some_return_before_barrier(BUFFERS, THREADS) {
    if (t >= 200) return;
    threadgroup_barrier(mem_flags::mem_threadgroup); // want: divergence
    out[i] = in[i];
}

kernel void simd_for_some(BUFFERS, THREADS) {
    float v = in[i];
    if (t & 1) v = simd_sum(v);                      // want: divergence
    threadgroup_barrier(mem_flags::mem_threadgroup); // want: divergence
    out[i] = v;
}

kernel void two_simd_functions(BUFFERS, THREADS) {
    float v = in[i];
    if (t & 1)
        v = simd_sum(v); // want: divergence
    else
        v = simd_max(v); // want: divergence
    out[i] = v;
}

kernel void right_simd(BUFFERS, THREADS) {
    if (t >= 20) return;
    out[i] = simd_sum(in[i]);
}

// A thread by itself.

kernel void array_index(BUFFERS, THREADS) {
    float parts[4];
    for (int k = 0; k < 4; k++)
        parts[k] = in[i] + k;
    out[i] = parts[t % 5]; // want: array index
}

kernel void division(BUFFERS, THREADS) {
    out[i] = float(7u / (t / 100)); // want: division by zero
}

kernel void shift(BUFFERS, THREADS) {
    out[i] = float(1u << (t % 40)); // want: shift
}

kernel void right_alone(BUFFERS, THREADS) {
    float parts[4];
    for (int k = 0; k < 4; k++)
        parts[k] = in[i] + k;
    out[i] = parts[t % 4] + float(7u / (t / 100 + 1)) + float(1u << (t % 32));
}

kernel void array_by_pointer(BUFFERS, THREADS) {
    float parts[4];
    thread float* p = parts;
    for (int k = 0; k < int(in[i]) + 3; k++)
        p[k] = float(k); // want: array index
    out[i] = parts[t % 4];
}
