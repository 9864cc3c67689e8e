// variant_amx.c: for x86 with Intel's tile registers (Sapphire Rapids and newer).
#include "kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>
#if defined(__clang__)
#pragma clang attribute push(                                                                                      \
    __attribute__((target(                                                                                         \
        "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,avx512vnni,avx512bf16,prfchw,amx-tile,amx-int8,amx-bf16" \
    ))),                                                                                                           \
    apply_to = function                                                                                            \
)
#else
#pragma GCC target(                                                                                            \
    "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,avx512vnni,avx512bf16,prfchw,amx-tile,amx-int8,amx-bf16" \
)
#endif

#define VARIANT         amx
#define W               16
#define TILE_ROWS       14
#define TILE_VECTORS    2
#define VF_FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define VF_MAX(a, b)    _mm512_max_ps(a, b)
#define VF_MIN(a, b)    _mm512_min_ps(a, b)
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
#define VI_WIDENED(v) _mm512_cvtepu16_epi32((__m256i)(v))
#define F32_HOW       "vfmadd231ps zmm"
#define I8_HOW        "tdpbusd"

#define I8_STORE STORE_U8
#define I8_GROUP 4
#define RUN_I8   run_amx_i8

#define WITH_AMX
#define RUN_BF16 run_amx_bf16
#define BF16_HOW "tdpbf16ps"

#include "variant.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
