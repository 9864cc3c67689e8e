// tile.h: a threadgroup's part of a matrix product, y = a wT.
//
// A threadgroup makes 8 MF rows of y. Its SIMD-groups lie side by side: each makes all of those rows and 8 NF columns of
// its own. So no two of them use the same weights; each reads its own straight into registers (weights.h). All of them
// use the same rows of a, which are read once into threadgroup memory.
//
// Two tiles of a take turns: while one is multiplied, the next is read into registers, and is stored afterwards. So one
// barrier per step of 32 along K is enough.
#pragma once

#include "weights.h"

// Elements from one row of a tile of a to the next; the padding spreads rows over banks, and 16-byte alignment stays.
constant constexpr uint tileStride = depth + 8;

constant constexpr uint maxInFlight =
    8; // runs of four that a thread carries, with the fewest threads

template <typename T, int MF, int NF>
struct Tile {
    static constant constexpr uint rows = side * MF;
    static constant constexpr uint runs = rows * depth / 4; // of four, in a tile of a
    static constant constexpr uint elements = rows * tileStride;

    simdgroup_float8x8 sums[MF][NF];

    Tile() {
        UNROLL for (uint i = 0; i < MF; i++) {
            UNROLL for (uint j = 0; j < NF; j++) {
                sums[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
            }
        }
    }

    // fetch reads this thread's runs of a step into registers: zeros behind K, the last row again behind M.
    template <typename Rows>
    void fetch(
        Rows a,
        uint K,
        uint k0,
        uint index,
        uint threads,
        thread vec<T, 4> (&flight)[maxInFlight]
    ) const {
        UNROLL for (uint p = 0; p < maxInFlight; p++) {
            const uint run = index + p * threads;
            if (run < runs) {
                const uint k = k0 + 4 * (run % (depth / 4));
                flight[p] = k < K ? *(device const vec<T, 4>*)(a.row(run / (depth / 4)) + k)
                                  : vec<T, 4>(T(0));
            }
        }
    }

    void put(
        threadgroup T* tile,
        uint index,
        uint threads,
        thread const vec<T, 4> (&flight)[maxInFlight]
    ) const {
        UNROLL for (uint p = 0; p < maxInFlight; p++) {
            const uint run = index + p * threads;
            if (run < runs) {
                const uint at = run / (depth / 4) * tileStride + 4 * (run % (depth / 4));
                *(threadgroup vec<T, 4>*)(tile + at) = flight[p];
            }
        }
    }

    // step adds the products of 32 neighbours of k.
    void step(threadgroup const T* tile, Lane lane, thread const vec<T, 4> (&part)[NF][2]) {
        UNROLL for (uint i = 0; i < MF; i++) {
            const uint at = (side * i + lane.row) * tileStride + 4 * lane.column;
            const vec<T, 4> left = *(threadgroup const vec<T, 4>*)(tile + at);
            const vec<T, 4> right = *(threadgroup const vec<T, 4>*)(tile + at + 4);
            UNROLL for (uint s = 0; s < 4; s++) {
                UNROLL for (uint j = 0; j < NF; j++) {
                    multiplyAdd<T>(
                        sums[i][j], vec<T, 2>(left[s], right[s]),
                        vec<T, 2>(part[j][0][s], part[j][1][s])
                    );
                }
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
        vec<T, 4> flight[maxInFlight];
        fetch(a, K, 0, index, threads, flight);
        put(tiles, index, threads, flight);
        // The first tile is whole before any thread multiplies.
        threadgroup_barrier(mem_flags::mem_threadgroup);
        uint turn = 0;
        for (uint k0 = 0; k0 < K; k0 += depth) {
            const bool more = k0 + depth < K;
            if (more) {
                fetch(a, K, k0 + depth, index, threads, flight);
            }
            vec<T, 4> part[NF][2];
            w.load(k0, part);
            step(tiles + turn * elements, lane, part);
            turn = 1 - turn;
            if (more) {
                put(tiles + turn * elements, index, threads, flight);
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
    uint K;
    uint M;
    uint row0;

    device const T* row(uint i) const {
        const uint m = min(row0 + i, M - 1);
        return a + ulong(index ? index[m] : m) * K;
    }
};
