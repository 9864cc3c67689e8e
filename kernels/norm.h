// norm.h: the layer norm of rows that a SIMD-group makes by itself. Each lane has runs of four neighbours: run i of a lane
// begins at element 4 (lane + 32 i), if that is inside the row.
#pragma once

#include "params.h"
#include "precision.h"
#include "simd.h"

// LayerNorm keeps R rows [H] in registers, V runs of each in a lane: H <= 128 V. The rows come from Rows, which has
// elements h to h + 3 of row r as at(r, h).
template <typename T, int R, int V>
struct LayerNorm {
    float4 x[R][V];

    // store writes (x - mean) / sqrt(variance + epsilon) * gamma + beta for the first `count` of the rows. The variance is
    // taken in a second pass. gamma and beta are read once for all rows. copy, if it is not null, gets the same in f32.
    template <typename Rows>
    void store(
        Rows rows,
        uint count,
        device T* y,
        device float* copy,
        device const float* gamma,
        device const float* beta,
        uint H,
        float epsilon,
        uint lane
    ) {
        float inverse[R];
        UNROLL for (uint r = 0; r < R; r++) {
            UNROLL for (uint i = 0; i < V; i++) {
                const uint h = 4 * (lane + simdWidth * i);
                x[r][i] = h < H ? rows.at(r, h) : float4(0.0f);
            }
            inverse[r] = centre(x[r], H, epsilon, lane);
        }
        UNROLL for (uint i = 0; i < V; i++) {
            const uint h = 4 * (lane + simdWidth * i);
            if (h < H) {
                const float4 scale = *(device const float4*)(gamma + h);
                const float4 shift = *(device const float4*)(beta + h);
                UNROLL for (uint r = 0; r < R; r++) {
                    if (r < count) {
                        const float4 value = x[r][i] * inverse[r] * scale + shift;
                        *(device vec<T, 4>*)(y + ulong(r) * H + h) = vec<T, 4>(value);
                        if (copy) {
                            *(device float4*)(copy + ulong(r) * H + h) = value;
                        }
                    }
                }
            }
        }
    }

    // centre subtracts a row's mean, and returns its inverseDeviation.
    static float centre(thread float4 (&row)[V], uint H, float epsilon, uint lane) {
        float sum = 0.0f;
        UNROLL for (uint i = 0; i < V; i++) {
            sum += row[i][0] + row[i][1] + row[i][2] + row[i][3];
        }
        const float mean = simd_sum(sum) / float(H);
        float squares = 0.0f;
        UNROLL for (uint i = 0; i < V; i++) {
            if (4 * (lane + simdWidth * i) < H) {
                row[i] -= mean;
                squares += dot(row[i], row[i]);
            }
        }
        return inverseDeviation<T>(simd_sum(squares) / float(H), epsilon);
    }
};

// V = 0: one row of any width, which is too wide for registers and is read three times.
template <typename T>
struct LayerNorm<T, 1, 0> {
    template <typename Rows>
    void store(
        Rows rows,
        uint,
        device T* y,
        device float* copy,
        device const float* gamma,
        device const float* beta,
        uint H,
        float epsilon,
        uint lane
    ) {
        float sum = 0.0f;
        for (uint h = 4 * lane; h < H; h += 4 * simdWidth) {
            const float4 run = rows.at(0, h);
            sum += run[0] + run[1] + run[2] + run[3];
        }
        const float mean = simd_sum(sum) / float(H);
        float squares = 0.0f;
        for (uint h = 4 * lane; h < H; h += 4 * simdWidth) {
            const float4 centred = rows.at(0, h) - mean;
            squares += dot(centred, centred);
        }
        const float inverse = inverseDeviation<T>(simd_sum(squares) / float(H), epsilon);
        for (uint h = 4 * lane; h < H; h += 4 * simdWidth) {
            const float4 scale = *(device const float4*)(gamma + h);
            const float4 shift = *(device const float4*)(beta + h);
            const float4 value = (rows.at(0, h) - mean) * inverse * scale + shift;
            *(device vec<T, 4>*)(y + h) = vec<T, 4>(value);
            if (copy) {
                *(device float4*)(copy + h) = value;
            }
        }
    }
};
