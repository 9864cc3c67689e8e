// tiles.metal: what tiled and quantised kernels are made of.
//   y[i] = something of w, x
// Buffers: 0 Args  1 w [N,K/8] u32  2 scales [N,K/64] f16  3 x [T,K] f16  4 y [T,N] f16  5 offsets [B+1] u32
// Grid: ceil(N/64) by ceil(T/64) groups of 128 threads
// Threadgroup memory: 64*72*2 f16 = 18 KB
// Needs: K % 64 == 0
#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;

#define TILE_ROWS 64
#define UNROLL    _Pragma("clang loop unroll(full)")

enum Activation : uint { activationNone, activationGelu, activationTanh = 7 };

struct Args {
    uint rows, columns, depth;
    uint strides[4];
    packed_half2 limits;
};

struct Pointers {
    const device uint* weights;
    threadgroup half* tile;
    Pointers(const device uint* w, threadgroup half* t) : weights(w), tile(t) {}
    uint at(uint i) const { return weights[i]; }
};

typedef struct {
    half4 low, high;
} Eight;

constant uint activation [[function_constant(0)]];
constant bool hasOffsets [[function_constant(1)]];
constant constexpr uint depth = 64, padding = 8;
constant float2 polynomial[] = {float2(1.0f, 0.5f), {2, 3}};

namespace detail {
template <typename P>
float sum(P values, uint n) {
    float total = 0;
    for (uint i = 0; i < n; i++)
        total += float(values[i]);
    return total;
}

template <typename T>
struct Accumulator {
    using type = float;
};
template <>
struct Accumulator<int> {
    using type = int;
};

inline Eight unpack(uint word, half scale) {
    const ushort4 low = ushort4(word, word >> 4, word >> 8, word >> 12) & 15;
    const ushort4 high =
        (ushort4)(15) & ushort4(uint4(word >> 16, word >> 20, word >> 24, word >> 28));
    return {half4(low) * scale, half4(high) * scale};
}
} // namespace detail

template <int M, int N>
inline void clear(thread simdgroup_float8x8 (&sums)[M][N]) {
    UNROLL for (short i = 0; i < M; i++) {
        for (short j = 0; j < N; j++)
            sums[i][j] = simdgroup_float8x8(0);
    }
}

inline float activate(float x) {
    switch (activation) {
    case activationGelu:
        return 0.5f * x * (1 + precise::tanh(x * M_2_SQRTPI_F * M_SQRT1_2_F));
    case activationTanh:
        return tanh(clamp(x, -10.0f, 10.0f));
    default:
        return x;
    }
}

template <typename T, short BN>
kernel void tiles(
    constant Args& args [[buffer(0)]],
    device const uint* w [[buffer(1)]],
    device const half* scales [[buffer(2)]],
    device const T* x [[buffer(3)]],
    device T* y [[buffer(4)]],
    constant uint* offsets [[buffer(5), function_constant(hasOffsets)]],
    uint2 group [[threadgroup_position_in_grid]],
    ushort thread_index [[thread_index_in_threadgroup]],
    ushort simdgroup [[simdgroup_index_in_threadgroup]],
    ushort lane [[thread_index_in_simdgroup]]
) {
    static_assert(BN % 8 == 0, "whole matrices");
    using Sum = typename detail::Accumulator<T>::type;
    constexpr ushort perThread = TILE_ROWS * depth / 8 / 128;
    threadgroup half left[TILE_ROWS][depth + padding];
    threadgroup T right[BN * (depth + padding)];
    threadgroup uint ids[BN];
    const uint first = hasOffsets ? offsets[group.y] : group.y * BN;
    const Pointers p(w + group.x * args.strides[0], &left[0][0]);
    simdgroup_float8x8 sums[2][4];
    clear(sums);
    if (thread_index < BN) ids[thread_index] = min(first + thread_index, args.rows - 1);
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint k = 0; k < args.depth; k += depth) {
#pragma unroll
        for (ushort i = 0; i < perThread; ++i) {
            const ushort row = (thread_index + i * 128) / 8, column = (thread_index % 8) * 8;
            Eight eight =
                detail::unpack(p.at(row * (args.depth / 8) + (k + column) / 8), scales[row]);
            threadgroup half4* to = (threadgroup half4*)(left[row] + column);
            to[0] = eight.low;
            *(to + 1) = eight.high;
            const device T* from =
                (x != nullptr ? x : (const device T*)y) + ids[row % BN] * args.depth;
            right[row * depth + column] = from[k];
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        simdgroup_half8x8 a;
        simdgroup_matrix<T, 8, 8> b;
        for (ushort kk = 0; kk < depth; kk += 8) {
            simdgroup_load(a, &left[simdgroup * 16][kk], depth + padding, ulong2(0), true);
            simdgroup_load(b, right + kk, depth, 0, false);
            simdgroup_multiply_accumulate(sums[0][kk / 16], a, b, sums[0][kk / 16]);
        }
    }
    Sum total = detail::sum(right, 8) + detail::sum(&y[first], 2) + detail::sum(polynomial[1], 2);
    thread auto& lanes = sums[0][0].thread_elements();
    lanes = float2(activate(lanes.x), activate(lanes[1]));
    half2 limit = args.limits, packed = as_type<half2>(w[lane]);
    packed = select(packed, limit, packed > limit) + half2(total);
    if constexpr (is_same_v<T, half>) {
        y[lane] = packed.x * (lane & 1 ? -1 : 1);
    } else {
        y[lane] = T(simd_shuffle_down(float(packed.y), 1) + lanes.x + dot(float2(packed), lanes));
    }
    device T* end = y + args.rows;
    for (device T* q = y + lane; q < end; q += 32)
        *q = T(0);
    simdgroup_store(sums[1][0], (device float*)y);
}

template [[host_name("tiles_f16_64")]] [[kernel]] void tiles<half, 64>(
    constant Args& args [[buffer(0)]],
    device const uint* w [[buffer(1)]],
    device const half* scales [[buffer(2)]],
    device const half* x [[buffer(3)]],
    device half* y [[buffer(4)]],
    constant uint* offsets [[buffer(5), function_constant(hasOffsets)]],
    uint2 group [[threadgroup_position_in_grid]],
    ushort thread_index [[thread_index_in_threadgroup]],
    ushort simdgroup [[simdgroup_index_in_threadgroup]],
    ushort lane [[thread_index_in_simdgroup]]
);
template [[host_name("tiles_f32_32")]] [[kernel]] decltype(tiles<float, 32>) tiles<float, 32>;
