// variant_dotprod.c: for ARMv8.2 with the dot product (Cortex-A75, Neoverse N1, Apple M1).
#include "kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#else
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif

#define VARIANT         dotprod
#define W               4
#define TILE_ROWS       6
#define TILE_VECTORS    4
#define VF_FMA(a, b, c) vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b))
#define VF_MAX(a, b)    vmaxq_f32((float32x4_t)(a), (float32x4_t)(b))
#define VF_MIN(a, b)    vminq_f32((float32x4_t)(a), (float32x4_t)(b))
#define F32_HOW         "fmla"
#define I8_HOW          "sdot"

#define I8_STORE          STORE_S8
#define DOT_I8(sum, x, w) (vi) vdotq_s32((int32x4_t)(sum), (int8x16_t)(x), (int8x16_t)(w))

#include "variant.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
