// statistics.h: strips of a kept sum (params.h), and rows of one that a SIMD-group makes by itself.
#pragma once

#include "params.h"
#include "simd.h"

// stripsOf is how many strips a row has.
static inline uint stripsOf(uint width) {
    return (width + keptStrip - 1) / keptStrip;
}

// sumStrip adds up x over the sixteen lanes that hold a strip.
static inline float sumStrip(float x) {
    UNROLL for (ushort by = 1; by < 16; by *= 2) {
        x += simd_shuffle_xor(x, by);
    }
    return x;
}

// keepRow stores a row [H] as a kept sum: sum in f32, the product of it with gamma as the operand of what follows, and its
// statistics. row has elements h to h + 3 as at(0, h). All lanes must come here.
template <typename T, typename Row>
static inline void keepRow(
    Row row,
    device T* operand,
    device float* sum,
    device const float* gamma,
    device float2* statistics,
    uint H,
    uint lane
) {
    for (uint first = 0; first < H; first += 4 * simdWidth) {
        const uint h = first + 4 * lane;
        const bool inside = h < H;
        const float4 value = inside ? row.at(0, h) : float4(0.0f);
        if (inside) {
            *(device float4*)(sum + h) = value;
            *(device vec<T, 4>*)(operand + h) =
                vec<T, 4>(value * *(device const float4*)(gamma + h));
        }
        const uint strip = h / keptStrip;
        const float count = inside ? float(min(keptStrip, H - strip * keptStrip)) : 1.0f;
        const float mean = sumStrip(value[0] + value[1] + value[2] + value[3]) / count;
        const float4 centred = inside ? value - mean : float4(0.0f);
        const float squares = sumStrip(dot(centred, centred));
        if (inside && h % keptStrip == 0) {
            statistics[strip] = float2(mean, squares);
        }
    }
}
