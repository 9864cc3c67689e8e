// embed.metal: the embedding of each token, normalised; one SIMD-group per token.
//   e[t,h] = words[id[t],h] + positions[position[t],h] + types[type[t],h], as far as parts has them
//   y[t,h] = (e[t,h] - mean[t]) / sqrt(variance[t] + epsilon) * gamma[h] + beta[h], if parts has the norm; else e[t,h]; or, if it
//   waits for a norm, e[t,h] * gamma[h] / keptShrink, as params.h has it
// Buffers: 0 EmbedArgs  1 tokens [3, T] u32: ids, positions, types  2 words [V, H], or its codes  3 positions [P, H]
//          4 types [S, H]  5 gamma, beta [2, H] f32; gamma / keptShrink [H] f32  6 y [T, H]
//          7 scales [V, H/G] f16 and 8 offsets [V, H/G] f16, if wordBits is not 0: words are MLX's affine groups of G
//          9 sum [T, H] f32, if kept: e or its norm, before it is rounded  10 statistics of the sum, if it waits for a norm
// Grid: ceil(T / S) groups of S <= 4 SIMD-groups
// Threadgroup memory: none
// Needs: H % 4 == 0, H <= 128 V; every table begins at a multiple of four elements; ids,
//        positions and types are inside their tables; G % 4 == 0; wordBits is 0, 4 or 8
// Numerics: f32, variance in a second pass; one rounding, at the store
// Constants: wordBits, parts, kept
// Variants: embed_{f16,f32}_{384,768,1024}: the widest row, 128 V, in registers; embed_{f16,f32}_wide: any, read three times

#include "norm.h"
#include "statistics.h"

constant uint wordBits [[function_constant(CONSTANT_WORD_BITS)]];
constant uint parts [[function_constant(CONSTANT_PARTS)]];
constant bool kept [[function_constant(CONSTANT_KEPT)]];
constant bool quantised = wordBits != 0;
constant bool hasPositions = (parts & partPositions) != 0;
constant bool hasTypes = (parts & partTypes) != 0;
constant bool hasNorm = (parts & partNorm) != 0;
constant bool waiting = (parts & partWaiting) != 0;
constant bool hasVectors = hasNorm || waiting;

// TokenRow is the sum of a token's three embeddings.
template <typename T>
struct TokenRow {
    device const uchar* words; // or codes
    device const half* scales;
    device const half* offsets;
    device const T* position; // [H]
    device const T* type;     // [H]
    ulong first;              // of the token's words, counted in elements
    uint groupSize;

    float4 at(uint, uint h) const {
        float4 sum = word(first + h);
        if (hasPositions) {
            sum += float4(*(device const vec<T, 4>*)(position + h));
        }
        if (hasTypes) {
            sum += float4(*(device const vec<T, 4>*)(type + h));
        }
        return sum;
    }

    // word reads elements i to i + 3 of the table of words.
    float4 word(ulong i) const {
        if (!quantised) {
            return float4(((device const vec<T, 4>*)words)[i / 4]);
        }
        float4 code;
        if (wordBits == 8) {
            code = float4(((device const uchar4*)words)[i / 4]);
        } else {
            const uint four = ((device const ushort*)words)[i / 4];
            code = float4(four & 15, four >> 4 & 15, four >> 8 & 15, four >> 12);
        }
        const ulong group = i / groupSize;
        return code * float(scales[group]) + float(offsets[group]);
    }
};

template <typename T, int V>
[[kernel, max_total_threads_per_threadgroup(128)]] void embed(
    constant EmbedArgs& args [[buffer(0)]],
    device const uint* tokens [[buffer(1)]],
    device const uchar* words [[buffer(2)]],
    device const T* positions [[buffer(3), function_constant(hasPositions)]],
    device const T* types [[buffer(4), function_constant(hasTypes)]],
    device const float* vectors [[buffer(5), function_constant(hasVectors)]],
    device T* y [[buffer(6)]],
    device const half* scales [[buffer(7), function_constant(quantised)]],
    device const half* offsets [[buffer(8), function_constant(quantised)]],
    device float* sum [[buffer(9), function_constant(kept)]],
    device float2* statistics [[buffer(10), function_constant(waiting)]],
    uint group [[threadgroup_position_in_grid]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint groupSimdgroups [[simdgroups_per_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]
) {
    const uint t = group * groupSimdgroups + simdgroup;
    if (t >= args.tokens) {
        return;
    }
    const uint H = args.hidden;
    const TokenRow<T> row = {
        words,
        quantised ? scales : nullptr,
        quantised ? offsets : nullptr,
        hasPositions ? positions + ulong(tokens[args.tokens + t]) * H : nullptr,
        hasTypes ? types + ulong(tokens[2 * args.tokens + t]) * H : nullptr,
        ulong(tokens[t]) * H,
        args.groupSize
    };
    const ulong to = ulong(t) * H;
    if (waiting) {
        keepRow(row, y + to, sum + to, vectors, statistics + ulong(t) * stripsOf(H), H, lane);
        return;
    }
    if (!hasNorm) {
        for (uint h = 4 * lane; h < H; h += 4 * simdWidth) {
            const float4 value = row.at(0, h);
            *(device vec<T, 4>*)(y + to + h) = vec<T, 4>(value);
            if (kept) {
                *(device float4*)(sum + to + h) = value;
            }
        }
        return;
    }
    LayerNorm<T, 1, V> norm;
    norm.store(
        row, 1, y + to, kept ? sum + to : nullptr, vectors, vectors + H, H, args.epsilon, lane
    );
}

#define INSTANTIATE(name, T, V)                                                                    \
    template [[host_name(name)]] [[kernel]] decltype(embed<T, V>) embed<T, V>;

INSTANTIATE("embed_f16_384", half, 3)
INSTANTIATE("embed_f16_768", half, 6)
INSTANTIATE("embed_f16_1024", half, 8)
INSTANTIATE("embed_f16_wide", half, 0)
INSTANTIATE("embed_f32_384", float, 3)
INSTANTIATE("embed_f32_768", float, 6)
INSTANTIATE("embed_f32_1024", float, 8)
INSTANTIATE("embed_f32_wide", float, 0)
