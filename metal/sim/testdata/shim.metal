// What the shim has, one value at a time: each kernel writes numbers that shim_test.go computes itself.
#include <metal_stdlib>
using namespace metal;

// 32 lanes; row r of out is one function's value in every lane.
kernel void simd_functions(
    device float* out [[buffer(0)]],
    uint lane [[thread_index_in_simdgroup]]
) {
    float x = float(lane + 1);
    int row = 0;
#define ROW(...) out[row++ * 32 + lane] = float(__VA_ARGS__)
    ROW(simd_sum(x));
    ROW(simd_max(x));
    ROW(simd_min(x));
    ROW(simd_product(lane < 3 ? x : 1.0f));
    ROW(simd_and(lane | 32u));
    ROW(simd_or(lane));
    ROW(simd_xor(lane + 1));
    ROW(simd_prefix_inclusive_sum(x));
    ROW(simd_prefix_exclusive_sum(x));
    ROW(simd_prefix_inclusive_product(lane < 4 ? x : 1.0f));
    ROW(simd_shuffle(x, ushort(31 - lane)));
    ROW(simd_shuffle_xor(x, 5));
    ROW(simd_shuffle_up(x, 3));
    ROW(simd_shuffle_down(x, 3));
    ROW(simd_shuffle_rotate_up(x, 3));
    ROW(simd_shuffle_rotate_down(x, 3));
    ROW(simd_shuffle_and_fill_up(x, -1.0f, 2));
    ROW(simd_shuffle_and_fill_down(x, -1.0f, 2));
    ROW(simd_shuffle_and_fill_down(x, -1.0f, 2, 8));
    ROW(simd_broadcast(x, 7));
    ROW(simd_broadcast_first(x));
    ROW(ulong(simd_ballot(lane % 3 == 0)));
    ROW(simd_all(lane < 31));
    ROW(simd_any(lane == 31));
    ROW(simd_is_first());
    ROW(quad_sum(x));
    ROW(quad_max(x));
    ROW(quad_shuffle_xor(x, 1));
    ROW(quad_broadcast(x, 2));
    ROW(bfloat(x * 1.00390625f));
    ROW(isnan(float(bfloat(as_type<float>(0x7F800001u + uint(lane))))));
    ROW(isinf(float(bfloat(x * INFINITY))));
    float4 v = simd_sum(float4(x, 1, 2, 3));
    ROW(v.x + v.y + v.z + v.w);
}

// One thread.
kernel void language(device float* out [[buffer(0)]]) {
    int at = 0;
#define PUT(...) out[at++] = float(__VA_ARGS__)
    float4 v = float4(1, 2, 3, 4);
    float2 w = v.zx;
    PUT(w.x);
    PUT(w.y);
    v.xy = v.yx;
    PUT(v.x);
    v.zw *= 2;
    PUT(v.w);
    PUT(dot(v.xyz, v.www));
    PUT(dot(float3(v.xy, 5), v.xyz));
    float4 c = float4(w, v.w, 9);
    PUT(c.z + c.a);
    half4 h = half4(c);
    PUT(h.w);
    uchar4 u = uchar4(300, 1, 2, 255);
    PUT(u.x);
    PUT(any(v.xy > 1.5f));
    PUT(all(v.xy > 1.5f));
    PUT(select(v, float4(0), v > 2.0f).x);
    PUT(as_type<float>(0x40490FDBu));
    PUT(sizeof(packed_float3) + sizeof(float3));
    PUT(half(2049));
    half a = 1024,
         b = 1.5h; // 1024 + 1.5 lies between 1025 and 1026 and rounds to even; then 1026 - 1024
    PUT(a + b - a);
    PUT(bfloat(1.00390625f) + bfloat(0.0f));
    PUT(popcount(0xF0F0u) + clz(1u) + ctz(8u));
    PUT(mulhi(0x80000000u, 6u));
    PUT(extract_bits(0xABCDu, 4, 8));
    PUT(fract(-0.25f));
    PUT(clamp(5, 1, 3));
    PUT(sign(-2.0f) + saturate(3.0f) + rint(2.5f) + round(2.5f));
    PUT(max3(1, 5, 3) + median3(1, 5, 3));
    PUT(numeric_limits<half>::max());
    PUT(metal::is_same_v<decltype(v.x * 1), float>);
    PUT(reverse_bits(1u) == 0x80000000u);
    PUT(rotate(0x80000001u, 1u));
    PUT(isnan(NAN) + isinf(-INFINITY));
    PUT(length(float2(3, 4)));
    PUT(fma(2.0f, 3.0f, 4.0f));
    PUT(short4(1, 2, 3, 4)[2]);
}

struct Pair {
    float x;
    float get() const device { return x; }
    float get() const thread { return x; }
    float get() const threadgroup { return x; }
};

float first(device const float* p) {
    return p[0];
}
float first(threadgroup const float* p) {
    return p[0];
}

constant int shift [[function_constant(0)]];
constant bool scaled [[function_constant(1)]];
constant int twice = shift * 2;
constant float scale = scaled ? 10.0f : 1.0f;
constant bool given = is_function_constant_defined(scaled);

// 64 threads: atomics, threadgroup memory, constants.
[[kernel, max_total_threads_per_threadgroup(64)]] void memory(
    device float* out [[buffer(0)]],
    device atomic_uint* counter [[buffer(1)]],
    device atomic_float* total [[buffer(2)]],
    threadgroup float* passed [[threadgroup(0)]],
    uint tid [[thread_index_in_threadgroup]],
    uint3 position [[thread_position_in_grid]]
) {
    threadgroup float table[4][16];
    threadgroup float zeros[8] = {0};
    threadgroup atomic_int peak;
    if (tid == 0) atomic_store_explicit(&peak, -1, memory_order_relaxed);
    table[tid / 16][tid % 16] = tid;
    passed[tid] = tid * 2;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    atomic_fetch_add_explicit(counter, 1u, memory_order_relaxed);
    atomic_fetch_add_explicit(total, 0.5f, memory_order_relaxed);
    atomic_fetch_max_explicit(&peak, int(tid), memory_order_relaxed);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    Pair mine = {zeros[tid % 8]};
    out[position.x] = table[3 - tid / 16][15 - tid % 16] + passed[63 - tid] + mine.get() +
                      atomic_load_explicit(&peak, memory_order_relaxed) + twice * scale + given +
                      first(&passed[1]);
}

template <typename T, int N>
[[kernel, max_total_threads_per_threadgroup(N * 2)]] void fill(
    device T* out [[buffer(0)]],
    uint i [[thread_position_in_grid]]
) {
    threadgroup T values[N];
    values[i % N] = T(N);
    out[i] = values[i % N];
}

#define instantiate(name, T, N)                                                                    \
    template [[host_name("fill_" name)]] [[kernel]] decltype(fill<T, N>) fill<T, N>;
instantiate("half", half, 16) instantiate("int", int, 8)

    kernel void divides(device int* out [[buffer(0)]]) {
    out[0] = 7 / out[1];
}
kernel void recurses(device int* out [[buffer(0)]]) {
    volatile int big[40000];
    for (int i = 0; i < 40000; i++)
        big[i] = i;
    out[0] = big[out[1]];
}
kernel void diverges(device int* out [[buffer(0)]], uint lane [[thread_index_in_simdgroup]]) {
    if (lane < 16)
        out[lane] = simd_sum(1);
    else
        threadgroup_barrier(mem_flags::mem_device);
}

// Row f of out is one function at in[i].
kernel void accuracies(
    device const float* in [[buffer(0)]],
    device float* out [[buffer(1)]],
    uint i [[thread_position_in_grid]],
    uint n [[threads_per_grid]]
) {
    const float x = in[i];
    int row = 0;
#define AT(...) out[row++ * n + i] = __VA_ARGS__
    AT(fast::exp(x));
    AT(fast::exp2(x));
    AT(fast::rsqrt(x * x));
    AT(fast::log(x * x));
    AT(fast::divide(1.0f, x));
    AT(fast::divide(3.0f, x));
    AT(fast::tanh(x));
    AT(precise::exp(x));
}
