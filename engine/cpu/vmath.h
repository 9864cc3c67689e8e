// vmath.h: exp, tanh and the GELUs on vectors. The polynomials are minimax fits of 40 digits (by Lawson's iteration,
// and exp2's by Remez's); vmath's errors over dense grids against double are in the table of check.c.
//
// A function with `each` takes several vectors, step by step: a polynomial is one long chain, and the processor's
// scheduler, full of the waiting steps of one vector, would not see the next in time.

enum { EACH = 4 }; // vectors that hide the latency of a multiply-add

// A clamp loses a NaN, and a function with a limit loses an infinity. The GELUs, ReLU and tanh give NaN or an infinity for
// both, so that an earlier error shows in the logit; the exponentials leave that to their callers.

// FOR_EACH repeats a statement for the vectors i of such a function.
#define FOR_EACH UNROLL for (int i = 0; i < count; i++)

// eˣ = 2ⁿ eʳ with n = round(x / ln 2) and |r| ≤ ln 2 / 2; ln 2 in two parts, the first of which n multiplies exactly
// (Cody and Waite 1980). Below -87, where floats begin to lose bits, it stays at e⁻⁸⁷ ≈ 1.6e-38; above 88, at e⁸⁸.
INLINE vf vf_exp(vf x) {
    x = vf_min(vf_max(x, vf_set(-87)), vf_set(88));
    vf shifted = vf_fma(x, vf_set(1.44269504f), vf_set(ROUNDING));
    vf n = shifted - ROUNDING;
    vf r = vf_fma(n, vf_set(-0.693359375f), x);
    r = vf_fma(n, vf_set(2.12194440e-4f), r);
    vf p = vf_set(0.0013836780628f);
    p = vf_fma(p, r, vf_set(0.00837483941921f));
    p = vf_fma(p, r, vf_set(0.041668227998f));
    p = vf_fma(p, r, vf_set(0.166664198905f));
    p = vf_fma(p, r, vf_set(0.499999920633f));
    p = vf_fma(p, r, vf_set(1));
    p = vf_fma(p, r, vf_set(1));
    // n is in the low bits of shifted, and 23 bits further up it is an exponent.
    return (vf)((vi)p + ((vi)shifted << 23));
}

// vf_split takes the nearest whole number from x, and returns it in the form that vf_raise has for n. vf_raise is p · 2ⁿ, for
// results from 2⁻¹²⁶ on.
INLINE vf vf_split(vf* x) {
#ifdef VF_SCALE
    vf r = (vf)VF_REDUCE(*x), n = *x - r;
#else
    vf n = *x + ROUNDING, r = *x - (n - ROUNDING);
#endif
    *x = r;
    return n;
}

INLINE vf vf_raise(vf p, vf n) {
#ifdef VF_SCALE
    return (vf)VF_SCALE(p, n);
#else
    return (vf)((vi)p + ((vi)n << 23));
#endif
}

// 2ˣ for x from -126 to 127, to a relative 2e-7.
INLINE void vf_exp2_each(vf* x, const int count) {
    vf n[EACH], p[EACH];
    FOR_EACH n[i] = vf_split(&x[i]);
    FOR_EACH p[i] = vf_fma(x[i], vf_set(0.00132765469486f), vf_set(0.00967551315476f));
    FOR_EACH p[i] = vf_fma(p[i], x[i], vf_set(0.0555071285694f));
    FOR_EACH p[i] = vf_fma(p[i], x[i], vf_set(0.240221202429f));
    FOR_EACH p[i] = vf_fma(p[i], x[i], vf_set(0.693146967437f));
    FOR_EACH p[i] = vf_fma(p[i], x[i], vf_set(1.00000007155f));
    FOR_EACH x[i] = vf_raise(p[i], n[i]);
}

// GELU(x) = x Φ(x) = max(x, 0) - |x| Φ(-|x|), with log₂ Φ(-t) as a polynomial in t. So a large negative x keeps its
// relative accuracy, which 1 + erf loses. Behind 6.5, where |x| Φ(-|x|) is below 3e-10, t stands still.
INLINE void vf_gelu_each(vf* x, const int count) {
    vf t[EACH], p[EACH];
    FOR_EACH t[i] = vf_min(vf_max(x[i], -x[i]), vf_set(6.5f));
    FOR_EACH p[i] = vf_fma(t[i], vf_set(1.05796491875e-7f), vf_set(-2.83366588987e-6f));
    FOR_EACH p[i] = vf_fma(p[i], t[i], vf_set(2.93942874048e-5f));
    FOR_EACH p[i] = vf_fma(p[i], t[i], vf_set(-0.00012132372689f));
    FOR_EACH p[i] = vf_fma(p[i], t[i], vf_set(-0.000316060579053f));
    FOR_EACH p[i] = vf_fma(p[i], t[i], vf_set(0.00731550303054f));
    FOR_EACH p[i] = vf_fma(p[i], t[i], vf_set(-0.0526804370438f));
    FOR_EACH p[i] = vf_fma(p[i], t[i], vf_set(-0.459142519185f));
    FOR_EACH p[i] = vf_fma(p[i], t[i], vf_set(-1.1511148872f));
    FOR_EACH p[i] = vf_fma(p[i], t[i], vf_set(-0.999999603523f));
    vf_exp2_each(p, count);
    FOR_EACH x[i] = vf_fma(-t[i], p[i], vf_or_nan(vf_max(x[i], vf_set(0)), x[i]));
}

// The tanh approximation of GELU, x (1 + tanh z) / 2 with z = √(2/π) (x + 0.044715 x³), is x / (1 + e⁻²ᶻ).
INLINE vf vf_gelu_new(vf x) {
    vf inner = vf_fma(x * x, vf_set(0.044715f), vf_set(1)) * x;
    return x / (1 + vf_exp(inner * -1.5957691216f));
}

// SiLU is x / (1 + e⁻ˣ).
INLINE vf vf_silu(vf x) {
    return x / (1 + vf_exp(-x));
}

// 2ˣ for x ≤ 0, to a relative 8e-5: for values that are rounded to bfloat16 or to 15 bits. Below -125, it stays there: a little
// less than 2⁻¹²⁶ would be a denormal, with which arithmetic takes a hundred times as long.
INLINE vf vf_exp2_coarse(vf x) {
    x = vf_max(x, vf_set(-125));
    vf n = vf_split(&x);
    vf p = vf_set(0.0551716649f);
    p = vf_fma(p, x, vf_set(0.242611122f));
    p = vf_fma(p, x, vf_set(0.693260986f));
    p = vf_fma(p, x, vf_set(0.999928074f));
    return vf_raise(p, n);
}

// Good to an absolute error of 1e-7: enough for the pooler, as its result is summed.
INLINE vf vf_tanh(vf x) {
    return vf_or_nan(1 - 2 / (1 + vf_exp(x + x)), x);
}

// GELU to within 1e-4 · max(1, |x|), for values that are rounded to eight bits next: Φ as ½ + x p(x²) within ±4, from where
// it stands still. A third of the work of vf_gelu, which takes longer than the narrow product that it follows.
INLINE vf vf_gelu_coarse(vf x) {
    vf c = vf_min(vf_max(x, vf_set(-4)), vf_set(4));
    vf u = c * c;
    vf p = vf_set(2.67514813e-08f);
    p = vf_fma(p, u, vf_set(-1.81412146e-06f));
    p = vf_fma(p, u, vf_set(5.25111258e-05f));
    p = vf_fma(p, u, vf_set(-0.000861106642f));
    p = vf_fma(p, u, vf_set(0.00901632686f));
    p = vf_fma(p, u, vf_set(-0.0651456801f));
    p = vf_fma(p, u, vf_set(0.398318355f));
    return x * vf_fma(c, p, vf_set(0.5f));
}
