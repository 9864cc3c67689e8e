// attention.metal: softmax attention over packed sequences of any length; nothing is computed for padding.
//   out[i, h] = sum_j p[i,j] v[j, h],  p[i,j] = exp(q[i] . k[j] / sqrt(D) - most[i]) / sum_j of the same,
//   i and j over the tokens of one sequence, q, k, v and out being columns [hD, (h+1)D) of head h
// The softmax is online: sums are rescaled when a greater score turns up (Milakov and Gimelshein 2018, arXiv:1805.02867;
// with tiles as in Dao et al. 2022, arXiv:2205.14135). Scores never leave registers.
// Buffers: 0 AttentionArgs  1 q [.., queryStride]  2 k and 3 v [.., keyStride], rows of the same tokens
//          4 AttentionItem [items]  5 out [.., outStride]  6 slopes [A] f32
// Grid: (items, A) groups of 4 SIMD-groups, each with 16 queries; an item has up to 64
// Threadgroup memory: keys and values, 2 * Block * (32 C + 8) elements: 10,240 B for attention_f16_32
// Needs: D % 4 == 0, D <= 32 C; all strides % 4 == 0 and all buffers begin at a multiple of four elements
// Numerics: scores, softmax and sums in f32; p is rounded to v's type before it is multiplied; one rounding at the store
// Constants: headSize, window (j from i - window to i + window; 0: all), hasSlopes (slopes[h] |i - j| is taken from a score)
// Variants: attention_{f16,f32}_{32,64}: the greatest D

#include "params.h"
#include "precision.h"
#include "simd.h"

constant uint headSize [[function_constant(CONSTANT_HEAD_SIZE)]];
constant uint window [[function_constant(CONSTANT_WINDOW)]];
constant bool hasSlopes [[function_constant(CONSTANT_SLOPES)]];

constant constexpr uint queryBlocks = 2; // of eight rows, in a SIMD-group
constant constexpr uint keyBlocks = 4;   // of eight keys, between two updates of the greatest score
constant constexpr uint attentionThreads = 4 * simdWidth;
constant constexpr float log2e = 1.44269504f;

// near says whether any of some queries sees any of some keys; distance is that of the first query from the first key.
static inline bool near(int distance, uint queries, uint keys) {
    const int reach = int(window);
    return window == 0 || (distance + int(queries) + reach > 0 && distance - reach < int(keys));
}

// As in weights.h: element s of a run of four is column 4 c + s of matrix s, so that lanes read runs and not elements.
template <typename T, int C>
struct Queries {
    vec<T, 4> run[queryBlocks][C][2];
};

// stage copies Block rows of keys or values into a tile, with zeros behind their end and behind D.
template <typename T, int C, int Block>
static inline void stage(
    threadgroup T* tile,
    device const T* from,
    uint stride,
    uint rows,
    uint index
) {
    constexpr uint runs = 8 * C; // of four, in a row
    for (uint i = index; i < Block * runs; i += attentionThreads) {
        const uint row = i / runs;
        const uint d = 4 * (i % runs);
        const bool inside = row < rows && d < headSize;
        *(threadgroup vec<T, 4>*)(tile + row * (32 * C + 8) + d) =
            inside ? *(device const vec<T, 4>*)(from + ulong(row) * stride + d) : vec<T, 4>(T(0));
    }
}

// Rows is a SIMD-group's state for its 16 queries.
template <typename T, int C>
struct Rows {
    static constant constexpr uint tileStride = 32 * C + 8;

    Queries<T, C> q;
    simdgroup_float8x8 out[queryBlocks][C][4];
    float most[queryBlocks];  // the greatest score of the lane's row so far, times log2(e)
    float total[queryBlocks]; // this lane's part of the sum of 2^(score - most)
    uint blocks;              // of queryBlocks, that have a query
    float slope;              // times log2(e)

    // attend takes in a block of 32 keys; those from number `keys` on don't exist. ahead is the distance of the first query
    // from the first key.
    void attend(
        threadgroup const T* keyTile,
        threadgroup const T* valueTile,
        uint keys,
        int ahead,
        float scale,
        Lane lane
    ) {
        simdgroup_float8x8 scores[queryBlocks][keyBlocks];
        UNROLL for (uint j = 0; j < keyBlocks; j++) {
            UNROLL for (uint i = 0; i < queryBlocks; i++) {
                scores[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
            }
            if (side * j >= keys || !near(ahead - int(side * j), side * queryBlocks, side)) {
                continue;
            }
            UNROLL for (uint c = 0; c < C; c++) {
                const uint at = (side * j + lane.column) * tileStride + 32 * c + 4 * lane.row;
                const vec<T, 4> left = *(threadgroup const vec<T, 4>*)(keyTile + at);
                const vec<T, 4> right = *(threadgroup const vec<T, 4>*)(keyTile + at + tileStride);
                UNROLL for (uint i = 0; i < queryBlocks; i++) {
                    if (i < blocks && near(ahead + int(side * i) - int(side * j), side, side)) {
                        UNROLL for (uint s = 0; s < 4; s++) {
                            const vec<T, 2> query = vec<T, 2>(q.run[i][c][0][s], q.run[i][c][1][s]);
                            multiplyAdd<T>(scores[i][j], query, vec<T, 2>(left[s], right[s]));
                        }
                    }
                }
            }
        }
        UNROLL for (uint i = 0; i < queryBlocks; i++) {
            updateSoftmax(scores[i], i, keys, ahead + int(side * i), scale, lane);
        }
        UNROLL for (uint j = 0; j < keyBlocks; j++) {
            if (side * j >= keys || !near(ahead - int(side * j), side * queryBlocks, side)) {
                continue;
            }
            UNROLL for (uint c = 0; c < C; c++) {
                const uint at = (side * j + lane.row) * tileStride + 32 * c + 4 * lane.column;
                const vec<T, 4> left = *(threadgroup const vec<T, 4>*)(valueTile + at);
                const vec<T, 4> right = *(threadgroup const vec<T, 4>*)(valueTile + at + 4);
                UNROLL for (uint i = 0; i < queryBlocks; i++) {
                    if (i < blocks && near(ahead + int(side * i) - int(side * j), side, side)) {
                        const float2 p = float2(
                            scores[i][j].thread_elements()[0], scores[i][j].thread_elements()[1]
                        );
                        UNROLL for (uint s = 0; s < 4; s++) {
                            multiplyAdd<T>(
                                out[i][c][s], vec<T, 2>(p), vec<T, 2>(left[s], right[s])
                            );
                        }
                    }
                }
            }
        }
    }

    // updateSoftmax replaces the scores of eight queries by 2^(score - most), and rescales the sums so far.
    void updateSoftmax(
        thread simdgroup_float8x8 (&scores)[keyBlocks],
        uint i,
        uint keys,
        int ahead,
        float scale,
        Lane lane
    ) {
        float top = most[i];
        float sum = 0.0f;
        UNROLL for (uint j = 0; j < keyBlocks; j++) {
            UNROLL for (uint e = 0; e < 2; e++) {
                const uint key = side * j + lane.column + e;
                const int distance = abs(ahead + int(lane.row) - int(key));
                const bool inside = key < keys && (window == 0 || distance <= int(window));
                float product = scores[j].thread_elements()[e];
                if (window != 0 && !inside) {
                    product = 0.0f; // the query does not see an overflow of this score
                }
                float score = inside ? product * scale : -INFINITY;
                if (hasSlopes) {
                    score -= slope * float(distance);
                }
                scores[j].thread_elements()[e] = score;
                top = max(top, score);
                // NaN for a score that is not finite: an overflow downwards would be a probability of 0.
                sum += 0.0f * product;
            }
        }
        top = maxRow(top); // finite where a query sees all keys: the first is always there
        // A query that has seen no key yet has sums of 0, which any finite number keeps.
        const float base = window != 0 && top == -INFINITY ? 0.0f : top;
        const float rescale = Precision<T>::exp2(most[i] - base);
        UNROLL for (uint j = 0; j < keyBlocks; j++) {
            UNROLL for (uint e = 0; e < 2; e++) {
                const float p = Precision<T>::exp2(scores[j].thread_elements()[e] - base);
                scores[j].thread_elements()[e] = p;
                sum += p;
            }
        }
        most[i] = top;
        total[i] = total[i] * rescale + sum;
        UNROLL for (uint c = 0; c < C; c++) {
            UNROLL for (uint s = 0; s < 4; s++) {
                out[i][c][s].thread_elements()[0] *= rescale;
                out[i][c][s].thread_elements()[1] *= rescale;
            }
        }
    }
};

template <typename T, int C, int Block>
[[kernel, max_total_threads_per_threadgroup(128)]] void attention(
    constant AttentionArgs& args [[buffer(0)]],
    device const T* q [[buffer(1)]],
    device const T* k [[buffer(2)]],
    device const T* v [[buffer(3)]],
    device const AttentionItem* items [[buffer(4)]],
    device T* out [[buffer(5)]],
    device const float* slopes [[buffer(6), function_constant(hasSlopes)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint laneIndex [[thread_index_in_simdgroup]]
) {
    constexpr uint tileStride = 32 * C + 8;
    alignas(16) threadgroup T keyTile[Block * tileStride];
    alignas(16) threadgroup T valueTile[Block * tileStride];
    const Lane lane(laneIndex);
    const AttentionItem item = items[group.x];
    const uint column = group.y * headSize;
    const uint first = simdgroup * side * queryBlocks;
    // of the SIMD-group's first query from the first key
    const int distance = int((args.alone ? 0 : item.query - item.key) + first);

    Rows<T, C> rows;
    rows.slope = hasSlopes ? slopes[group.y] * log2e : 0.0f;
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

    for (uint key0 = 0; key0 < item.keys; key0 += Block) {
        const ulong from = ulong(item.key + key0) * args.keyStride + column;
        stage<T, C, Block>(keyTile, k + from, args.keyStride, item.keys - key0, index);
        stage<T, C, Block>(valueTile, v + from, args.keyStride, item.keys - key0, index);
        // Keys and values are whole before any thread uses them.
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint sub = 0; sub < Block; sub += side * keyBlocks) {
            const int ahead = distance - int(key0 + sub);
            if (rows.blocks > 0 && key0 + sub < item.keys &&
                near(ahead, side * queryBlocks, side * keyBlocks)) {
                const uint keys = item.keys - key0 - sub;
                threadgroup const T* subKeys = keyTile + sub * tileStride;
                threadgroup const T* subValues = valueTile + sub * tileStride;
                rows.attend(subKeys, subValues, keys, ahead, args.scale, lane);
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
INSTANTIATE("attention_f32_32", float, 1, 64)
INSTANTIATE("attention_f32_64", float, 2, 32)
