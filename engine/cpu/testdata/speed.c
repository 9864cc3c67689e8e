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
#include "../peak.h"

enum { M = 2048, BLOCK = 128 };

// work is one measurement: a chain, or a product.
struct work {
    chain* chain;
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
    chain* multiply_adds,
    chain* vector,
    const struct matmul* matmul
) {
    static const int shapes[][2] = {{384, 1536}, {1536, 384}}; // K, N
    if (!multiply_adds || !matmul->run) return;
    struct work peak = {.chain = multiply_adds};
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
    const struct peaks* p = find_peaks(argv[1]);
    if (!p || (strcmp(argv[1], "amx") == 0 && !request_tiles())) return 77;
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
