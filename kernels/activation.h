// activation.h: the functions between linear layers, in f32. Non-finite values stay non-finite: the GELUs multiply by x;
// the limits of the others would hide them, so that 0 x is added, which is NaN for infinities and NaN.
#pragma once

#include "params.h"
#include "precision.h"

// gelu is x Phi(x), Phi being the normal distribution. erf is Abramowitz and Stegun 7.1.26, |error| <= 1.5e-7, which is
// below the rounding error of half and near that of f32. T is the type of the result when it is stored.
template <typename T>
static inline float gelu(float x) {
    const float z = fabs(x) * M_SQRT1_2_F;
    const float t = Precision<T>::reciprocal(1.0f + 0.3275911f * z);
    float p = 1.061405429f;
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    const float tail = p * t * Precision<T>::exp(-z * z); // 1 - erf(z)
    return 0.5f * x * (x < 0.0f ? tail : 2.0f - tail);
}

// geluNew is 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). tanh is clamped, as exp inside it overflows on some devices.
template <typename T>
static inline float geluNew(float x) {
    const float inner = 0.7978845608028654f * (x + 0.044715f * x * x * x);
    return 0.5f * x * (1.0f + Precision<T>::tanh(clamp(inner, -15.0f, 15.0f)));
}

// activate applies the function that a constant names; the compiler drops the others.
template <typename T>
static inline float activate(uint activation, float x) {
    switch (activation) {
    case activationGelu:
        return gelu<T>(x);
    case activationGeluNew:
        return geluNew<T>(x);
    case activationRelu:
        return max(x, 0.0f) + 0.0f * x;
    case activationTanh:
        return tanh(clamp(x, -15.0f, 15.0f)) + 0.0f * x;
    case activationSilu:
        // Below -80 the result is nearer to 0 than any half; exp would overflow.
        return x * Precision<T>::reciprocal(1.0f + Precision<T>::exp(min(-x, 80.0f)));
    default:
        return x;
    }
}
