// variant_avx512.c: for x86 with AVX-512 of the first generation, without VNNI (Skylake-X).
#include "kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#if defined(__clang__)
#pragma clang attribute push(                                                                      \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))),                   \
    apply_to = function                                                                            \
)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
#endif

#define VARIANT         avx512
#define W               16
#define TILE_ROWS       14
#define TILE_VECTORS    2
#define VF_FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define VF_MAX(a, b)    _mm512_max_ps(a, b)
#define VF_MIN(a, b)    _mm512_min_ps(a, b)
#define VF_REDUCE(a)    _mm512_reduce_ps(a, 8) // from the nearest whole number
#define VF_SCALE(a, n)  _mm512_scalef_ps(a, n)
#define VI_SHORTS(to, a, b)                                                                        \
    _mm512_storeu_si512(                                                                           \
        to, _mm512_permutexvar_epi64(                                                              \
                _mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0),                                          \
                _mm512_packs_epi32((__m512i)(a), (__m512i)(b))                                     \
            )                                                                                      \
    )
#define VI_WIDENED(v) _mm512_cvtepu16_epi32((__m256i)(v))
#define F32_HOW       "vfmadd231ps zmm"
#define I8_HOW        "vpmaddwd zmm"

#define I8_STORE STORE_S16
#define DOT_I8(sum, x, w)                                                                          \
    (vi) _mm512_add_epi32((__m512i)(sum), _mm512_madd_epi16((__m512i)(x), (__m512i)(w)))

#include "variant.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
