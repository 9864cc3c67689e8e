// vmath.h: exp, tanh and the GELUs on vectors. The polynomials are minimax fits by Lawson's iteration (weighted least
// squares, 40 digits); vmath's errors over dense grids against double are in the table of check.c.

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

// GELU(x) = x Φ(x) = max(x, 0) - |x| Φ(-|x|), with log Φ(-t) as a polynomial in t. So a large negative x keeps its
// relative accuracy, which 1 + erf loses. Behind 6.5, where |x| Φ(-|x|) is below 3e-10, t stands still.
INLINE vf vf_gelu(vf x) {
    vf t = vf_min(vf_max(x, -x), vf_set(6.5f));
    vf p = vf_set(7.33325400566e-8f);
    p = vf_fma(p, t, vf_set(-1.96414752221e-6f));
    p = vf_fma(p, t, vf_set(2.03745674392e-5f));
    p = vf_fma(p, t, vf_set(-8.4095199229e-5f));
    p = vf_fma(p, t, vf_set(-0.000219076499257f));
    p = vf_fma(p, t, vf_set(0.0050707203f));
    p = vf_fma(p, t, vf_set(-0.0365152964076f));
    p = vf_fma(p, t, vf_set(-0.318253342648f));
    p = vf_fma(p, t, vf_set(-0.797892038561f));
    p = vf_fma(p, t, vf_set(-0.693146905743f));
    return vf_fma(-t, vf_exp(p), vf_max(x, vf_set(0)));
}

// The tanh approximation of GELU, x (1 + tanh z) / 2 with z = √(2/π) (x + 0.044715 x³), is x / (1 + e⁻²ᶻ).
INLINE vf vf_gelu_new(vf x) {
    vf inner = vf_fma(x * x, vf_set(0.044715f), vf_set(1)) * x;
    return x / (1 + vf_exp(inner * -1.5957691216f));
}

// 2ˣ for x ≤ 0, to a relative 8e-5: for values that are rounded to bfloat16. Below -126, it stays there.
INLINE vf vf_exp2_coarse(vf x) {
    x = vf_max(x, vf_set(-126));
    vf shifted = x + ROUNDING;
    vf r = x - (shifted - ROUNDING);
    vf p = vf_set(0.0551716649f);
    p = vf_fma(p, r, vf_set(0.242611122f));
    p = vf_fma(p, r, vf_set(0.693260986f));
    p = vf_fma(p, r, vf_set(0.999928074f));
    return (vf)((vi)p + ((vi)shifted << 23));
}

// Good to an absolute error of 1e-7: what the pooler needs, whose result is summed.
INLINE vf vf_tanh(vf x) {
    return 1 - 2 / (1 + vf_exp(x + x));
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
