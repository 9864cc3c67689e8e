// attention.metal: softmax attention over packed sequences of any length; nothing is computed for padding.
//   out[i, h] = sum_j p[i,j] v[j, h],  p[i,j] = exp(s[i,j] - most[i]) / sum_j of the same,
//   s[i,j] = q[i] . k[j] / sqrt(D) - slopes[h] |i - j|
//   i and j over the tokens of one sequence, |i - j| <= window unless that is 0, j <= i if causal, q and out being columns
//   [hD, (h+1)D) of head h, k and v those of head h / sharing; with a table of positions, s has more terms (relative.h)
// Keys of a causal query may begin with those of another sequence, a prefix, whose tokens stand before its own. Blocks of keys are
// counted from the first of them, so that results have the bits of a sequence that repeats the prefix.
// The softmax is online: sums are rescaled when a greater score turns up (Milakov and Gimelshein 2018, arXiv:1805.02867;
// with tiles as in Dao et al. 2022, arXiv:2205.14135). Scores never leave registers.
// Buffers: 0 AttentionArgs  1 q [.., queryStride]  2 k and 3 v [.., keyStride], rows of the same tokens
//          4 AttentionItem [items], with the keys that any of its queries sees  5 out [.., outStride]
//          6 slopes [A] f32, if hasSlopes  7 table [.., tableStride] and 8 tableRows [2 reach + 1] u32, if hasPositions
//          9 AttentionPrefix [items], if causal
// Grid: (items, A) groups of 4 SIMD-groups, each with 16 queries, or for D > 64 of 8, each with 8; an item has up to 64
// Threadgroup memory: keys and values, 2 * Block * (32 C + 8) elements: 10,240 B for attention_f16_32
// Needs: D % 4 == 0, D <= 32 C; all strides % 4 == 0 and all buffers begin at a multiple of four elements
// Numerics: scores, softmax and sums in f32; p is rounded to v's type before it is multiplied; one rounding at the store
// Constants: headSize, window, hasSlopes, hasPositionKeys, hasPositionQueries, causal, sharing
// Variants: attention_{f16,f32}_{32,64,128}: the greatest D

#include "attention.h"

constant uint sharing [[function_constant(CONSTANT_SHARING)]];

constant constexpr float log2e = 1.44269504f;

// queryBlocksOf is how many blocks of eight queries a SIMD-group has: wide heads leave it registers for one.
static constexpr uint queryBlocksOf(int C) {
    return C > 2 ? 1 : 2;
}

// threadsOf is how many threads have 64 queries together.
static constexpr uint threadsOf(int C) {
    return 64 / (8 * queryBlocksOf(C)) * 32;
}

// Keys says where the keys of an item are.
struct Keys {
    AttentionItem item;
    AttentionPrefix prefix;

    // row is that of a key, counted from the item's first.
    ulong row(uint key) const {
        const uint own = item.key + key;
        return !causal ? own : key < prefix.keys ? prefix.key + key : own - prefix.keys;
    }
};

// stage copies Block rows of keys or values from number key0 on into a tile, with zeros behind their end and behind D.
template <typename T, int C, int Block>
static inline void stage(
    threadgroup T* tile,
    device const T* from,
    uint stride,
    Keys keys,
    uint key0,
    uint index
) {
    const uint rows = keys.item.keys - key0;
    constexpr uint runs = 8 * C; // of four, in a row
    for (uint i = index; i < Block * runs; i += threadsOf(C)) {
        const uint row = i / runs;
        const uint d = 4 * (i % runs);
        const bool inside = row < rows && d < headSize;
        *(threadgroup vec<T, 4>*)(tile + row * (32 * C + 8) + d) =
            inside ? *(device const vec<T, 4>*)(from + keys.row(key0 + row) * stride + d)
                   : vec<T, 4>(T(0));
    }
}

template <typename T, int C, int Block>
[[kernel, max_total_threads_per_threadgroup(threadsOf(C))]] void attention(
    constant AttentionArgs& args [[buffer(0)]],
    device const T* q [[buffer(1)]],
    device const T* k [[buffer(2)]],
    device const T* v [[buffer(3)]],
    device const AttentionItem* items [[buffer(4)]],
    device T* out [[buffer(5)]],
    device const float* slopes [[buffer(6), function_constant(hasSlopes)]],
    device const T* table [[buffer(7), function_constant(hasPositions)]],
    device const uint* tableRows [[buffer(8), function_constant(hasPositions)]],
    device const AttentionPrefix* prefixes [[buffer(9), function_constant(causal)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint laneIndex [[thread_index_in_simdgroup]]
) {
    constexpr uint tileStride = 32 * C + 8;
    constexpr uint queryBlocks = queryBlocksOf(C); // of eight rows, in a SIMD-group
    // As positionKeyBlocks, where scores have no terms of positions.
    constexpr uint keyBlocks = Block < 32 ? Block / 8 : 4;
    alignas(16) threadgroup T keyTile[Block * tileStride];
    alignas(16) threadgroup T valueTile[Block * tileStride];
    const Lane lane(laneIndex);
    const AttentionItem item = items[group.x];
    const uint column = group.y * headSize;
    const uint keyColumn = group.y / sharing * headSize;
    const Keys keyRows = {item, causal ? prefixes[group.x] : AttentionPrefix{0, 0}};
    const uint first = simdgroup * side * queryBlocks;
    // of the SIMD-group's first query from the first key
    uint distance = first;
    if (args.placed == placedByRow) {
        distance += item.query - item.key;
    } else if (args.placed == placedLast) {
        distance += item.keys - item.queries;
    }

    Rows<T, C, queryBlocks> rows;
    rows.slope = hasSlopes ? slopes[group.y] * log2e : 0.0f;
    if (hasPositions) {
        device const T* queries = table + (hasPositionKeys ? args.tableStride / 2 : 0);
        rows.positions = {
            table + column, queries + column, tableRows, args.tableStride, int(args.reach)
        };
    }
    rows.blocks =
        item.queries > first ? min((item.queries - first + side - 1) / side, queryBlocks) : 0;
    UNROLL for (uint i = 0; i < queryBlocks; i++) {
        rows.most[i] = -INFINITY;
        rows.total[i] = 0.0f;
        const uint row = item.query + min(first + side * i + lane.row, item.queries - 1);
        UNROLL for (uint c = 0; c < C; c++) {
            UNROLL for (uint e = 0; e < 2; e++) {
                const uint d = 32 * c + 4 * (lane.column + e);
                device const T* from = q + ulong(row) * args.queryStride + column + d;
                const bool inside = i < rows.blocks && d < headSize;
                rows.q.run[i][c][e] = inside ? *(device const vec<T, 4>*)from : vec<T, 4>(T(0));
            }
            UNROLL for (uint s = 0; s < 4; s++) {
                rows.out[i][c][s] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
            }
        }
    }

    const uint step = side * (hasPositions ? positionKeyBlocks : keyBlocks);
    for (uint key0 = 0; key0 < item.keys; key0 += Block) {
        stage<T, C, Block>(keyTile, k + keyColumn, args.keyStride, keyRows, key0, index);
        stage<T, C, Block>(valueTile, v + keyColumn, args.keyStride, keyRows, key0, index);
        // Keys and values are whole before any thread uses them.
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint sub = 0; sub < Block; sub += step) {
            const int ahead = int(distance) - int(key0 + sub);
            if (rows.blocks > 0 && key0 + sub < item.keys &&
                near(ahead, side * queryBlocks, step)) {
                const uint keys = item.keys - key0 - sub;
                threadgroup const T* subKeys = keyTile + sub * tileStride;
                threadgroup const T* subValues = valueTile + sub * tileStride;
                if (hasPositions) {
                    rows.template attend<positionKeyBlocks>(
                        subKeys, subValues, keys, ahead, args.scale, lane
                    );
                } else {
                    rows.template attend<keyBlocks>(
                        subKeys, subValues, keys, ahead, args.scale, lane
                    );
                }
            }
        }
        // All threads are done with them before the next replace them.
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }

    UNROLL for (uint i = 0; i < queryBlocks; i++) {
        const uint row = first + side * i + lane.row;
        if (i >= rows.blocks) {
            break;
        }
        const float inverse = 1.0f / sumRow(rows.total[i]);
        UNROLL for (uint c = 0; c < C; c++) {
            UNROLL for (uint e = 0; e < 2; e++) {
                const uint d = 32 * c + 4 * (lane.column + e);
                float4 value;
                UNROLL for (uint s = 0; s < 4; s++) {
                    value[s] = rows.out[i][c][s].thread_elements()[e] * inverse;
                }
                if (row < item.queries && d < headSize) {
                    device T* to = out + ulong(item.query + row) * args.outStride + column + d;
                    *(device vec<T, 4>*)to = vec<T, 4>(value);
                }
            }
        }
    }
}

#define INSTANTIATE(name, T, C, Block)                                                             \
    template [[host_name(name)]] [[kernel]] decltype(attention<T, C, Block>) attention<T, C, Block>;

INSTANTIATE("attention_f16_32", half, 1, 64)
INSTANTIATE("attention_f16_64", half, 2, 32)
INSTANTIATE("attention_f16_128", half, 4, 32)
INSTANTIATE("attention_f32_32", float, 1, 64)
INSTANTIATE("attention_f32_64", float, 2, 32)
INSTANTIATE("attention_f32_128", float, 4, 16)
