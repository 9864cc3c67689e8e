// weights.h: how a SIMD-group reads its part of a weight matrix w [N, K] from device memory into registers.
//
// For every step of `depth` = 32 along K, each lane reads runs of four neighbours of K, from rows n and n + 1 of w for
// each of its NF blocks of eight columns of the product. The eight lanes that share n together read 32 neighbours, so that
// memory is read in whole pieces, each once, and nothing passes through threadgroup memory, except where a variant stages it.
//
// A sum over k may be taken in any order as long as both factors use the same: matrix s of a step has k = 4 c + s in its
// row c, which is element s of the run that the lane of row c has read. Tile::multiply takes its left factor likewise.
#pragma once

#include "params.h"
#include "simd.h"

constant constexpr uint depth = 32; // of a step along K

// DenseWeights reads w as it is, [N, K] of T.
template <typename T, int NF>
struct DenseWeights {
    device const T* w;
    uint K;
    uint k; // this lane's first
    uint at
        [NF]; // element of the first row of a block, at this lane's first k; the second row is K behind it

    DenseWeights(device const T* w_, uint N, uint K_, uint column0, Lane lane)
        : w(w_), K(K_), k(4 * lane.row) {
        UNROLL for (uint j = 0; j < NF; j++) {
            // Columns behind the last read others again: their results are never stored. N is even.
            at[j] = min(column0 + side * j + lane.column, N - 2) * K + k;
        }
    }

    // load reads a step's part, and zeros behind K.
    void load(uint k0, thread vec<T, 4> (&part)[NF][2]) {
        const bool inside = k0 + k < K;
        UNROLL for (uint j = 0; j < NF; j++) {
            device const T* from = w + (at[j] + k0);
            part[j][0] = inside ? *(device const vec<T, 4>*)from : vec<T, 4>(T(0));
            part[j][1] = inside ? *(device const vec<T, 4>*)(from + K) : vec<T, 4>(T(0));
        }
    }
};

// AheadWeights reads a step's part of DenseWeights while that of the step before is multiplied, for twice the registers.
template <typename T, int NF>
struct AheadWeights {
    DenseWeights<T, NF> dense;
    vec<T, 4> next[NF][2];

    explicit AheadWeights(DenseWeights<T, NF> dense_) : dense(dense_) { dense.load(0, next); }

    void load(uint k0, thread vec<T, 4> (&part)[NF][2]) {
        UNROLL for (uint j = 0; j < NF; j++) {
            part[j][0] = next[j][0];
            part[j][1] = next[j][1];
        }
        dense.load(k0 + depth, next);
    }
};

// StagedWeights copies a SIMD-group's rows of w, as it is, into threadgroup memory of its own, Depth neighbours of k at a time,
// and takes a step's part from there. The lanes of a row are neighbours, so that a load covers whole lines of memory: 128 bytes
// for 64 halves. The next rows are read while these are multiplied.
template <typename T, int NF, int Depth>
struct StagedWeights {
    static constant constexpr uint runs = Depth / 4; // of four, in a row
    static constant constexpr uint rowStep = simdWidth / runs;
    static constant constexpr uint flight = side * NF / rowStep; // runs that a lane carries
    static constant constexpr uint stride = Depth + 8;
    static constant constexpr uint elements = side * NF * stride;

    device const T* w;
    threadgroup T* stage;
    uint K;
    uint row;        // of the lane's first run
    uint k;          // of all of them
    uint at[flight]; // elements of w, in the first step
    vec<T, 4> run[flight];
    Lane lane;

    StagedWeights(
        device const T* w_,
        threadgroup T* stage_,
        uint N,
        uint K_,
        uint column0,
        Lane lane_
    )
        : w(w_), stage(stage_), K(K_), row(lane_.index / runs), k(4 * (lane_.index % runs)),
          lane(lane_) {
        UNROLL for (uint p = 0; p < flight; p++) {
            at[p] = min(column0 + row + p * rowStep, N - 1) * K + k;
        }
        fetch(0);
    }

    // fetch reads the runs of the step at k0, and zeros behind K.
    void fetch(uint k0) {
        const bool inside = k0 + k < K;
        UNROLL for (uint p = 0; p < flight; p++) {
            run[p] = inside ? *(device const vec<T, 4>*)(w + (at[p] + k0)) : vec<T, 4>(T(0));
        }
    }

    void load(uint k0, thread vec<T, 4> (&part)[NF][2]) {
        if (k0 % Depth == 0) {
            // All lanes have taken their parts of the rows before.
            simdgroup_barrier(mem_flags::mem_threadgroup);
            UNROLL for (uint p = 0; p < flight; p++) {
                *(threadgroup vec<T, 4>*)(stage + (row + p * rowStep) * stride + k) = run[p];
            }
            // The rows are whole before any lane takes its part.
            simdgroup_barrier(mem_flags::mem_threadgroup);
            fetch(k0 + Depth);
        }
        UNROLL for (uint j = 0; j < NF; j++) {
            const uint from = (side * j + lane.column) * stride + k0 % Depth + 4 * lane.row;
            part[j][0] = *(threadgroup const vec<T, 4>*)(stage + from);
            part[j][1] = *(threadgroup const vec<T, 4>*)(stage + from + stride);
        }
    }
};
