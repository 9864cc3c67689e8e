// variant_avx2.c: for x86 from Haswell and Excavator on. Bytes are widened to 16 bits
// once, at load: the exact products of vpmaddwd cost less than working round the saturation of vpmaddubsw.
#include "kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c")
#endif

#define VARIANT         avx2
#define W               8
#define TILE_ROWS       6
#define TILE_VECTORS    2
#define VF_FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define VF_MAX(a, b)    _mm256_max_ps(a, b)
#define VF_MIN(a, b)    _mm256_min_ps(a, b)
#define VI_SHORTS(to, a, b)                                                                        \
    _mm256_storeu_si256(                                                                           \
        (__m256i*)(to),                                                                            \
        _mm256_permute4x64_epi64(_mm256_packs_epi32((__m256i)(a), (__m256i)(b)), 0xd8)             \
    )
#define F32_HOW "vfmadd231ps ymm"
#define I8_HOW  "vpmaddwd ymm"

#define I8_STORE STORE_S16
#define DOT_I8(sum, x, w)                                                                          \
    (vi) _mm256_add_epi32((__m256i)(sum), _mm256_madd_epi16((__m256i)(x), (__m256i)(w)))

#include "variant.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
