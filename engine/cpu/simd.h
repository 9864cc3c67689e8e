// simd.h: the vectors that all kernels are written in. vf is W floats and vi is W ints; both are the compiler's vector
// types, so that + - * / & | << and comparisons are operators. Before it, a variant defines W and includes what has
// its instructions; where it defines VF_FMA and the like, those are used, else plain operators.

#include <string.h>

typedef float vf __attribute__((vector_size(4 * W)));
typedef int vi __attribute__((vector_size(4 * W)));

#define INLINE static inline __attribute__((always_inline, unused))

INLINE vf vf_set(float x) {
    return x - (vf){0};
}
INLINE vi vi_set(int x) {
    return x - (vi){0};
}

INLINE vf vf_load(const float* p) {
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE vi vi_load(const void* p) {
    vi v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void vf_store(float* p, vf v) {
    memcpy(p, &v, sizeof v);
}

// vf_first keeps the first n lanes of v and makes the others rest.
INLINE vf vf_first(vf v, int n, float rest) {
    for (int i = 0; i < W; i++)
        if (i >= n) v[i] = rest;
    return v;
}

INLINE vf vf_select(vi mask, vf yes, vf no) {
    return (vf)((mask & (vi)yes) | (~mask & (vi)no));
}

INLINE vf vf_fma(vf a, vf b, vf c) {
#ifdef VF_FMA
    return (vf)VF_FMA(a, b, c);
#else
    return a * b + c;
#endif
}

INLINE vf vf_max(vf a, vf b) {
#ifdef VF_MAX
    return (vf)VF_MAX(a, b);
#else
    return vf_select(a > b, a, b);
#endif
}

INLINE vf vf_min(vf a, vf b) {
#ifdef VF_MIN
    return (vf)VF_MIN(a, b);
#else
    return vf_select(a < b, a, b);
#endif
}

// Sums and extremes of a vector go by halves, always in the same order.
INLINE float vf_sum(vf v) {
    float t[W];
    memcpy(t, &v, sizeof v);
    for (int n = W / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            t[i] += t[i + n];
    return t[0];
}

INLINE float vf_top(vf v) {
    float top = v[0];
    for (int i = 1; i < W; i++)
        top = v[i] > top ? v[i] : top;
    return top;
}

// ROUNDING is 1.5 · 2²³: added to a float of magnitude below 2²², it leaves the nearest integer in the low bits.
#define ROUNDING 12582912.0f

INLINE vi vi_rounded(vf x) {
    return (vi)(x + ROUNDING) - (vi)vf_set(ROUNDING);
}

#define PRAGMA(x) _Pragma(#x)
#if defined(__clang__)
#define UNROLL PRAGMA(unroll)
#else
#define UNROLL PRAGMA(GCC unroll 64)
#endif
