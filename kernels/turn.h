// turn.h: rotary positions (Su et al. 2021, arXiv:2104.09864).
#pragma once

#include <metal_stdlib>
using namespace metal;

// turn turns a pair by an angle, given its cosine and sine.
static inline float2 turn(float2 x, float2 by) {
    return float2(x[0] * by[0] - x[1] * by[1], x[1] * by[0] + x[0] * by[1]);
}
