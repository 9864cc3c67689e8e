// tally.h: the workers' time by kind of work, counted while a pass is profiled. Otherwise a pass has no clock, and a lap is
// one branch that always goes the same way.
#ifndef METALRANK_CPU_TALLY_H
#define METALRANK_CPU_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "kernels.h"

// Kinds of a worker's work; profile.go has their names.
enum work {
    WORK_GATHER, // Go's part: embeddings looked up, logits put in their places
    WORK_EMBED,
    WORK_PROJECTION,
    WORK_QKV,
    WORK_KEYED,
    WORK_QUERY,
    WORK_ATTENTION,
    WORK_ATTENTION_OUTPUT,
    WORK_INTERMEDIATE,
    WORK_OUTPUT,
    WORK_HEAD,
    WORK_NARROW,
    WORK_NORM,
    WORK_ROTATE,
    WORK_GATE,
    WORK_WAIT, // for the other members of a team
    WORK_COUNT
};

// tally adds up one kind of work in one layer. flops are multiplications and additions of products, those of padding
// among them; bytes are of every operand of a call once.
struct tally {
    uint64_t ticks, calls, flops, bytes;
};

// stopwatch is one worker's. The layer `layers` stands for work in no layer.
struct stopwatch {
    uint64_t last; // ticks at the last lap
    int layer;
    struct tally* tallies; // [layers + 1][WORK_COUNT]
};

// ticks reads a clock that runs at a steady rate, independent of the core's.
uint64_t ticks(void);

// lap charges the time since the last lap to some work.
void lap(struct stopwatch* s, enum work work, uint64_t flops, uint64_t bytes);

#endif
