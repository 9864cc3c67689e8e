// tally.c: see tally.h.
#define _GNU_SOURCE // for functions beyond ISO C
#include "tally.h"

#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

uint64_t ticks(void) {
#if defined(__x86_64__)
    return __rdtsc();
#elif defined(__aarch64__)
    uint64_t count;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(count));
    return count;
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
#endif
}

void lap(struct stopwatch* s, enum work work, uint64_t flops, uint64_t bytes) {
    uint64_t now = ticks();
    struct tally* t = &s->tallies[s->layer * WORK_COUNT + work];
    t->ticks += now - s->last;
    t->calls++;
    t->flops += flops;
    t->bytes += bytes;
    s->last = now;
}
