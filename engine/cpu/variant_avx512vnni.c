// variant_avx512vnni.c: for x86 with AVX-512 and VNNI (Cascade Lake, Zen 4). It has no bf16: vdpbf16ps does no more than two
// float multiply-adds in the same time, and rounding comes on top.
#include "kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#if defined(__clang__)
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,avx512vnni"))),        \
    apply_to = function                                                                            \
)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,avx512vnni")
#endif

#define VARIANT         avx512vnni
#define W               16
#define TILE_ROWS       14
#define TILE_VECTORS    2
#define VF_FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define VF_MAX(a, b)    _mm512_max_ps(a, b)
#define VF_MIN(a, b)    _mm512_min_ps(a, b)
#define VF_REDUCE(a)    _mm512_reduce_ps(a, 8) // from the nearest whole number
#define VF_SCALE(a, n)  _mm512_scalef_ps(a, n)
#define VF_SQRT(a)      _mm512_sqrt_ps(a)
#define VI_WIDENED(v)   _mm512_cvtepu16_epi32((__m256i)(v))
#define VI_BYTES(to, a, b, c, d)                                                                   \
    _mm512_storeu_si512(                                                                           \
        to, _mm512_permutexvar_epi32(                                                              \
                _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0),            \
                _mm512_packus_epi16(                                                               \
                    _mm512_packs_epi32((__m512i)(a), (__m512i)(b)),                                \
                    _mm512_packs_epi32((__m512i)(c), (__m512i)(d))                                 \
                )                                                                                  \
            )                                                                                      \
    )
#define F32_HOW "vfmadd231ps zmm"
#define I8_HOW  "vpdpbusd zmm"

#define I8_STORE          STORE_U8
#define DOT_I8(sum, x, w) (vi) _mm512_dpbusd_epi32((__m512i)(sum), (__m512i)(x), (__m512i)(w))

#define DOT_I16(sum, x, w) (vi) _mm512_dpwssd_epi32((__m512i)(sum), (__m512i)(x), (__m512i)(w))
#define I16_CODE           "vpdpwssd"
#define I16_HOW            "vpdpwssd zmm"

#include "variant.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
