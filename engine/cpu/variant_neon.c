// variant_neon.c: for any 64-bit ARM. Bytes are widened to 16 bits once, at load.
#include "kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("neon"))), apply_to = function)
#else
#pragma GCC target("+simd")
#endif

#define VARIANT         neon
#define W               4
#define TILE_ROWS       6
#define TILE_VECTORS    4
#define VF_FMA(a, b, c) vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b))
#define VF_MAX(a, b)    vmaxq_f32((float32x4_t)(a), (float32x4_t)(b))
#define VF_MIN(a, b)    vminq_f32((float32x4_t)(a), (float32x4_t)(b))
#define F32_HOW         "fmla"
#define I8_HOW          "smlal"

#define I8_STORE STORE_S16

// Two 16-bit terms to a lane: products of all of them, then sums of neighbours.
static inline __attribute__((always_inline)) int32x4_t
dot_s16(int32x4_t sum, int16x8_t x, int16x8_t w) {
    int32x4_t low = vmull_s16(vget_low_s16(x), vget_low_s16(w));
    int32x4_t high = vmull_high_s16(x, w);
    return vaddq_s32(sum, vpaddq_s32(low, high));
}
#define DOT_I8(sum, x, w) (vi) dot_s16((int32x4_t)(sum), (int16x8_t)(x), (int16x8_t)(w))

#include "variant.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
