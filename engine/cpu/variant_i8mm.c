// variant_i8mm.c: for ARM with 8-bit matrix products (Neoverse V1, Apple M2).
#include "kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("i8mm"))), apply_to = function)
#else
#pragma GCC target("arch=armv8.6-a+i8mm")
#endif

#define VARIANT         i8mm
#define W               4
#define TILE_ROWS       6
#define TILE_VECTORS    4
#define VF_FMA(a, b, c) vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b))
#define VF_MAX(a, b)    vmaxq_f32((float32x4_t)(a), (float32x4_t)(b))
#define VF_MIN(a, b)    vminq_f32((float32x4_t)(a), (float32x4_t)(b))
#define F32_HOW         "fmla"
#define I8_HOW          "usmmla"

#define I8_STORE STORE_U8
#define I8_GROUP 8
#define WITH_I8MM
#define RUN_I8 run_i8mm

#include "variant.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
