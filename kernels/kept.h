// kept.h: the norm of a kept sum (params.h), of which each strip of columns has left its mean and its squares.
#pragma once

#include "params.h"
#include "precision.h"
#include "simd.h"
#include "statistics.h"

constant bool rms [[function_constant(CONSTANT_RMS)]];

// keptNorm is the mean of a row of a kept sum, and keptShrink over its deviation; if rms, 0 and keptShrink over the root of the
// mean of its squares. All four lanes of a row must come here.
template <typename T>
static inline float2 keptNorm(
    device const float2* statistics,
    uint row,
    uint width,
    float epsilon,
    Lane lane
) {
    const uint strips = stripsOf(width);
    device const float2* strip = statistics + ulong(row) * strips;
    // Distances from the first strip's mean, so that none of a great mean is squared.
    const float base = rms ? 0.0f : strip[0][0];
    float sum = 0.0f;
    float squares = 0.0f;
    for (uint s = lane.column / 2; s < strips; s += 4) {
        const float count = float(min(keptStrip, width - s * keptStrip));
        const float distance = strip[s][0] - base;
        sum += count * distance;
        squares += strip[s][1] + count * distance * distance;
    }
    const float mean = rms ? 0.0f : sumRow(sum) / float(width);
    const float variance = sumRow(squares) / float(width) - mean * mean;
    return float2(base + mean, keptShrink * inverseDeviation<T>(variance, epsilon));
}
