// rownorm.h: the layer norm of rows that a threadgroup's SIMD-groups hold side by side in the sums of a Tile.
#pragma once

#include "precision.h"
#include "tile.h"

// 384 threads: every pipeline may have them, with all of a thread's 128 registers.
constant constexpr uint maxSimdgroups = 12;

// RowSums adds up rows over the SIMD-groups of a threadgroup. Each adds up its own columns first.
template <int MF>
struct RowSums {
    threadgroup float* partial; // [simdgroups, 8 MF]
    uint simdgroups;
    uint simdgroup;
    Lane lane;

    // put leaves one SIMD-group's sum of row 8 i + lane.row, x being the lane's part of it.
    void put(uint i, float x) const {
        const float sum = sumRow(x);
        if (lane.column == 0) {
            partial[simdgroup * side * MF + side * i + lane.row] = sum;
        }
    }

    // get adds up the sums of all SIMD-groups. A barrier must stand between put and get.
    float get(uint i) const {
        float sum = 0.0f;
        for (uint s = 0; s < simdgroups; s++) {
            sum += partial[s * side * MF + side * i + lane.row];
        }
        return sum;
    }
};

// normalizeRows replaces the sums of tile, rows of width N, by (x - mean) / sqrt(variance + epsilon). blocks is how many of
// this SIMD-group's NF blocks of columns are inside N. first and second have partial sums of their own.
template <typename T, int MF, int NF>
static inline void normalizeRows(
    thread Tile<T, MF, NF>& tile,
    uint N,
    uint blocks,
    float epsilon,
    RowSums<MF> first,
    RowSums<MF> second
) {
    UNROLL for (uint i = 0; i < MF; i++) {
        float sum = 0.0f;
        UNROLL for (uint j = 0; j < NF; j++) {
            if (j < blocks) {
                sum += tile.sums[i][j].thread_elements()[0] + tile.sums[i][j].thread_elements()[1];
            }
        }
        first.put(i, sum);
    }
    // All partial sums are stored before they are added up.
    threadgroup_barrier(mem_flags::mem_threadgroup);
    UNROLL for (uint i = 0; i < MF; i++) {
        const float mean = first.get(i) / float(N);
        float squares = 0.0f;
        UNROLL for (uint j = 0; j < NF; j++) {
            if (j < blocks) {
                const float2 centred =
                    float2(
                        tile.sums[i][j].thread_elements()[0], tile.sums[i][j].thread_elements()[1]
                    ) -
                    mean;
                tile.sums[i][j].thread_elements()[0] = centred[0];
                tile.sums[i][j].thread_elements()[1] = centred[1];
                squares += centred[0] * centred[0] + centred[1] * centred[1];
            }
        }
        second.put(i, squares);
    }
    // The same for the squares. They have room of their own, so that they need not wait for reads of the first.
    threadgroup_barrier(mem_flags::mem_threadgroup);
    UNROLL for (uint i = 0; i < MF; i++) {
        const float inverse = inverseDeviation<T>(second.get(i) / float(N), epsilon);
        UNROLL for (uint j = 0; j < NF; j++) {
            tile.sums[i][j].thread_elements()[0] *= inverse;
            tile.sums[i][j].thread_elements()[1] *= inverse;
        }
    }
}
