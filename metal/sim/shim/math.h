// math.h: <metal_math>, <metal_common>, <metal_relational> and <metal_geometric>. Scalars have overloads per type, so
// that a call that is ambiguous in Metal is ambiguous here; vectors are worked element by element. half is computed in
// float and rounded once. As in Metal's library there is no overload for bfloat, which becomes float.
#pragma once

namespace metal {

namespace detail {

// Checked mode counts the functions that a GPU computes in its slow unit, one number at a time.
#if SIM_CHECKED
SIM_RUNTIME void transcendental() {
    if (sim::checkHooks) sim::checkHooks->transcendental();
}
#else
SIM_INLINE void transcendental() {}
#endif
#define SIM_SLOW(name, f)                                                                          \
    SIM_INLINE float name(float x) {                                                               \
        transcendental();                                                                          \
        return f(x);                                                                               \
    }
#define SIM_SLOW2(name, f)                                                                         \
    SIM_INLINE float name(float x, float y) {                                                      \
        transcendental();                                                                          \
        return f(x, y);                                                                            \
    }
SIM_SLOW(acos, __builtin_acosf)
SIM_SLOW(acosh, __builtin_acoshf)
SIM_SLOW(asin, __builtin_asinf)
SIM_SLOW(asinh, __builtin_asinhf)
SIM_SLOW(atan, __builtin_atanf)
SIM_SLOW(atanh, __builtin_atanhf)
SIM_SLOW(cos, __builtin_cosf)
SIM_SLOW(cosh, __builtin_coshf)
SIM_SLOW(exp, __builtin_expf)
SIM_SLOW(exp2, __builtin_exp2f)
SIM_SLOW(log, __builtin_logf)
SIM_SLOW(log10, __builtin_log10f)
SIM_SLOW(log2, __builtin_log2f)
SIM_SLOW(sin, __builtin_sinf)
SIM_SLOW(sinh, __builtin_sinhf)
SIM_SLOW(sqrt, __builtin_sqrtf)
SIM_SLOW(tan, __builtin_tanf)
SIM_SLOW(tanh, __builtin_tanhf)
SIM_SLOW2(atan2, __builtin_atan2f)
SIM_SLOW2(pow, __builtin_powf)
#undef SIM_SLOW
#undef SIM_SLOW2

SIM_INLINE float rsqrt(float x) {
    return 1.0f / detail::sqrt(x);
}
SIM_INLINE float exp10(float x) {
    return detail::exp2(x * 3.32192809488736234787f);
}
SIM_INLINE float fract(float x) {
    float f = x - __builtin_floorf(x);
    return f < 1.0f ? f : 0x1.fffffep-1f; // Metal: min(x - floor(x), the largest below 1)
}
SIM_INLINE float sign(float x) {
    return x > 0 ? 1.0f : x < 0 ? -1.0f : 0.0f;
} // 0 for NaN, as in Metal
SIM_INLINE float saturate(float x) {
    return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f;
}
SIM_INLINE float sinpi(float x) {
    return detail::sin(x * 3.14159265358979323846f);
}
SIM_INLINE float cospi(float x) {
    return detail::cos(x * 3.14159265358979323846f);
}
SIM_INLINE float tanpi(float x) {
    return detail::tan(x * 3.14159265358979323846f);
}
SIM_INLINE float divide(float x, float y) {
    return x / y;
}
SIM_INLINE float powr(float x, float y) {
    return x < 0 ? __builtin_nanf("") : detail::pow(x, y);
}
SIM_INLINE float fdim(float x, float y) {
    return x > y ? x - y : 0.0f;
}
SIM_INLINE float step(float edge, float x) {
    return x < edge ? 0.0f : 1.0f;
}

// The fast variants are as wrong as Metal lets them be (Metal Shading Language Specification 4, table 8.2: bounds, and formulas that
// they are implemented by). They may take any argument for a number: for a NaN they give 1, so that no kernel relies on
// them to keep it. Kernels of other people do rely on infinities, which behave as on hardware.
namespace fast {

// up says whether a result errs upwards: by a hash of its bits.
SIM_INLINE bool up(float exact) {
    unsigned bits;
    __builtin_memcpy(&bits, &exact, sizeof bits);
    return bits * 0x9E3779B1u >> 31;
}

// off moves a result by so many units in the last place.
SIM_INLINE float off(float exact, float ulps) {
    if (!(__builtin_fabsf(exact) > 0x1p-100f && __builtin_fabsf(exact) < 0x1p100f)) return exact;
    int bits;
    __builtin_memcpy(&bits, &exact, sizeof bits);
    bits += up(exact) ? int(ulps) : -int(ulps);
    __builtin_memcpy(&exact, &bits, sizeof bits);
    return exact;
}

// offBy moves a result by an absolute error.
SIM_INLINE float offBy(float exact, float error) {
    return up(exact) ? exact + error : exact - error;
}

#define SIM_FAST(name, ...)                                                                        \
    SIM_INLINE float name(float x) {                                                               \
        return x != x ? 1.0f : (__VA_ARGS__);                                                      \
    }
#define SIM_FAST2(name, ...)                                                                       \
    SIM_INLINE float name(float x, float y) {                                                      \
        return x != x || y != y ? 1.0f : (__VA_ARGS__);                                            \
    }
#define SIM_ULPS_OF_EXP (3 + __builtin_floorf(__builtin_fabsf(2 * x)))
SIM_FAST(exp, off(detail::exp(x), SIM_ULPS_OF_EXP))
SIM_FAST(exp2, off(detail::exp2(x), SIM_ULPS_OF_EXP))
SIM_FAST(exp10, exp2(x * 3.32192809488736234787f))
SIM_FAST(log, x >= 0.5f && x <= 2 ? offBy(detail::log(x), 0x1p-21f) : off(detail::log(x), 3))
SIM_FAST(log2, x >= 0.5f && x <= 2 ? offBy(detail::log2(x), 0x1p-22f) : off(detail::log2(x), 2))
SIM_FAST(log10, log2(x) * 0.30102999566398119521f)
SIM_FAST(rsqrt, off(detail::rsqrt(x), 2))
SIM_FAST(sqrt, x > 0 && x < __builtin_inff() ? x * rsqrt(x) : detail::sqrt(x))
SIM_FAST(sin, offBy(detail::sin(x), 0x1p-13f))
SIM_FAST(cos, offBy(detail::cos(x), 0x1p-13f))
SIM_FAST(sinpi, offBy(detail::sinpi(x), 0x1p-13f))
SIM_FAST(cospi, offBy(detail::cospi(x), 0x1p-13f))
SIM_FAST(tan, sin(x) * (1 / cos(x)))
SIM_FAST(tanpi, tan(x * 3.14159265358979323846f))
SIM_FAST(sinh, 0.5f * (exp(x) - exp(-x)))
SIM_FAST(cosh, 0.5f * (exp(x) + exp(-x)))
SIM_FAST2(divide, off(x / y, x == 1 ? 1 : 2))
SIM_INLINE float tanh(float x) {
    const float t = exp(2 * x);
    return divide(t - 1, t + 1);
}
SIM_FAST(asin, off(detail::asin(x), 5))
SIM_FAST(acos, off(detail::acos(x), 5))
SIM_FAST(atan, off(detail::atan(x), 5))
SIM_FAST(asinh, log(x + sqrt(x * x + 1)))
SIM_FAST(acosh, log(x + sqrt(x * x - 1)))
SIM_FAST(atanh, 0.5f * log((1 + x) / (1 - x)))
SIM_FAST2(atan2, off(detail::atan2(x, y), 5))
SIM_FAST2(pow, exp2(y* log2(x)))
SIM_FAST2(powr, exp2(y* log2(x)))
#undef SIM_FAST
#undef SIM_FAST2
#undef SIM_ULPS_OF_EXP

} // namespace fast

} // namespace detail

#define SIM_EACH(A, ...)                                                                           \
    typename detail::vector_of<A>::type v = a, r;                                                  \
    for (int i = 0; i < v.size; i++)                                                               \
        r.e[i] = __VA_ARGS__;                                                                      \
    return r

#define SIM_MATH1(name, f)                                                                         \
    SIM_INLINE float name(float x) {                                                               \
        return f(x);                                                                               \
    }                                                                                              \
    SIM_INLINE half name(half x) {                                                                 \
        return half(f(float(x)));                                                                  \
    }                                                                                              \
    template <detail::Vector A>                                                                    \
    SIM_INLINE typename detail::vector_of<A>::type name(const A& a) {                              \
        SIM_EACH(A, name(v.e[i]));                                                                 \
    }

#define SIM_VECTOR2(name)                                                                          \
    template <class A, class B>                                                                    \
    SIM_INLINE constexpr detail::common_t<A, B> name(const A& a, const B& b) {                     \
        using V = detail::common_t<A, B>;                                                          \
        V x = V(a), y = V(b), r;                                                                   \
        for (int i = 0; i < V::size; i++)                                                          \
            r.e[i] = name(x.e[i], y.e[i]);                                                         \
        return r;                                                                                  \
    }

#define SIM_MATH2(name, f)                                                                         \
    SIM_INLINE float name(float x, float y) {                                                      \
        return f(x, y);                                                                            \
    }                                                                                              \
    SIM_INLINE half name(half x, half y) {                                                         \
        return half(f(float(x), float(y)));                                                        \
    }                                                                                              \
    SIM_VECTOR2(name)

// Functions with one accuracy, and functions of which the fast variants are less accurate: those of namespace `from`.
#define SIM_EXACT_MATH                                                                             \
    SIM_MATH1(ceil, __builtin_ceilf)                                                               \
    SIM_MATH1(fabs, __builtin_fabsf)                                                               \
    SIM_MATH1(floor, __builtin_floorf)                                                             \
    SIM_MATH1(fract, detail::fract)                                                                \
    SIM_MATH1(rint, __builtin_rintf)                                                               \
    SIM_MATH1(round, __builtin_roundf)                                                             \
    SIM_MATH1(saturate, detail::saturate)                                                          \
    SIM_MATH1(sign, detail::sign)                                                                  \
    SIM_MATH1(trunc, __builtin_truncf)                                                             \
    SIM_MATH2(copysign, __builtin_copysignf)                                                       \
    SIM_MATH2(fdim, detail::fdim)                                                                  \
    SIM_MATH2(fmax, __builtin_fmaxf)                                                               \
    SIM_MATH2(fmin, __builtin_fminf)                                                               \
    SIM_MATH2(fmod, __builtin_fmodf)                                                               \
    SIM_MATH2(nextafter, __builtin_nextafterf)
#define SIM_ROUNDED_MATH(from)                                                                     \
    SIM_MATH1(acos, from::acos)                                                                    \
    SIM_MATH1(acosh, from::acosh)                                                                  \
    SIM_MATH1(asin, from::asin)                                                                    \
    SIM_MATH1(asinh, from::asinh)                                                                  \
    SIM_MATH1(atan, from::atan)                                                                    \
    SIM_MATH1(atanh, from::atanh)                                                                  \
    SIM_MATH1(cos, from::cos)                                                                      \
    SIM_MATH1(cosh, from::cosh)                                                                    \
    SIM_MATH1(cospi, from::cospi)                                                                  \
    SIM_MATH1(exp, from::exp)                                                                      \
    SIM_MATH1(exp10, from::exp10)                                                                  \
    SIM_MATH1(exp2, from::exp2)                                                                    \
    SIM_MATH1(log, from::log)                                                                      \
    SIM_MATH1(log10, from::log10)                                                                  \
    SIM_MATH1(log2, from::log2)                                                                    \
    SIM_MATH1(rsqrt, from::rsqrt)                                                                  \
    SIM_MATH1(sin, from::sin)                                                                      \
    SIM_MATH1(sinh, from::sinh)                                                                    \
    SIM_MATH1(sinpi, from::sinpi)                                                                  \
    SIM_MATH1(sqrt, from::sqrt)                                                                    \
    SIM_MATH1(tan, from::tan)                                                                      \
    SIM_MATH1(tanh, from::tanh)                                                                    \
    SIM_MATH1(tanpi, from::tanpi)                                                                  \
    SIM_MATH2(atan2, from::atan2)                                                                  \
    SIM_MATH2(divide, from::divide)                                                                \
    SIM_MATH2(pow, from::pow)                                                                      \
    SIM_MATH2(powr, from::powr)

SIM_EXACT_MATH
SIM_ROUNDED_MATH(detail)
namespace precise {
SIM_EXACT_MATH
SIM_ROUNDED_MATH(detail)
} // namespace precise
namespace fast {
SIM_EXACT_MATH
SIM_ROUNDED_MATH(detail::fast)
} // namespace fast
SIM_MATH2(step, detail::step)
#undef SIM_EXACT_MATH
#undef SIM_ROUNDED_MATH

SIM_INLINE float ldexp(float x, int e) {
    return __builtin_ldexpf(x, e);
}
SIM_INLINE half ldexp(half x, int e) {
    return half(__builtin_ldexpf(float(x), e));
}
SIM_INLINE float frexp(float x, int& e) {
    return __builtin_frexpf(x, &e);
}
SIM_INLINE float modf(float x, float& whole) {
    whole = __builtin_truncf(x);
    return x - whole;
}
SIM_INLINE float sincos(float x, float& c) {
    c = detail::cos(x);
    return detail::sin(x);
}
SIM_INLINE int ilogb(float x) {
    return __builtin_ilogbf(x);
}

// min, max, clamp and abs are there for every scalar type. For a NaN and a number, min and max return the number.
#define SIM_MIN_MAX(T, less)                                                                       \
    SIM_INLINE constexpr T min(T a, T b) {                                                         \
        return less(a, b);                                                                         \
    }                                                                                              \
    SIM_INLINE constexpr T max(T a, T b) {                                                         \
        return less##_(a, b);                                                                      \
    }                                                                                              \
    SIM_INLINE constexpr T clamp(T x, T low, T high) {                                             \
        return min(max(x, low), high);                                                             \
    }
#define SIM_MIN(a, b)   (b < a ? b : a)
#define SIM_MIN_(a, b)  (a < b ? b : a)
#define SIM_FMIN(a, b)  __builtin_fminf(float(a), float(b))
#define SIM_FMIN_(a, b) __builtin_fmaxf(float(a), float(b))
#define SIM_HMIN(a, b)  static_cast<decltype(a)>(SIM_FMIN(a, b))
#define SIM_HMIN_(a, b) static_cast<decltype(a)>(SIM_FMIN_(a, b))
SIM_MIN_MAX(char, SIM_MIN)
SIM_MIN_MAX(signed char, SIM_MIN)
SIM_MIN_MAX(uchar, SIM_MIN)
SIM_MIN_MAX(short, SIM_MIN)
SIM_MIN_MAX(ushort, SIM_MIN)
SIM_MIN_MAX(int, SIM_MIN)
SIM_MIN_MAX(uint, SIM_MIN)
SIM_MIN_MAX(long, SIM_MIN)
SIM_MIN_MAX(ulong, SIM_MIN)
SIM_MIN_MAX(float, SIM_FMIN)
SIM_MIN_MAX(half, SIM_HMIN)
SIM_VECTOR2(min)
SIM_VECTOR2(max)
template <class T>
SIM_INLINE constexpr T min3(T x, T y, T z) {
    return min(x, min(y, z));
}
template <class T>
SIM_INLINE constexpr T max3(T x, T y, T z) {
    return max(x, max(y, z));
}
template <class T>
SIM_INLINE constexpr T median3(T x, T y, T z) {
    return max(min(x, y), min(max(x, y), z));
}
template <class T>
SIM_INLINE T fmin3(T x, T y, T z) {
    return fmin(x, fmin(y, z));
}
template <class T>
SIM_INLINE T fmax3(T x, T y, T z) {
    return fmax(x, fmax(y, z));
}
template <class T>
SIM_INLINE T fmedian3(T x, T y, T z) {
    return fmax(fmin(x, y), fmin(fmax(x, y), z));
}
template <detail::Vector A, class L, class H>
SIM_INLINE constexpr typename detail::vector_of<A>::type clamp(
    const A& x,
    const L& low,
    const H& high
) {
    return min(max(x, low), high);
}
namespace precise {
using metal::clamp;
using metal::max;
using metal::min;
} // namespace precise
namespace fast {
using metal::clamp;
using metal::max;
using metal::min;
} // namespace fast

template <detail::Scalar T>
SIM_INLINE constexpr T abs(T x) {
    if constexpr (is_floating_point_v<T>)
        return T(__builtin_fabsf(float(x)));
    else if constexpr (is_signed_v<T>)
        return x < 0 ? T(-x) : x;
    else
        return x;
}
template <detail::Vector A>
SIM_INLINE typename detail::vector_of<A>::type abs(const A& a) {
    SIM_EACH(A, abs(v.e[i]));
}

SIM_INLINE float fma(float a, float b, float c) {
    return __builtin_fmaf(a, b, c);
}
SIM_INLINE half fma(half a, half b, half c) {
    return half(__builtin_fma(double(float(a)), double(float(b)), double(float(c))));
}
SIM_INLINE float mix(float a, float b, float t) {
    return a + (b - a) * t;
}
SIM_INLINE half mix(half a, half b, half t) {
    return a + (b - a) * t;
}
SIM_INLINE float smoothstep(float low, float high, float x) {
    float t = detail::saturate((x - low) / (high - low));
    return t * t * (3 - 2 * t);
}

#define SIM_VECTOR3(name)                                                                          \
    template <class A, class B, class C>                                                           \
    SIM_INLINE detail::common_t<detail::common_t<A, B>, C> name(                                   \
        const A& a, const B& b, const C& c                                                         \
    ) {                                                                                            \
        using V = detail::common_t<A, B>;                                                          \
        V x = V(a), y = V(b), z = V(c), r;                                                         \
        for (int i = 0; i < V::size; i++)                                                          \
            r.e[i] = name(x.e[i], y.e[i], z.e[i]);                                                 \
        return r;                                                                                  \
    }
SIM_VECTOR3(fma)
SIM_VECTOR3(mix)
SIM_VECTOR3(smoothstep)

// Relations.

#define SIM_CLASSIFY(name, f)                                                                      \
    SIM_INLINE bool name(float x) {                                                                \
        return f;                                                                                  \
    }                                                                                              \
    SIM_INLINE bool name(half h) {                                                                 \
        float x = float(h);                                                                        \
        return f;                                                                                  \
    }                                                                                              \
    template <detail::Vector A>                                                                    \
    SIM_INLINE vec<bool, detail::size_of<A>> name(const A& a) {                                    \
        typename detail::vector_of<A>::type v = a;                                                 \
        vec<bool, detail::size_of<A>> r;                                                           \
        for (int i = 0; i < v.size; i++)                                                           \
            r.e[i] = name(v.e[i]);                                                                 \
        return r;                                                                                  \
    }
SIM_CLASSIFY(isnan, x != x)
SIM_CLASSIFY(isinf, __builtin_fabsf(x) == __builtin_inff())
SIM_CLASSIFY(isfinite, __builtin_fabsf(x) < __builtin_inff())
SIM_CLASSIFY(isnormal, __builtin_fabsf(x) < __builtin_inff() && __builtin_fabsf(x) >= 0x1p-126f)
SIM_CLASSIFY(signbit, __builtin_signbit(x) != 0)
#undef SIM_CLASSIFY

template <class A>
SIM_INLINE bool any(const A& a) {
    typename detail::vector_of<A>::type v = a;
    bool r = false;
    for (int i = 0; i < v.size; i++)
        r |= bool(v.e[i]);
    return r;
}
template <class A>
SIM_INLINE bool all(const A& a) {
    typename detail::vector_of<A>::type v = a;
    bool r = true;
    for (int i = 0; i < v.size; i++)
        r &= bool(v.e[i]);
    return r;
}
SIM_INLINE bool any(bool x) {
    return x;
}
SIM_INLINE bool all(bool x) {
    return x;
}

// select(a, b, c) is b where c, else a.
template <detail::Scalar T>
SIM_INLINE T select(T a, T b, bool c) {
    return c ? b : a;
}
template <class A, class B, detail::Vector C>
SIM_INLINE detail::common_t<A, B> select(const A& a, const B& b, const C& c) {
    using V = detail::common_t<A, B>;
    typename detail::vector_of<C>::type choice = c;
    V x = V(a), y = V(b), r;
    for (int i = 0; i < V::size; i++)
        r.e[i] = choice.e[i] ? y.e[i] : x.e[i];
    return r;
}

// Geometry.

template <detail::Vector A, detail::Vector B>
SIM_INLINE auto dot(const A& a, const B& b) {
    typename detail::common_t<A, B> x = a, y = b;
    auto sum = x.e[0] * y.e[0];
    for (int i = 1; i < x.size; i++)
        sum += x.e[i] * y.e[i];
    return typename detail::vector_of<A>::element(sum);
}
template <detail::Vector A>
SIM_INLINE auto length_squared(const A& a) {
    return dot(a, a);
}
template <detail::Vector A>
SIM_INLINE auto length(const A& a) {
    return sqrt(dot(a, a));
}
template <detail::Vector A, detail::Vector B>
SIM_INLINE auto distance(const A& a, const B& b) {
    return length(a - b);
}
template <detail::Vector A>
SIM_INLINE auto normalize(const A& a) {
    return a * rsqrt(dot(a, a));
}
template <detail::Vector A, detail::Vector B>
SIM_INLINE auto cross(const A& a, const B& b) {
    typename detail::common_t<A, B> x = a, y = b;
    return x.yzx * y.zxy - x.zxy * y.yzx;
}

} // namespace metal
