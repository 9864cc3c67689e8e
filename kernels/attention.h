// attention.h: a SIMD-group's part of attention: scores of its queries, their softmax, and sums of values.
#pragma once

#include "params.h"
#include "precision.h"
#include "relative.h"
#include "simd.h"

constant uint headSize [[function_constant(CONSTANT_HEAD_SIZE)]];
constant uint window [[function_constant(CONSTANT_WINDOW)]];
constant bool hasSlopes [[function_constant(CONSTANT_SLOPES)]];
constant bool causal [[function_constant(CONSTANT_CAUSAL)]];
constant bool masked = causal || window != 0;

// Of eight keys, between two updates of the greatest score, where scores have terms of positions: these take registers.
constant constexpr uint positionKeyBlocks = 2;

// near says whether any of some queries sees any of some keys; distance is that of the first query from the first key.
static inline bool near(int distance, uint queries, uint keys) {
    const int reach = int(window);
    const bool behind = !masked || distance + int(queries) + (causal ? 0 : reach) > 0;
    return behind && (window == 0 || distance - reach < int(keys));
}

// As in weights.h: element s of a run of four is column 4 c + s of matrix s, so that lanes read runs and not elements.
// runAt is elements d to d + 3 of a head's row, zeros behind its end.
template <typename T>
static inline vec<T, 4> runAt(device const T* row, uint d) {
    return d < headSize ? *(device const vec<T, 4>*)(row + d) : vec<T, 4>(T(0));
}

template <typename T, int C, int Q>
struct Queries {
    vec<T, 4> run[Q][C][2];
};

// Rows is a SIMD-group's state for its 8 Q queries.
template <typename T, int C, int Q>
struct Rows {
    static constant constexpr uint tileStride = 32 * C + 8;
    static constant constexpr uint queryBlocks = Q; // of eight rows

    Queries<T, C, Q> q;
    simdgroup_float8x8 out[queryBlocks][C][4];
    float most[queryBlocks];  // the greatest score of the lane's row so far, times log2(e)
    float total[queryBlocks]; // this lane's part of the sum of 2^(score - most)
    uint blocks;              // of queryBlocks, that have a query
    float slope;              // times log2(e)
    PositionTable<T> positions;

    // attend takes in a block of 8 N keys; those from number `keys` on don't exist. ahead is the distance of the first query
    // from the first key.
    template <uint N>
    void attend(
        threadgroup const T* keyTile,
        threadgroup const T* valueTile,
        uint keys,
        int ahead,
        float scale,
        Lane lane
    ) {
        simdgroup_float8x8 scores[queryBlocks][N];
        UNROLL for (uint j = 0; j < N; j++) {
            UNROLL for (uint i = 0; i < queryBlocks; i++) {
                scores[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
            }
        }
        if (hasPositions) {
            addPositions(scores, keyTile, keys, ahead, lane);
        }
        UNROLL for (uint j = 0; j < N; j++) {
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
        UNROLL for (uint j = 0; j < N; j++) {
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

    // addPositions adds the products with keys and queries of positions to the scores of a block of 8 N keys, as attend has it.
    // Block t of distances is those from 8 t - 7 on beyond ahead; queries i and keys j have distances of blocks i - j and i - j + 1.
    template <uint N>
    void addPositions(
        thread simdgroup_float8x8 (&scores)[queryBlocks][N],
        threadgroup const T* keyTile,
        uint keys,
        int ahead,
        Lane lane
    ) {
        float2 ofQueries[queryBlocks]; // with block t - 1
        float2 ofKeys[N];
        UNROLL for (int t = 1 - int(N); t <= int(queryBlocks); t++) {
            const int first = ahead + int(side) * t - 7;
            UNROLL for (int i = 0; i < int(queryBlocks); i++) {
                const int j = i - t + 1; // of the keys whose second block t is
                if (!hasPositionKeys || j < 0 || j > int(N) || uint(i) >= blocks) {
                    continue;
                }
                const float2 terms = queryTerms(i, first, lane);
                if (j < int(N)) {
                    addTerms(scores[i][j], skewRows(ofQueries[i], terms, lane));
                }
                ofQueries[i] = terms;
            }
            UNROLL for (int j = 0; j < int(N); j++) {
                const int i = t + j - 1; // of the queries
                if (!hasPositionQueries || i < -1 || i >= int(queryBlocks) || side * j >= keys) {
                    continue;
                }
                const float2 terms = keyTerms(keyTile + side * j * tileStride, first, lane);
                if (i >= 0) {
                    addTerms(scores[i][j], skewColumns(ofKeys[j], terms, lane));
                }
                ofKeys[j] = terms;
            }
        }
    }

    // queryTerms is the lane's elements of the product of eight queries and the keys of eight distances.
    float2 queryTerms(uint i, int first, Lane lane) {
        simdgroup_float8x8 sums = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
        device const T* left = positions.keys + positions.at(first + int(lane.column));
        device const T* right = positions.keys + positions.at(first + int(lane.column) + 1);
        UNROLL for (uint c = 0; c < C; c++) {
            const uint d = 32 * c + 4 * lane.row;
            const vec<T, 4> k0 = runAt(left, d);
            const vec<T, 4> k1 = runAt(right, d);
            UNROLL for (uint s = 0; s < 4; s++) {
                const vec<T, 2> query = vec<T, 2>(q.run[i][c][0][s], q.run[i][c][1][s]);
                multiplyAdd<T>(sums, query, vec<T, 2>(k0[s], k1[s]));
            }
        }
        return elementsOf(sums);
    }

    // keyTerms is the same of the product of the queries of eight distances and eight keys.
    float2 keyTerms(threadgroup const T* keys, int first, Lane lane) {
        simdgroup_float8x8 sums = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
        device const T* row = positions.queries + positions.at(first + int(lane.row));
        UNROLL for (uint c = 0; c < C; c++) {
            const uint d = 32 * c + 4 * lane.column;
            const vec<T, 4> q0 = runAt(row, d);
            const vec<T, 4> q1 = runAt(row, d + 4);
            const uint at = lane.column * tileStride + 32 * c + 4 * lane.row;
            const vec<T, 4> k0 = *(threadgroup const vec<T, 4>*)(keys + at);
            const vec<T, 4> k1 = *(threadgroup const vec<T, 4>*)(keys + at + tileStride);
            UNROLL for (uint s = 0; s < 4; s++) {
                multiplyAdd<T>(sums, vec<T, 2>(q0[s], q1[s]), vec<T, 2>(k0[s], k1[s]));
            }
        }
        return elementsOf(sums);
    }

    // updateSoftmax replaces the scores of eight queries by 2^(score - most), and rescales the sums so far.
    template <uint N>
    void updateSoftmax(
        thread simdgroup_float8x8 (&scores)[N],
        uint i,
        uint keys,
        int ahead,
        float scale,
        Lane lane
    ) {
        float top = most[i];
        float sum = 0.0f;
        UNROLL for (uint j = 0; j < N; j++) {
            UNROLL for (uint e = 0; e < 2; e++) {
                const uint key = side * j + lane.column + e;
                const int before = ahead + int(lane.row) - int(key);
                const int distance = abs(before);
                const bool inside = key < keys && (window == 0 || distance <= int(window)) &&
                                    (!causal || before >= 0);
                float product = scores[j].thread_elements()[e];
                if (masked && !inside) {
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
        const float base = masked && top == -INFINITY ? 0.0f : top;
        // Keys that a causal query does not see leave its sums as they are, with every bit: exp2(0) may be off.
        const float rescale = causal && top == most[i] ? 1.0f : Precision<T>::exp2(most[i] - base);
        UNROLL for (uint j = 0; j < N; j++) {
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
