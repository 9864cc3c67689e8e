// pass.h: the parts of a pass that its files share: times of a profiled pass, distances between rows, and attention of a
// sequence.
#ifndef METALRANK_CPU_PASS_H
#define METALRANK_CPU_PASS_H

#include "forward.h"

// Each done_… charges the time since the last one to some work, if the pass is profiled.
static inline bool profiled(const struct pass* p) {
    return __builtin_expect(p->stopwatch != NULL, 0);
}

static inline void done(const struct pass* p, enum work work) {
    if (profiled(p)) lap(p->stopwatch, work, 0, 0);
}

// done_rows: m rows of width were read, and written as so many bytes each element.
static inline void done_rows(const struct pass* p, enum work work, int m, int width, int bytes) {
    if (profiled(p)) lap(p->stopwatch, work, 0, (uint64_t)m * width * bytes);
}

static inline ptrdiff_t hidden_stride(const struct model* m) {
    return stride_of(m->h_padded, sizeof(float));
}

// Queries, keys, values and inner values are floats, or bfloat16 where attention takes that.
static inline bool halves(const struct model* m) {
    return m->attending->halves;
}

static inline int passed_bytes(const struct model* m) {
    return halves(m) ? sizeof(uint16_t) : sizeof(float);
}

static inline ptrdiff_t qkv_stride(const struct model* m) {
    return stride_of(m->queries_padded + 2 * m->keys_padded, passed_bytes(m));
}

// context_stride is that of rows [A D]: contexts and queries.
static inline ptrdiff_t context_stride(const struct model* m) {
    return stride_of(m->queries_padded, sizeof(float));
}

// passed_at is the address of element i of such values.
static inline void* passed_at(const struct model* m, void* values, ptrdiff_t i) {
    return (char*)values + i * passed_bytes(m);
}

// turn_heads takes m queries or keys of `heads` heads, before attention: through the norm of heads, then by their positions.
void turn_heads(
    const struct pass* p,
    const struct layer* l,
    const struct norm* norm,
    int heads,
    float* x,
    ptrdiff_t stride,
    const int32_t* positions,
    int m
);

// pack_sequence packs keys and values of a sequence to where attend_sequence reads them, for the pass's part of the heads (pack_stage).
void pack_sequence(const struct pass* p, const struct layer* l, int sequence, void* qkv);

// attend_sequence computes the context [queries, A D] of queries of one sequence from number `at` of its own tokens on, all heads. qkv
// are the rows of the chunk.
void attend_sequence(
    const struct pass* p,
    const struct layer* l,
    int sequence,
    int at,
    void* q,
    ptrdiff_t q_stride,
    int queries,
    void* qkv,
    float* out
);

#endif
