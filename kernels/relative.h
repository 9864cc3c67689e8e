// relative.h: what positions add to scores in disentangled attention (He et al. 2020, arXiv:2006.03654).
//   s[i, j] = q[i] . k[j] + q[i] . K[r] + k[j] . Q[r],  r = rows[min(max(i - j, -reach), reach) + reach]
// K and Q are the table's, [.., stride]: of each head's columns hD to (h+1)D those of K, and behind all heads those of Q.
//
// Eight queries and eight keys have fifteen distances. So the product of the queries and the rows of two blocks of eight
// distances, 8 x 16, has a row of eight scores for each query, and each query's begins one column further to the left. In the
// product of two blocks of rows of Q and the keys, 16 x 8, the same goes for columns. A shuffle within the SIMD-group puts
// them where the scores are.
#pragma once

#include "params.h"
#include "simd.h"

constant bool hasPositionKeys [[function_constant(CONSTANT_POS_KEYS)]];
constant bool hasPositionQueries [[function_constant(CONSTANT_POS_QUERY)]];
constant bool hasPositions = hasPositionKeys || hasPositionQueries;

// PositionTable is a head's part of the table.
template <typename T>
struct PositionTable {
    device const T* keys;
    device const T* queries;
    device const uint* rows; // [2 reach + 1]
    uint stride;
    int reach;

    // at is where the row of a distance begins.
    ulong at(int distance) const {
        return ulong(rows[min(max(distance, -reach), reach) + reach]) * stride;
    }
};

// elementsOf reads both at once: a compiler that chooses one by its address keeps the matrix in memory.
static inline float2 elementsOf(thread const simdgroup_float8x8& m) {
    return float2(m.thread_elements()[0], m.thread_elements()[1]);
}

// skewRows is the lane's elements (r, r - c + 7) of a matrix of which left is columns 0 to 7, and right 8 to 15. Each lane holds
// one of the two that have the column of another lane of its row.
static inline float2 skewRows(float2 left, float2 right, Lane lane) {
    float2 result;
    UNROLL for (uint e = 0; e < 2; e++) {
        const bool odd = (lane.row + 1 + e) % 2; // the columns that this row's lanes look for
        const bool after = lane.column + odd + e < lane.row;
        const float even = select(left[0], right[0], after);
        const float held = select(even, select(left[1], right[1], after), odd);
        result[e] = simd_shuffle(held, ushort(lane.beside(lane.row + 7 - lane.column - e)));
    }
    return result;
}

// skewColumns is the lane's elements (r - c + 7, c) of a matrix of which top is rows 0 to 7, and bottom 8 to 15.
static inline float2 skewColumns(float2 top, float2 bottom, Lane lane) {
    float2 result;
    UNROLL for (uint e = 0; e < 2; e++) {
        const float held = select(top[e], bottom[e], lane.row + lane.column + e < 7);
        result[e] = simd_shuffle(held, ushort(lane.at((lane.row + 7 - lane.column - e) % side)));
    }
    return result;
}

static inline void addTerms(thread simdgroup_float8x8& sums, float2 terms) {
    sums.thread_elements()[0] += terms[0];
    sums.thread_elements()[1] += terms[1];
}
