// peaks.metal: the limits of a GPU, one to a kernel, over and over.
//   chain_*: x = x * a + b in 16 independent registers of each thread; 16 * 2 FLOPs a round
//   matrix_*: s += a b for 8 independent 8 x 8 sums of each SIMD-group; 8 * 1,024 FLOPs a round
//   copy: y[i] = x[i], 16 bytes of each a thread
//   shared: each thread reads 16 bytes of threadgroup memory a round
//   nothing: the cost of starting a kernel
// Buffers: 0 PeakArgs  1 x [count, 4] f32 (copy alone)  2 y [count, 4] f32
// Grid: count / 256 groups of 256 threads
// Threadgroup memory: shared: 16 KB
// Needs: count % 256 == 0
// Numerics: results are of no interest, but are stored, so that no compiler leaves the work out
// Variants: chain_{f32,f16}, matrix_{f32,f16}, copy, shared, nothing

#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;

// UNROLL keeps the sums in registers (kernels/simd.h).
#define UNROLL _Pragma("clang loop unroll(full)")

constant constexpr uint chains = 16;
constant constexpr uint sums = 8;
constant constexpr uint sharedVectors = 1024;

struct PeakArgs {
    uint rounds;
    float factor;
};

template <typename T>
kernel void chain(
    constant PeakArgs& args [[buffer(0)]],
    device float4* y [[buffer(2)]],
    uint index [[thread_position_in_grid]]
) {
    const T a = T(args.factor), b = T(1.0f) - a;
    T x[chains];
    for (uint c = 0; c < chains; c++) {
        x[c] = T(index + c);
    }
    for (uint i = 0; i < args.rounds; i++) {
        for (uint c = 0; c < chains; c++) {
            x[c] = fma(x[c], a, b);
        }
    }
    T sum = T(0.0f);
    for (uint c = 0; c < chains; c++) {
        sum += x[c];
    }
    y[index] = float4(float(sum));
}

template <typename T>
kernel void products(
    constant PeakArgs& args [[buffer(0)]],
    device float4* y [[buffer(2)]],
    uint index [[thread_position_in_grid]]
) {
    const simdgroup_matrix<T, 8, 8> a = make_filled_simdgroup_matrix<T, 8, 8>(T(args.factor));
    const simdgroup_matrix<T, 8, 8> b = make_filled_simdgroup_matrix<T, 8, 8>(T(0.125f));
    simdgroup_float8x8 s[sums];
    UNROLL for (uint c = 0; c < sums; c++) {
        s[c] = make_filled_simdgroup_matrix<float, 8, 8>(float(c));
    }
    for (uint i = 0; i < args.rounds; i++) {
        UNROLL for (uint c = 0; c < sums; c++) {
            simdgroup_multiply_accumulate(s[c], a, b, s[c]);
        }
    }
    float sum = 0.0f;
    UNROLL for (uint c = 0; c < sums; c++) {
        sum += s[c].thread_elements()[0];
    }
    y[index] = float4(sum);
}

kernel void copy(
    device const float4* x [[buffer(1)]],
    device float4* y [[buffer(2)]],
    uint index [[thread_position_in_grid]]
) {
    y[index] = x[index];
}

kernel void shared(
    constant PeakArgs& args [[buffer(0)]],
    device float4* y [[buffer(2)]],
    uint index [[thread_position_in_grid]],
    uint own [[thread_index_in_threadgroup]],
    uint threads [[threads_per_threadgroup]]
) {
    threadgroup float4 vectors[sharedVectors];
    for (uint i = own; i < sharedVectors; i += threads) {
        vectors[i] = float4(float(i));
    }
    // All vectors are written before any thread reads another's.
    threadgroup_barrier(mem_flags::mem_threadgroup);
    float4 sum = float4(0.0f);
    for (uint i = 0; i < args.rounds; i++) {
        sum += vectors[(own + 32 * i) % sharedVectors];
    }
    y[index] = sum;
}

kernel void nothing(device float4* y [[buffer(2)]], uint index [[thread_position_in_grid]]) {
    if (index == 0) {
        y[0] = float4(1.0f);
    }
}

#define INSTANTIATE(name, function, T)                                                             \
    template [[host_name(name)]] [[kernel]] decltype(function<T>) function<T>;

INSTANTIATE("chain_f32", chain, float)
INSTANTIATE("chain_f16", chain, half)
INSTANTIATE("matrix_f32", products, float)
INSTANTIATE("matrix_f16", products, half)
