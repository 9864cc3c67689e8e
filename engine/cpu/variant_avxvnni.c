// variant_avxvnni.c: for x86 with AVX-VNNI but without AVX-512, from Alder Lake on.
#include "kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avxvnni"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c,avxvnni")
#endif

#define VARIANT         avxvnni
#define W               8
#define TILE_ROWS       6
#define TILE_VECTORS    2
#define VF_FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define VF_MAX(a, b)    _mm256_max_ps(a, b)
#define VF_MIN(a, b)    _mm256_min_ps(a, b)
#define F32_HOW         "vfmadd231ps ymm"
#define I8_HOW          "vpdpbusd ymm"

#define I8_STORE          STORE_U8
#define DOT_I8(sum, x, w) (vi) _mm256_dpbusd_avx_epi32((__m256i)(sum), (__m256i)(x), (__m256i)(w))

#define DOT_I16(sum, x, w) (vi) _mm256_dpwssd_avx_epi32((__m256i)(sum), (__m256i)(x), (__m256i)(w))
#define I16_CODE           "%{vex%} vpdpwssd"
#define I16_HOW            "vpdpwssd ymm"
#define VF_SQRT(a)         _mm256_sqrt_ps(a)
// Packed by halves of a register, and then in order.
#define VI_BYTES(to, a, b, c, d)                                                                   \
    _mm256_storeu_si256(                                                                           \
        (__m256i*)(to), _mm256_permutevar8x32_epi32(                                               \
                            _mm256_packus_epi16(                                                   \
                                _mm256_packs_epi32((__m256i)(a), (__m256i)(b)),                    \
                                _mm256_packs_epi32((__m256i)(c), (__m256i)(d))                     \
                            ),                                                                     \
                            _mm256_set_epi32(7, 3, 6, 2, 5, 1, 4, 0)                               \
                        )                                                                          \
    )

#include "variant.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
