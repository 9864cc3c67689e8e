// peak.c: see peak.h.
#define _GNU_SOURCE // for functions beyond ISO C
#include "peak.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)

// Twelve chains, or all that tiles have: enough to hide a latency of four cycles on two ports. Each returns how many
// operations it has done.
#define TWELVE(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11)
#define CHAIN(name, operations, instruction, width, register)                                      \
    static double name(void) {                                                                     \
        const uint32_t factor = 0x3c3c3c3c; /* harmless as floats, as halves and as bytes */       \
        __asm__ volatile(                                                                          \
            "vbroadcastss %0, %%" register "14\nvbroadcastss %0, %%" register "15" ::"m"(factor)   \
            : "xmm14", "xmm15"                                                                     \
        );                                                                                         \
        for (int i = 0; i < 1000; i++)                                                             \
            __asm__ volatile(TWELVE(instruction)::: "memory", TWELVE_CLOBBERS);                    \
        return 1000.0 * 12 * (operations) * (width) / 4;                                           \
    }
#define TWELVE_CLOBBERS                                                                            \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11"
#define FMA_ZMM(r)  "vfmadd231ps %%zmm14, %%zmm15, %%zmm" #r "\n"
#define FMA_YMM(r)  "vfmadd231ps %%ymm14, %%ymm15, %%ymm" #r "\n"
#define DOT_ZMM(r)  "vpdpbusd %%zmm14, %%zmm15, %%zmm" #r "\n"
#define DOT_YMM(r)  "%{vex%} vpdpbusd %%ymm14, %%ymm15, %%ymm" #r "\n"
#define MADD_ZMM(r) "vpmaddwd %%zmm14, %%zmm15, %%zmm" #r "\n"
#define MADD_YMM(r) "vpmaddwd %%ymm14, %%ymm15, %%ymm" #r "\n"
CHAIN(fma_zmm, 2, FMA_ZMM, 64, "zmm")
CHAIN(fma_ymm, 2, FMA_YMM, 32, "ymm")
CHAIN(dot_zmm, 8, DOT_ZMM, 64, "zmm")
CHAIN(dot_ymm, 8, DOT_YMM, 32, "ymm")
CHAIN(madd_zmm, 4, MADD_ZMM, 64, "zmm")
CHAIN(madd_ymm, 4, MADD_YMM, 32, "ymm")

#define FOUR_TILES(op)                                                                             \
    op " %%tmm6, %%tmm4, %%tmm0\n" op " %%tmm7, %%tmm4, %%tmm1\n" op                               \
       " %%tmm6, %%tmm5, %%tmm2\n" op " %%tmm7, %%tmm5, %%tmm3\n"
static double tile_i8(void) {
    for (int i = 0; i < 1000; i++)
        __asm__ volatile(FOUR_TILES("tdpbusd")::: "memory");
    return 1000.0 * 4 * 2 * 16 * 16 * 64;
}
static double tile_bf16(void) {
    for (int i = 0; i < 1000; i++)
        __asm__ volatile(FOUR_TILES("tdpbf16ps")::: "memory");
    return 1000.0 * 4 * 2 * 16 * 16 * 32;
}

static const struct peaks peaks[] = {
    {.variant = "amx", .f32 = fma_zmm, .i8 = tile_i8, .bf16 = tile_bf16, .vector = dot_zmm},
    {.variant = "avx512vnni", .f32 = fma_zmm, .i8 = dot_zmm},
    {.variant = "avx512", .f32 = fma_zmm, .i8 = madd_zmm},
    {.variant = "avxvnni", .f32 = fma_ymm, .i8 = dot_ymm},
    {.variant = "avx2", .f32 = fma_ymm, .i8 = madd_ymm},
};

#elif defined(__aarch64__)

// Twenty-four chains: a latency of four cycles on up to six ports.
#define EIGHT(f, n)    f(n##0) f(n##1) f(n##2) f(n##3) f(n##4) f(n##5) f(n##6) f(n##7)
#define TWENTY_FOUR(f) EIGHT(f, ) f(8) f(9) EIGHT(f, 1) f(18) f(19) f(20) f(21) f(22) f(23)
#define CLOBBERS                                                                                   \
    "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", \
        "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v30", "v31"
#define CHAIN(name, extension, operations, instruction)                                            \
    static double name(void) {                                                                     \
        for (int i = 0; i < 1000; i++)                                                             \
            __asm__ volatile(                                                                      \
                extension "movi v30.4s, #0x3c\n movi v31.4s, #0x3c\n" TWENTY_FOUR(instruction)::   \
                    : "memory", CLOBBERS                                                           \
            );                                                                                     \
        return 1000.0 * 24 * (operations);                                                         \
    }
#define FMLA_S(r) "fmla v" #r ".4s, v30.4s, v31.4s\n"
#define FMLA_H(r) "fmla v" #r ".8h, v30.8h, v31.8h\n"
#define SDOT(r)   "sdot v" #r ".4s, v30.16b, v31.16b\n"
#define USMMLA(r) "usmmla v" #r ".4s, v30.16b, v31.16b\n"
#define SMLAL(r)  "smlal v" #r ".4s, v30.4h, v31.4h\n"
CHAIN(fmla_s, "", 8, FMLA_S)
CHAIN(fmla_h, ".arch armv8.2-a+fp16\n", 16, FMLA_H)
CHAIN(sdot, ".arch armv8.2-a+dotprod\n", 32, SDOT)
CHAIN(usmmla, ".arch armv8.6-a+i8mm\n", 64, USMMLA)
CHAIN(smlal, "", 8, SMLAL)

static const struct peaks peaks[] = {
    {.variant = "i8mm", .f32 = fmla_s, .i8 = usmmla, .f16 = fmla_h},
    {.variant = "dotprod", .f32 = fmla_s, .i8 = sdot, .f16 = fmla_h},
    {.variant = "neon", .f32 = fmla_s, .i8 = smlal},
};

#else

static const struct peaks peaks[] = {{.variant = "portable"}};

#endif

const struct peaks* find_peaks(const char* variant) {
    for (size_t i = 0; i < sizeof peaks / sizeof peaks[0]; i++)
        if (strcmp(peaks[i].variant, variant) == 0) return &peaks[i];
    return NULL;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

double chain_rate(chain* run, double seconds) {
    run(); // warm
    double begin = now(), elapsed, done = 0;
    do {
        done += run();
        elapsed = now() - begin;
    } while (elapsed < seconds);
    return done / elapsed;
}

double copy_rate(unsigned long bytes, double seconds) {
    unsigned long half = bytes / 2;
    char *from = malloc(half), *to = malloc(half);
    double begin, elapsed, done = 0;
    if (!from || !to) {
        free(from), free(to);
        return 0;
    }
    memset(from, 1, half), memset(to, 2, half);
    begin = now();
    do {
        memcpy(to, from, half);
        __asm__ volatile("" ::"r"(from), "r"(to) : "memory"); // the copy is wanted
        done += 2.0 * half;
        elapsed = now() - begin;
    } while (elapsed < seconds);
    free(from), free(to);
    return done / elapsed;
}
