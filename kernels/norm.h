// norm.h: the layer norm of a row that one SIMD-group holds in registers, four neighbours to a lane at a time.
#pragma once

#include "params.h"
#include "simd.h"

constant uint rowVectors [[function_constant(CONSTANT_ROW_VECTORS)]];

constant constexpr uint maxRowVectors = 32; // H <= 4096

// RowVectors is a row [H]; vector i of a lane begins at element 4 (lane + 32 i), if that is inside.
struct RowVectors {
    float4 x[maxRowVectors];

    // store writes (x - mean) / sqrt(variance + epsilon) * gamma + beta. The variance is taken in a second pass.
    template <typename T>
    void store(
        device T* y,
        device const float* gamma,
        device const float* beta,
        uint H,
        float epsilon,
        uint lane
    ) {
        float sum = 0.0f;
        for (uint i = 0; i < rowVectors; i++) {
            if (4 * (lane + simdWidth * i) < H) {
                sum += x[i][0] + x[i][1] + x[i][2] + x[i][3];
            }
        }
        const float mean = simd_sum(sum) / float(H);
        float squares = 0.0f;
        for (uint i = 0; i < rowVectors; i++) {
            if (4 * (lane + simdWidth * i) < H) {
                x[i] -= mean;
                squares += dot(x[i], x[i]);
            }
        }
        const float inverse = rsqrt(simd_sum(squares) / float(H) + epsilon);
        for (uint i = 0; i < rowVectors; i++) {
            const uint h = 4 * (lane + simdWidth * i);
            if (h < H) {
                const float4 value = x[i] * inverse * *(device const float4*)(gamma + h) +
                                     *(device const float4*)(beta + h);
                *(device vec<T, 4>*)(y + h) = vec<T, 4>(value);
            }
        }
    }
};
