// tile.h: a threadgroup's part of a matrix product, y = a wT.
//
// A threadgroup makes 8 MF rows of y. Its SIMD-groups lie side by side: each makes all of those rows and 8 NF columns of
// its own. So no two of them use the same weights; each reads its own straight into registers (weights.h). All of them
// use the same rows of a, which are read once into threadgroup memory.
//
// Two tiles of a take turns: while one is multiplied, the next is read into registers, and is stored afterwards. So one
// barrier per step along K is enough.
#pragma once

#include "weights.h"

// Arrival is a thread's part of the next tile of a, [8 MF, Depth], on its way from device memory: as many runs of four as each
// of 128 threads has. Fewer threads copy the rest without a stop in registers.
template <typename T, int MF, int Depth>
struct Arrival {
    static constant constexpr uint rows = side * MF;
    static constant constexpr uint runs = Depth / 4; // in a row
    static constant constexpr uint flight = (rows * runs + 127) / 128;
    // Elements from one row of a tile to the next; the padding spreads rows over banks, and 16-byte alignment stays.
    static constant constexpr uint stride = Depth + 8;

    device const T* a;
    uint K;
    uint row;          // of the thread's first run
    uint rowStep;      // to the row of the next
    uint k;            // of all of them
    uint from[flight]; // elements from a on, in the first step
    vec<T, 4> run[flight];

    template <typename Rows>
    Arrival(Rows source, uint K_, uint index, uint threads)
        : a(source.a), K(K_), row(index / runs), rowStep(threads / runs), k(4 * (index % runs)) {
        UNROLL for (uint p = 0; p < flight; p++) {
            from[p] = source.row(row + p * rowStep) * K + k;
        }
    }

    // read returns a run of the step at k0: zeros behind K.
    vec<T, 4> read(uint at, uint k0) const {
        return k0 + k < K ? *(device const vec<T, 4>*)(a + (at + k0)) : vec<T, 4>(T(0));
    }

    void fetch(uint k0) {
        UNROLL for (uint p = 0; p < flight; p++) {
            if (row + p * rowStep < rows) {
                run[p] = read(from[p], k0);
            }
        }
    }

    // put stores the runs of the step at k0 in a tile.
    template <typename Rows>
    void put(Rows source, uint k0, threadgroup T* tile) const {
        UNROLL for (uint p = 0; p < flight; p++) {
            if (row + p * rowStep < rows) {
                *(threadgroup vec<T, 4>*)(tile + (row + p * rowStep) * stride + k) = run[p];
            }
        }
        for (uint r = row + flight * rowStep; r < rows; r += rowStep) {
            *(threadgroup vec<T, 4>*)(tile + r * stride + k) = read(source.row(r) * K + k, k0);
        }
    }
};

template <typename T, int MF, int NF, int Depth = depth>
struct Tile {
    static constant constexpr uint stride = Arrival<T, MF, Depth>::stride;
    static constant constexpr uint elements = side * MF * stride;

    simdgroup_float8x8 sums[MF][NF];

    Tile() {
        UNROLL for (uint i = 0; i < MF; i++) {
            UNROLL for (uint j = 0; j < NF; j++) {
                sums[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
            }
        }
    }

    // step adds the products of 32 neighbours of k.
    void step(threadgroup const T* tile, Lane lane, thread const vec<T, 4> (&part)[NF][2]) {
        UNROLL for (uint i = 0; i < MF; i++) {
            const uint at = (side * i + lane.row) * stride + 4 * lane.column;
            const vec<T, 4> left = *(threadgroup const vec<T, 4>*)(tile + at);
            const vec<T, 4> right = *(threadgroup const vec<T, 4>*)(tile + at + 4);
            add(i, left, right, part);
        }
    }

    // add does it for eight rows, of which the lane has two neighbouring runs of its row.
    void add(uint i, vec<T, 4> left, vec<T, 4> right, thread const vec<T, 4> (&part)[NF][2]) {
        UNROLL for (uint s = 0; s < 4; s++) {
            UNROLL for (uint j = 0; j < NF; j++) {
                multiplyAdd<T>(
                    sums[i][j], vec<T, 2>(left[s], right[s]),
                    vec<T, 2>(part[j][0][s], part[j][1][s])
                );
            }
        }
    }

    // multiply runs all steps. tiles is room for two; every thread of the threadgroup must come here.
    template <typename Rows, typename Weights>
    void multiply(
        Rows a,
        Weights w,
        uint K,
        threadgroup T* tiles,
        uint index,
        uint threads,
        Lane lane
    ) {
        Arrival<T, MF, Depth> next(a, K, index, threads);
        next.fetch(0);
        next.put(a, 0, tiles);
        // The first tile is whole before any thread multiplies.
        threadgroup_barrier(mem_flags::mem_threadgroup);
        uint turn = 0;
        for (uint k0 = 0; k0 < K; k0 += Depth) {
            const bool more = k0 + Depth < K;
            if (more) {
                next.fetch(k0 + Depth);
            }
            UNROLL for (uint k = 0; k < Depth; k += depth) {
                if (k == 0 || k0 + k < K) {
                    vec<T, 4> part[NF][2];
                    w.load(k0 + k, part);
                    step(tiles + turn * elements + k, lane, part);
                }
            }
            turn = 1 - turn;
            if (more) {
                next.put(a, k0 + Depth, tiles + turn * elements);
            }
            // The next tile is whole, and this one is done with, before they change places.
            threadgroup_barrier(mem_flags::mem_threadgroup);
        }
    }
};

// GatheredRows are rows of a [.., K] that a threadgroup multiplies: its own from row0 on, or those that an index names.
template <typename T>
struct GatheredRows {
    device const T* a;
    device const uint* index; // null: no index
    uint M;
    uint row0;

    // row returns the row of a for row i of the threadgroup.
    uint row(uint i) const {
        const uint m = min(row0 + i, M - 1);
        return index ? index[m] : m;
    }
};
