// norm.h: the layer norm of a row that one SIMD-group holds in registers, four neighbours to a lane at a time.
#pragma once

#include "params.h"
#include "simd.h"

constant uint rowVectors [[function_constant(CONSTANT_ROW_VECTORS)]];

constant constexpr uint maxRowVectors = 32; // H <= 4096

// RowVectors are R rows [H]; vector i of a lane begins at element 4 (lane + 32 i), if that is inside. gamma and beta are
// read once for all of them.
template <int R>
struct RowVectors {
    float4 x[R][maxRowVectors];

    // store writes (x - mean) / sqrt(variance + epsilon) * gamma + beta for the first `rows` of them. The variance is
    // taken in a second pass.
    template <typename T>
    void store(
        device T* y,
        device const float* gamma,
        device const float* beta,
        uint H,
        float epsilon,
        uint rows,
        uint lane
    ) {
        float inverse[R];
        for (uint r = 0; r < R; r++) {
            inverse[r] = centre(x[r], H, epsilon, lane);
        }
        for (uint i = 0; i < rowVectors; i++) {
            const uint h = 4 * (lane + simdWidth * i);
            if (h < H) {
                const float4 scale = *(device const float4*)(gamma + h);
                const float4 shift = *(device const float4*)(beta + h);
                for (uint r = 0; r < R; r++) {
                    if (r < rows) {
                        const float4 value = x[r][i] * inverse[r] * scale + shift;
                        *(device vec<T, 4>*)(y + ulong(r) * H + h) = vec<T, 4>(value);
                    }
                }
            }
        }
    }

    // centre subtracts a row's mean, and returns 1 / sqrt(variance + epsilon), or NaN where the variance has overflowed:
    // the inverse root alone, 0, would make y = beta.
    static float centre(thread float4 (&row)[maxRowVectors], uint H, float epsilon, uint lane) {
        float sum = 0.0f;
        for (uint i = 0; i < rowVectors; i++) {
            if (4 * (lane + simdWidth * i) < H) {
                sum += row[i][0] + row[i][1] + row[i][2] + row[i][3];
            }
        }
        const float mean = simd_sum(sum) / float(H);
        float squares = 0.0f;
        for (uint i = 0; i < rowVectors; i++) {
            if (4 * (lane + simdWidth * i) < H) {
                row[i] -= mean;
                squares += dot(row[i], row[i]);
            }
        }
        const float variance = simd_sum(squares) / float(H);
        return rsqrt(variance + epsilon) + 0.0f * variance;
    }
};
