// elementwise.metal: small kernels that together use every kind of builtin parameter and collective.
//   y[i] = x[i] + 1, and the like
// Buffers: 0 Args  1 x [n] f32  2 y [n] f32
// Grid: any
// Needs: nothing
#include <metal_stdlib>

namespace shapes {
struct Args {
    uint n;
    metal::packed_float3 origin;
};
enum class Mode : uint { add, subtract };

inline bool delete_(int register_) {
    return register_ != 0;
}
} // namespace shapes

using namespace metal;
using namespace shapes;

[[kernel]] void positions(
    constant Args& args [[buffer(0)]],
    const device float* x [[buffer(1)]],
    device float* y [[buffer(2)]],
    uint2 i [[thread_position_in_grid]],
    uint2 all [[threads_per_grid]],
    ushort2 in [[thread_position_in_threadgroup]],
    uint2 size [[threads_per_threadgroup]],
    uint2 groups [[threadgroups_per_grid]],
    ushort width [[threads_per_simdgroup]],
    uint simdgroups [[simdgroups_per_threadgroup]],
    ushort quad [[quadgroup_index_in_threadgroup]],
    ushort inQuad [[thread_index_in_quadgroup]]
) {
    const uint at = i.y * all.x + i.x;
    if (at >= args.n) return;
    float value = x[at] + float(in.x + size.y + groups.x + width + simdgroups + quad + inQuad);
    value += quad_sum(value) + simd_prefix_exclusive_sum(value) + simd_shuffle_xor(value, 1) +
             simd_broadcast(value, 0);
    if (simd_is_first() || simd_all(value > 0) || (ulong)simd_ballot(value < 0) != 0) {
        value = precise::exp(value) + fract(value) + saturate(value) + powr(value, 2.0f) +
                copysign(value, -1.0f);
    }
    int exponent;
    float whole;
    value += frexp(value, exponent) + modf(value, whole) + (isnan(value) ? 0.0f : whole);
    const Mode mode = args.n > 3 ? Mode::add : Mode::subtract;
    switch (mode) {
    case Mode::add:
        y[at] = value;
        break;
    default:
        y[at] = -value;
    }
    float3 origin = args.origin;
    y[at] +=
        origin.x + length(origin) + numeric_limits<float>::epsilon() + abs(exponent) + min(at, 3u);
}

// The memory of a block that has ended may be used again: 20 KB twice is no more than 20 KB.
kernel void blocks(device float* y [[buffer(0)]], uint i [[thread_position_in_grid]]) {
    for (uint pass = 0; pass < 2; pass++) {
        threadgroup float first[5 * 1024];
        first[i] = y[i];
        simdgroup_barrier(mem_flags::mem_threadgroup);
        y[i] = first[i ^ 1];
    }
    {
        alignas(16) threadgroup half second[10 * 1024];
        threadgroup half* p = second;
        threadgroup half4& four = *(threadgroup half4*)(p + 4);
        four = half4(1, 2, 3, 4).wzyx;
        y[i] = float(p[i]);
    }
}

kernel void limits(
    device uchar4* y [[buffer(30)]],
    threadgroup float4* s [[threadgroup(3)]],
    device atomic<uint>& total [[buffer(2)]],
    uint i [[thread_position_in_grid]]
) {
    s[i] = float4(y[i]) * 2 + 1;
    uint expected = 0;
    atomic_compare_exchange_weak_explicit(
        &total, &expected, 1u, memory_order_relaxed, memory_order_relaxed
    );
    y[i] = uchar4(clamp(rint(s[i]), 0.0f, 255.0f));
    y[i].x = uchar(atomic_load_explicit(&total, memory_order_relaxed));
    array<float, 3> three = {1, 2, 3};
    s[i].x = three[1] + half(0.1) + 1e-3 + 0x1p-2f + 1.h;
}

// Objects of a class go from any memory to any other.
struct Pair {
    float a, b;
};

kernel void pairs(
    device Pair* p [[buffer(0)]],
    constant Pair& c [[buffer(1)]],
    device float* y [[buffer(2)]],
    uint i [[thread_position_in_grid]]
) {
    threadgroup Pair s[4];
    Pair q = c;
    p[0] = q;
    p[1] = c;
    s[i] = p[i];
    p[2] = s[i];
    q = i > 3 ? s[0] : q;
    Pair both[2] = {s[1], c};
    p[3] = both[1];
    Pair other = i > 2 ? c : p[1];
    p[4] = i > 2 ? s[0] : other;
    y[0] = Pair(p[5]).a + Pair{1}.a;
    y[1] = i > 2 ? y[2] : c.a;
    float sum[2] = {y[2], max(s[0].a, c.b)};
    y[2] += sum[1];
}
