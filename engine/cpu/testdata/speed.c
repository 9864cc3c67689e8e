// speed.c: what the cores can do at most, and what the products of one variant make of it; a program of its own, so that
// nothing of it is in the product. speed_test.go builds and runs it.
//
//   speed VARIANT THREADS SLICE_MS
//
// prints a line `NAME VALUE` for each measurement, in 10⁹ operations a second over all threads; a multiplication and an
// addition are two. `peak ELEMENT` is a chain of nothing but multiply-adds between registers; `ELEMENT KxN` is a product
// of M = 2048 rows, over the threads, in blocks whose results take each other's place, as forward.c has them. Each product runs between two slices of its peak,
// and `ELEMENT/KxN/peak` is the mean of those: what the cores gave at that time. Where a variant has tiles, `vector-peak` is
// that of the same elements without.
#define _GNU_SOURCE // for what is beyond ISO C
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "../dispatch.h"
#include "../kernels.h"

#if !defined(__x86_64__)
#error "the chains are written for x86"
#endif

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
#define BF16_ZMM(r) "vdpbf16ps %%zmm14, %%zmm15, %%zmm" #r "\n"
CHAIN(fma_zmm, 2, FMA_ZMM, 64, "zmm")
CHAIN(fma_ymm, 2, FMA_YMM, 32, "ymm")
CHAIN(dot_zmm, 8, DOT_ZMM, 64, "zmm")
CHAIN(dot_ymm, 8, DOT_YMM, 32, "ymm")
CHAIN(madd_zmm, 4, MADD_ZMM, 64, "zmm")
CHAIN(madd_ymm, 4, MADD_YMM, 32, "ymm")
CHAIN(bf16_zmm, 4, BF16_ZMM, 64, "zmm")

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

// What each variant multiplies with; bf16 may be NULL.
static const struct peaks {
    const char* variant;
    double (*f32)(void);
    double (*i8)(void);
    double (*bf16)(void);
    double (*vector)(void); // of int8 without tiles, to compare with; may be NULL
} peaks[] = {
    {"amx", fma_zmm, tile_i8, tile_bf16, dot_zmm}, {"avx512vnni", fma_zmm, dot_zmm, bf16_zmm, NULL},
    {"avx512", fma_zmm, madd_zmm, NULL, NULL},     {"avxvnni", fma_ymm, dot_ymm, NULL, NULL},
    {"avx2", fma_ymm, madd_ymm, NULL, NULL},       {NULL, NULL, NULL, NULL, NULL},
};

enum { M = 2048, BLOCK = 128 };

// work is one measurement: a chain, or a product.
struct work {
    double (*chain)(void);
    const struct matmul* matmul;
    struct linear linear;
};

static const struct kernels* kernels;
static int threads;
static double slice_s;
static pthread_barrier_t start;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static void* fresh(size_t bytes) {
    void* p = aligned_alloc(1 << 21, round_up(bytes + 4096, 1 << 21));
    if (!p) abort();
#ifdef MADV_HUGEPAGE
    madvise(p, round_up(bytes + 4096, 1 << 21), MADV_HUGEPAGE); // as arena.go has it
#endif
    memset(p, 0, bytes);
    return p;
}

// side is one thread's: its rows, which no other thread has.
struct side {
    pthread_t thread;
    struct work work;
    void *x, *y;
    struct quantised* rows;
    double rate;
};

static double multiply(const struct side* s) {
    const struct matmul* matmul = s->work.matmul;
    const struct linear* w = &s->work.linear;
    int m = M / threads;
    struct product p = {.w = w, .rows = s->rows, .y = s->y};
    p.x_stride = w->k + 64 / matmul->input_bytes;
    p.y_stride = w->n + 16;
    for (int r = 0; r < m; r += BLOCK) {
        p.m = m - r < BLOCK ? m - r : BLOCK;
        p.x = (char*)s->x + r * p.x_stride * matmul->input_bytes;
        matmul->run(&p);
    }
    return 2.0 * m * w->k * w->n;
}

static double once(const struct side* s) {
    return s->work.chain ? s->work.chain() : multiply(s);
}

static void* run_side(void* argument) {
    struct side* s = argument;
    if (kernels->enter) kernels->enter();
    once(s); // warm
    pthread_barrier_wait(&start);
    double begin = now(), elapsed, done = 0;
    do {
        done += once(s);
        elapsed = now() - begin;
    } while (elapsed < slice_s);
    s->rate = done / elapsed * 1e-9;
    if (kernels->leave) kernels->leave();
    return NULL;
}

static double measure(struct side* sides, struct work work) {
    double rate = 0;
    for (int i = 0; i < threads; i++) {
        sides[i].work = work;
        if (pthread_create(&sides[i].thread, NULL, run_side, &sides[i])) abort();
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(sides[i].thread, NULL);
        rate += sides[i].rate;
    }
    return rate;
}

static void measure_element(
    struct side* sides,
    const char* name,
    double (*chain)(void),
    double (*vector)(void),
    const struct matmul* matmul
) {
    static const int shapes[][2] = {{384, 1536}, {1536, 384}}; // K, N
    if (!chain || !matmul->run) return;
    struct work peak = {.chain = chain};
    for (int i = 0; i < 2; i++) {
        int k = shapes[i][0], n = shapes[i][1];
        struct work work = {
            .matmul = matmul,
            .linear =
                {.panels = fresh((size_t)n * k * matmul->weight_bytes),
                 .bias = fresh(4 * n),
                 .scales = fresh(4 * n),
                 .sums = fresh(4 * n),
                 .n = n,
                 .k = k},
        };
        double before = measure(sides, peak), rate = measure(sides, work);
        double after = measure(sides, peak);
        printf("%s/%dx%d %.1f\n", name, k, n, rate);
        printf("%s/%dx%d/peak %.1f\n", name, k, n, (before + after) / 2);
        if (vector) {
            struct work other = {.chain = vector};
            printf("%s/%dx%d/vector-peak %.1f\n", name, k, n, measure(sides, other));
        }
        free((void*)work.linear.panels), free((void*)work.linear.bias);
        free((void*)work.linear.scales), free((void*)work.linear.sums);
    }
}

int main(int argc, char** argv) {
    if (argc != 4 || !(kernels = find_kernels(argv[1])) || (threads = atoi(argv[2])) < 1 ||
        (slice_s = atof(argv[3]) / 1e3) <= 0) {
        fprintf(stderr, "usage: speed VARIANT THREADS SLICE_MS\n");
        return 2;
    }
    const struct peaks* p = peaks;
    while (p->variant && strcmp(p->variant, argv[1]))
        p++;
    if (!p->variant || (strcmp(argv[1], "amx") == 0 && !request_tiles())) return 77;
    pthread_barrier_init(&start, NULL, threads);
    struct side* sides = calloc(threads, sizeof *sides);
    for (int i = 0; i < threads; i++) {
        sides[i].x = fresh((size_t)4 * (M + SLACK_ROWS) * 1600);
        sides[i].y = fresh((size_t)4 * (M + SLACK_ROWS) * 1600);
        sides[i].rows = fresh(sizeof(struct quantised) * M);
    }
    measure_element(sides, "fp32", p->f32, NULL, &kernels->f32);
    measure_element(sides, "int8", p->i8, p->vector, &kernels->i8);
    measure_element(sides, "bf16", p->bf16, NULL, &kernels->bf16);
    return 0;
}
