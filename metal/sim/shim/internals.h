// internals.h: functions of Apple's compiler that Metal's own headers are written in. They are not documented, but MLX
// calls them to give bfloat a library (mlx/backend/metal/kernels/bf16_math.h).
#pragma once

#define __METAL_MAYBE_FAST_MATH__ false
#define __METAL_FAST_MATH__       true
#define __METAL_PRECISE_MATH__    false

#define SIM_INTERNAL1(name)                                                                        \
    SIM_INLINE float __metal_##name(float x, bool) {                                               \
        return metal::name(x);                                                                     \
    }
SIM_INTERNAL1(acos)
SIM_INTERNAL1(acosh)
SIM_INTERNAL1(asin)
SIM_INTERNAL1(asinh)
SIM_INTERNAL1(atan)
SIM_INTERNAL1(atanh)
SIM_INTERNAL1(ceil)
SIM_INTERNAL1(cos)
SIM_INTERNAL1(cosh)
SIM_INTERNAL1(cospi)
SIM_INTERNAL1(exp)
SIM_INTERNAL1(exp10)
SIM_INTERNAL1(exp2)
SIM_INTERNAL1(fabs)
SIM_INTERNAL1(floor)
SIM_INTERNAL1(fract)
SIM_INTERNAL1(log)
SIM_INTERNAL1(log10)
SIM_INTERNAL1(log2)
SIM_INTERNAL1(rint)
SIM_INTERNAL1(round)
SIM_INTERNAL1(rsqrt)
SIM_INTERNAL1(sin)
SIM_INTERNAL1(sinh)
SIM_INTERNAL1(sinpi)
SIM_INTERNAL1(sqrt)
SIM_INTERNAL1(tan)
SIM_INTERNAL1(tanh)
SIM_INTERNAL1(tanpi)
SIM_INTERNAL1(trunc)
#undef SIM_INTERNAL1

#define SIM_INTERNAL2(name)                                                                        \
    SIM_INLINE float __metal_##name(float x, float y, bool = false) {                              \
        return metal::name(x, y);                                                                  \
    }
SIM_INTERNAL2(atan2)
SIM_INTERNAL2(divide)
SIM_INTERNAL2(fmax)
SIM_INTERNAL2(fmin)
SIM_INTERNAL2(fmod)
SIM_INTERNAL2(nextafter)
SIM_INTERNAL2(pow)
SIM_INTERNAL2(powr)
#undef SIM_INTERNAL2

#define SIM_INTERNAL3(name)                                                                        \
    SIM_INLINE float __metal_##name(float x, float y, float z, bool = false) {                     \
        return metal::name(x, y, z);                                                               \
    }
SIM_INTERNAL3(fma)
SIM_INTERNAL3(fmax3)
SIM_INTERNAL3(fmedian3)
SIM_INTERNAL3(fmin3)
#undef SIM_INTERNAL3

SIM_INLINE float __metal_frexp(float x, int* e) {
    return metal::frexp(x, *e);
}
SIM_INLINE float __metal_ldexp(float x, int e, bool) {
    return metal::ldexp(x, e);
}

SIM_INLINE ushort __metal_get_simdgroup_size(ushort) {
    return sim::lanesPerSimdgroup;
}
SIM_INLINE ushort __metal_get_thread_index_in_simdgroup(ushort) {
    return sim::shim::lane();
}

#define SIM_INTERNAL_REDUCE(name)                                                                  \
    template <class T>                                                                             \
    SIM_INLINE T __metal_simd_##name(T x, SIM_HERE) {                                              \
        return metal::simd_##name(x, here);                                                        \
    }
SIM_INTERNAL_REDUCE(max)
SIM_INTERNAL_REDUCE(min)
SIM_INTERNAL_REDUCE(product)
SIM_INTERNAL_REDUCE(sum)
SIM_INTERNAL_REDUCE(prefix_exclusive_product)
SIM_INTERNAL_REDUCE(prefix_exclusive_sum)
SIM_INTERNAL_REDUCE(prefix_inclusive_product)
SIM_INTERNAL_REDUCE(prefix_inclusive_sum)
#undef SIM_INTERNAL_REDUCE
// Floats have no exclusive or; MLX's template for it is never instantiated.
template <class T>
SIM_INLINE T __metal_simd_xor(T x, SIM_HERE) {
    return T(metal::simd_xor(long(x), here));
}

#define SIM_INTERNAL_SHUFFLE(name)                                                                 \
    template <class T>                                                                             \
    SIM_INLINE T __metal_simd_##name(T x, ushort s, SIM_HERE) {                                    \
        return metal::simd_##name(x, s, here);                                                     \
    }
SIM_INTERNAL_SHUFFLE(broadcast)
SIM_INTERNAL_SHUFFLE(shuffle)
SIM_INTERNAL_SHUFFLE(shuffle_down)
SIM_INTERNAL_SHUFFLE(shuffle_rotate_down)
SIM_INTERNAL_SHUFFLE(shuffle_rotate_up)
SIM_INTERNAL_SHUFFLE(shuffle_up)
SIM_INTERNAL_SHUFFLE(shuffle_xor)
#undef SIM_INTERNAL_SHUFFLE

#define SIM_INTERNAL_FILL(name)                                                                    \
    template <class T>                                                                             \
    SIM_INLINE T __metal_simd_##name(T x, T fill, ushort s, ushort modulo, SIM_HERE) {             \
        return metal::simd_##name(x, fill, s, modulo, here);                                       \
    }
SIM_INTERNAL_FILL(shuffle_and_fill_down)
SIM_INTERNAL_FILL(shuffle_and_fill_up)
#undef SIM_INTERNAL_FILL
