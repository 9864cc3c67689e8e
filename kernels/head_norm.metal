// head_norm.metal: the norm of each head of queries and keys, each by itself, and then their rotary positions.
//   y = x[m, hD + d] / sqrt(sum_d of its square / D + epsilon) * gamma[d] + beta[d], in place; if turned, pairs (2i, 2i + 1) of y
//   are turned by the position of the row
// Buffers: 0 HeadNormArgs  1 x [M, stride]: heads of queries, then heads of keys; columns behind them stay as they are
//          2 gamma and beta of queries, gamma and beta of keys [4, D] f32
//          3 turns [P, D/2] float2: cosine and sine, and 4 positions [M or T] u32, if turned
//          5 rows [M] u32, if gatherA: the position of row m is that of rows[m]
// Grid: (ceil(heads / S), M) groups of S <= 8 SIMD-groups, a head each
// Threadgroup memory: none
// Needs: D % 4 == 0, D <= 128; stride % 4 == 0; x and the vectors begin at a multiple of four elements
// Numerics: f32; one rounding, at the store
// Constants: headSize, turned, gatherA
// Variants: head_norm_{f16,f32}

#include "params.h"
#include "precision.h"
#include "simd.h"
#include "turn.h"

constant uint headSize [[function_constant(CONSTANT_HEAD_SIZE)]];
constant uint turned [[function_constant(CONSTANT_TURNED)]];
constant bool gatherA [[function_constant(CONSTANT_GATHER_A)]];
constant bool hasTurns = turned != 0;
constant bool gathered = hasTurns && gatherA;

template <typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void head_norm(
    constant HeadNormArgs& args [[buffer(0)]],
    device T* x [[buffer(1)]],
    device const float* vectors [[buffer(2)]],
    device const float2* turns [[buffer(3), function_constant(hasTurns)]],
    device const uint* positions [[buffer(4), function_constant(hasTurns)]],
    device const uint* rows [[buffer(5), function_constant(gathered)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint groupSimdgroups [[simdgroups_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]
) {
    const uint head = group.x * groupSimdgroups + simdgroup;
    if (head >= args.queries + args.keys) {
        return;
    }
    const bool ofKeys = head >= args.queries;
    const uint d = 4 * lane;
    const bool inside = d < headSize;
    device vec<T, 4>* at =
        (device vec<T, 4>*)(x + (ulong(group.y) * args.stride + head * headSize + d));
    float4 value = inside ? float4(*at) : float4(0.0f);
    const float square = simd_sum(dot(value, value)) / float(headSize);
    if (!inside) {
        return;
    }
    device const float* gamma = vectors + (ofKeys ? 2 * headSize : 0) + d;
    value = value * inverseDeviation<T>(square, ofKeys ? args.keyEpsilon : args.epsilon) *
                *(device const float4*)gamma +
            *(device const float4*)(gamma + headSize);
    if (hasTurns) {
        const uint position = positions[gathered ? rows[group.y] : group.y];
        device const float2* by = turns + (position * (headSize / 2) + d / 2);
        value = float4(turn(value.xy, by[0]), turn(value.zw, by[1]));
    }
    *at = vec<T, 4>(value);
}

template [[host_name("head_norm_f16")]] [[kernel]] decltype(head_norm<half>) head_norm<half>;
template [[host_name("head_norm_f32")]] [[kernel]] decltype(head_norm<float>) head_norm<float>;
