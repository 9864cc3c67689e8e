// precision.h: functions of Metal's library, as exact as results of type T need them.
//
// Metal bounds the errors of its variants in table 8.2 (fast) and table 8.1 (precise) of its specification, version 4. With
// half they stay far below the rounding at the store, 2^-11: exp and exp2 are off by 3 + |2 x| ulp of f32, 2^-17 at -30.
// fast:: may lose a NaN, which callers keep by other means. exp2 of -INFINITY is 0, as in MLX's softmax.
#pragma once

#include <metal_stdlib>
using namespace metal;

template <typename T>
struct Precision;

template <>
struct Precision<float> {
    static float exp(float x) { return precise::exp(x); }
    static float exp2(float x) { return precise::exp2(x); }
    static float tanh(float x) { return precise::tanh(x); }
    static float rsqrt(float x) { return precise::rsqrt(x); }
    static float reciprocal(float x) { return 1.0f / x; }
};

template <>
struct Precision<half> {
    static float exp(float x) { return fast::exp(x); }                 // 3 + |2 x| ulp
    static float exp2(float x) { return fast::exp2(x); }               // 3 + |2 x| ulp
    static float tanh(float x) { return fast::tanh(x); }               // by exp(2 x): |x| <= 40
    static float rsqrt(float x) { return fast::rsqrt(x); }             // 2 ulp
    static float reciprocal(float x) { return fast::divide(1.0f, x); } // 1 ulp
};

// inverseDeviation is 1 / sqrt(variance + epsilon), or NaN where the variance has overflowed: the inverse root alone, 0,
// would make a layer norm of its beta.
template <typename T>
static inline float inverseDeviation(float variance, float epsilon) {
    return Precision<T>::rsqrt(variance + epsilon) + 0.0f * variance;
}
