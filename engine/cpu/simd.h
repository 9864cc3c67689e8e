// simd.h: the vectors that all kernels are written in. vf is W floats and vi is W ints; both are the compiler's vector
// types, so that + - * / & | << and comparisons are operators. Before it, a variant defines W and includes the header with
// its instructions; where it defines VF_FMA and the like, those are used, else plain operators.

#include <stdlib.h>
#include <string.h>

typedef float vf __attribute__((vector_size(4 * W)));
typedef int vi __attribute__((vector_size(4 * W)));
typedef unsigned short vu16 __attribute__((vector_size(2 * W)));

#define INLINE   static inline __attribute__((always_inline, unused))
#define NOINLINE __attribute__((noinline))

// VI_KEEP(v) stops a compiler from changing the order of the additions that make v. Otherwise it adds products of several terms to each
// other first. They take up registers, and sums go to the stack.
#if defined(__x86_64__)
#define VI_KEEP(v) __asm__("" : "+v"(v))
#elif defined(__aarch64__)
#define VI_KEEP(v) __asm__("" : "+w"(v))
#else
#define VI_KEEP(v)
#endif

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

INLINE vf vf_select(vi mask, vf yes, vf no) {
    return (vf)((mask & (vi)yes) | (~mask & (vi)no));
}

INLINE vi vi_widened(vu16 v) {
#ifdef VI_WIDENED
    return (vi)VI_WIDENED(v);
#else
    return __builtin_convertvector(v, vi);
#endif
}

// LANES lists f(0), f(1), … for all lanes.
#define LANES4(f, i) f(i), f(i + 1), f(i + 2), f(i + 3)
#if W == 16
#define LANES(f) LANES4(f, 0), LANES4(f, 4), LANES4(f, 8), LANES4(f, 12)
#elif W == 8
#define LANES(f) LANES4(f, 0), LANES4(f, 4)
#else
#define LANES(f) LANES4(f, 0)
#endif

#define LANE_ITSELF(i) (i)

// vf_first keeps the first n lanes of v and makes the others rest.
INLINE vf vf_first(vf v, int n, float rest) {
    return vf_select((vi){LANES(LANE_ITSELF)} < vi_set(n), v, vf_set(rest));
}

INLINE vf vf_fma(vf a, vf b, vf c) {
#ifdef VF_FMA
    return (vf)VF_FMA(a, b, c);
#else
    return a * b + c;
#endif
}

// vf_or_nan is y, or NaN where x is not finite: 0·x is 0 for every finite x, and NaN for infinities and NaN.
INLINE vf vf_or_nan(vf y, vf x) {
    return vf_fma(x, vf_set(0), y);
}

// vf_max and vf_min drop a NaN on some processors and not on others.
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

// Sums and extremes of a vector go by halves, always in the same order: lane i takes lane i + W/2, then i + W/4, ….
#define LANE_HALF(i)    (((i) + W / 2) % W)
#define LANE_QUARTER(i) (((i) + W / 4) % W)
#define LANE_EIGHTH(i)  (((i) + W / 8) % W)
#define LANE_NEXT(i)    (((i) + 1) % W)
#if W == 16
#define BY_HALVES(v, join)                                                                         \
    v = join(v, __builtin_shufflevector(v, v, LANES(LANE_HALF)));                                  \
    v = join(v, __builtin_shufflevector(v, v, LANES(LANE_QUARTER)));                               \
    v = join(v, __builtin_shufflevector(v, v, LANES(LANE_EIGHTH)));                                \
    v = join(v, __builtin_shufflevector(v, v, LANES(LANE_NEXT)))
#elif W == 8
#define BY_HALVES(v, join)                                                                         \
    v = join(v, __builtin_shufflevector(v, v, LANES(LANE_HALF)));                                  \
    v = join(v, __builtin_shufflevector(v, v, LANES(LANE_QUARTER)));                               \
    v = join(v, __builtin_shufflevector(v, v, LANES(LANE_NEXT)))
#else
#define BY_HALVES(v, join)                                                                         \
    v = join(v, __builtin_shufflevector(v, v, LANES(LANE_HALF)));                                  \
    v = join(v, __builtin_shufflevector(v, v, LANES(LANE_NEXT)))
#endif

INLINE vf vf_add(vf a, vf b) {
    return a + b;
}

INLINE float vf_sum(vf v) {
    BY_HALVES(v, vf_add);
    return v[0];
}

INLINE float vf_top(vf v) {
    BY_HALVES(v, vf_max);
    return v[0];
}

// ROUNDING is 1.5 · 2²³: added to a float of magnitude below 2²², it leaves the nearest integer in the low bits.
#define ROUNDING 12582912.0f

#define PRAGMA(x) _Pragma(#x)
#if defined(__clang__)
#define UNROLL PRAGMA(unroll)
#else
#define UNROLL PRAGMA(GCC unroll 64)
#endif

// EXCHANGE swaps, for each pair of rows i and i + h, the lanes of row i that have bit h in their number with the lanes of
// row i + h that do not.
#define LANE_OF_LOWER(i)  ((i) & h ? W + (i) - h : (i))
#define LANE_OF_HIGHER(i) ((i) & h ? W + (i) : (i) + h)
#define EXCHANGE(rows, distance)                                                                   \
    do {                                                                                           \
        enum { h = distance };                                                                     \
        UNROLL for (int i = 0; i < W; i++) if (!(i & h)) {                                         \
            vf lower = (rows)[i], higher = (rows)[i + h];                                          \
            (rows)[i] = __builtin_shufflevector(lower, higher, LANES(LANE_OF_LOWER));              \
            (rows)[i + h] = __builtin_shufflevector(lower, higher, LANES(LANE_OF_HIGHER));         \
        }                                                                                          \
    } while (0)

// vf_transpose exchanges the rows and columns of W × W values, by halves (Eklundh 1972).
INLINE void vf_transpose(vf rows[W]) {
#if W == 16
    EXCHANGE(rows, 8);
#endif
#if W >= 8
    EXCHANGE(rows, 4);
#endif
    EXCHANGE(rows, 2);
    EXCHANGE(rows, 1);
}

// COLLECT joins the lanes of each of W rows, all rows at once: lane i of row 0 becomes those of row i. vf_sums and vf_tops do
// so with sums and with the largest values.
#define COLLECT_STEP(rows, distance, join)                                                         \
    do {                                                                                           \
        enum { h = distance };                                                                     \
        UNROLL for (int i = 0; i < h; i++) {                                                       \
            vf lower = (rows)[i], higher = (rows)[i + h];                                          \
            (rows)[i] = join(                                                                      \
                __builtin_shufflevector(lower, higher, LANES(LANE_OF_LOWER)),                      \
                __builtin_shufflevector(lower, higher, LANES(LANE_OF_HIGHER))                      \
            );                                                                                     \
        }                                                                                          \
    } while (0)
#if W == 16
#define COLLECT(rows, join)                                                                        \
    COLLECT_STEP(rows, 8, join);                                                                   \
    COLLECT_STEP(rows, 4, join);                                                                   \
    COLLECT_STEP(rows, 2, join);                                                                   \
    COLLECT_STEP(rows, 1, join)
#elif W == 8
#define COLLECT(rows, join)                                                                        \
    COLLECT_STEP(rows, 4, join);                                                                   \
    COLLECT_STEP(rows, 2, join);                                                                   \
    COLLECT_STEP(rows, 1, join)
#else
#define COLLECT(rows, join)                                                                        \
    COLLECT_STEP(rows, 2, join);                                                                   \
    COLLECT_STEP(rows, 1, join)
#endif

INLINE vf vf_sums(const vf from[W]) {
    vf rows[W];
    memcpy(rows, from, sizeof rows);
    COLLECT(rows, vf_add);
    return rows[0];
}

INLINE vf vf_tops(const vf from[W]) {
    vf rows[W];
    memcpy(rows, from, sizeof rows);
    COLLECT(rows, vf_max);
    return rows[0];
}

// TILE_HEIGHTS repeats f(rows) for the heights of tiles, from 1 to TILE_ROWS.
#define TILE_HEIGHTS4(f) f(1) f(2) f(3) f(4)
#define TILE_HEIGHTS6(f) TILE_HEIGHTS4(f) f(5) f(6)
#if TILE_ROWS == 14
#define TILE_HEIGHTS(f) TILE_HEIGHTS6(f) f(7) f(8) f(9) f(10) f(11) f(12) f(13) f(14)
#elif TILE_ROWS == 6
#define TILE_HEIGHTS(f) TILE_HEIGHTS6(f)
#else
#define TILE_HEIGHTS(f) TILE_HEIGHTS4(f)
#endif
