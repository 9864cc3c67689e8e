// embed.metal: the embedding of each token, normalised; one SIMD-group per token.
//   e[t,h] = words[id[t],h] + positions[position[t],h] + types[type[t],h]
//   y[t,h] = (e[t,h] - mean[t]) / sqrt(variance[t] + epsilon) * gamma[h] + beta[h]
// Buffers: 0 EmbedArgs  1 tokens [3, T] u32: ids, positions, types  2 words [V, H], or its codes  3 positions [P, H]
//          4 types [S, H]  5 gamma, beta [2, H] f32  6 y [T, H]
//          7 scales [V, H/G] f16 and 8 offsets [V, H/G] f16, if wordBits is not 0: words are MLX's affine groups of G
// Grid: ceil(T / S) groups of any number S of SIMD-groups
// Threadgroup memory: none
// Needs: H % 4 == 0, H <= 4096; every table begins at a multiple of four elements; ids,
//        positions and types are inside their tables; G % 4 == 0; wordBits is 0, 4 or 8
// Numerics: f32 in registers, variance in a second pass; one rounding, at the store
// Constants: rowVectors, wordBits
// Variants: embed_{f16,f32}

#include "norm.h"

constant uint wordBits [[function_constant(CONSTANT_WORD_BITS)]];
constant bool quantised = wordBits != 0;

// word reads elements h to h + 3 of row id of the table of words.
template <typename T>
static inline float4 word(
    constant EmbedArgs& args,
    device const uchar* words,
    device const half* scales,
    device const half* offsets,
    uint id,
    uint h
) {
    const ulong at = ulong(id) * args.hidden + h;
    if (!quantised) {
        return float4(((device const vec<T, 4>*)words)[at / 4]);
    }
    float4 code;
    if (wordBits == 8) {
        code = float4(((device const uchar4*)words)[at / 4]);
    } else {
        const uint four = ((device const ushort*)words)[at / 4];
        code = float4(four & 15, four >> 4 & 15, four >> 8 & 15, four >> 12);
    }
    const ulong group = at / args.groupSize;
    return code * float(scales[group]) + float(offsets[group]);
}

template <typename T>
kernel void embed(
    constant EmbedArgs& args [[buffer(0)]],
    device const uint* tokens [[buffer(1)]],
    device const uchar* words [[buffer(2)]],
    device const T* positions [[buffer(3)]],
    device const T* types [[buffer(4)]],
    device const float* vectors [[buffer(5)]],
    device T* y [[buffer(6)]],
    device const half* scales [[buffer(7), function_constant(quantised)]],
    device const half* offsets [[buffer(8), function_constant(quantised)]],
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
    const uint id = tokens[t];
    device const T* position = positions + ulong(tokens[args.tokens + t]) * H;
    device const T* type = types + ulong(tokens[2 * args.tokens + t]) * H;
    RowVectors<1> row;
    for (uint i = 0; i < rowVectors; i++) {
        const uint h = 4 * (lane + simdWidth * i);
        if (h < H) {
            row.x[0][i] = word<T>(args, words, scales, offsets, id, h) +
                          float4(*(device const vec<T, 4>*)(position + h)) +
                          float4(*(device const vec<T, 4>*)(type + h));
        }
    }
    row.store(y + ulong(t) * H, vectors, vectors + H, H, args.epsilon, 1, lane);
}

template [[host_name("embed_f16")]] [[kernel]] decltype(embed<half>) embed<half>;
template [[host_name("embed_f32")]] [[kernel]] decltype(embed<float>) embed<float>;
