// rownorm.h: the layer norm of rows that a threadgroup's SIMD-groups hold side by side in the sums of a Tile.
#pragma once

#include "precision.h"
#include "tile.h"

// 384 threads: every pipeline may have them, with all of a thread's 128 registers.
constant constexpr uint maxSimdgroups = 12;

// A row is added up by strips of so many blocks of eight columns, and then strip by strip. So its sum has the same bits for any
// number of columns to a SIMD-group.
constant constexpr uint stripBlocks = 2;
constant constexpr uint maxStrips =
    maxSimdgroups * 6 / stripBlocks; // of six blocks to a SIMD-group

// RowSums adds up rows over the SIMD-groups of a threadgroup.
template <int MF>
struct RowSums {
    threadgroup float* partial; // [strips, 8 MF]
    uint strips;
    uint strip; // the SIMD-group's first
    Lane lane;

    // put leaves the sum of row 8 i + lane.row over strip s of the SIMD-group's, x being the lane's part of it.
    void put(uint i, uint s, float x) const {
        const float sum = sumRow(x);
        if (lane.column == 0) {
            partial[(strip + s) * side * MF + side * i + lane.row] = sum;
        }
    }

    // get adds up the sums of all strips; each of a row's four lanes takes every fourth. A barrier must stand between put and
    // get, and all lanes must come here.
    float get(uint i) const {
        float sum = 0.0f;
        for (uint s = lane.column / 2; s < strips; s += 4) {
            sum += partial[s * side * MF + side * i + lane.row];
        }
        return sumRow(sum);
    }
};

// normalizeRows replaces the sums of tile, rows of width N, by (x - mean) / sqrt(variance + epsilon). blocks is how many of
// this SIMD-group's NF blocks of columns are inside N. first and second have partial sums of their own.
template <typename T, int MF, int NF, int Depth>
static inline void normalizeRows(
    thread Tile<T, MF, NF, Depth>& tile,
    uint N,
    uint blocks,
    float epsilon,
    RowSums<MF> first,
    RowSums<MF> second
) {
    static_assert(NF % stripBlocks == 0, "strips do not fill a SIMD-group");
    UNROLL for (uint i = 0; i < MF; i++) {
        UNROLL for (uint s = 0; s < NF / stripBlocks; s++) {
            float sum = 0.0f;
            UNROLL for (uint j = s * stripBlocks; j < (s + 1) * stripBlocks; j++) {
                if (j < blocks) {
                    sum +=
                        tile.sums[i][j].thread_elements()[0] + tile.sums[i][j].thread_elements()[1];
                }
            }
            if (s * stripBlocks < blocks) {
                first.put(i, s, sum);
            }
        }
    }
    // All partial sums are stored before they are added up.
    threadgroup_barrier(mem_flags::mem_threadgroup);
    UNROLL for (uint i = 0; i < MF; i++) {
        const float mean = first.get(i) / float(N);
        UNROLL for (uint s = 0; s < NF / stripBlocks; s++) {
            float squares = 0.0f;
            UNROLL for (uint j = s * stripBlocks; j < (s + 1) * stripBlocks; j++) {
                if (j < blocks) {
                    const float2 centred = float2(
                                               tile.sums[i][j].thread_elements()[0],
                                               tile.sums[i][j].thread_elements()[1]
                                           ) -
                                           mean;
                    tile.sums[i][j].thread_elements()[0] = centred[0];
                    tile.sums[i][j].thread_elements()[1] = centred[1];
                    squares += centred[0] * centred[0] + centred[1] * centred[1];
                }
            }
            if (s * stripBlocks < blocks) {
                second.put(i, s, squares);
            }
        }
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
