// attend.c: queries, keys and values of a sequence, from their product with weights to the context.
#include "pass.h"

#include <string.h>

void turn_heads(
    const struct pass* p,
    const struct layer* l,
    const struct norm* norm,
    int heads,
    float* x,
    ptrdiff_t stride,
    const int32_t* positions,
    int m
) {
    const struct kernels* kernels = p->model->kernels;
    const int size = p->model->size;
    if (norm->gamma) {
        struct normalise a = {
            .x = x,
            .y = x,
            .stride = stride,
            .m = m,
            .h = size,
            .gamma = norm->gamma,
            .beta = norm->beta,
            .epsilon = norm->epsilon,
            .rms = norm->rms,
        };
        kernels->normalise_heads(&a, heads);
        done_rows(p, WORK_NORM, m, heads * size, 2 * sizeof(float));
    }
    if (l->rotary) {
        struct rotate a = {
            .x = x,
            .stride = stride,
            .m = m,
            .heads = heads,
            .size = size,
            .positions = positions,
            .table = l->rotary,
        };
        kernels->rotate(&a);
        done_rows(p, WORK_ROTATE, m, heads * size, 2 * sizeof(float));
    }
}

// range is rows of a chunk that follow each other in a sequence.
struct range {
    int begin, count;
};

// joined is the distance between rows of scratch.joined: a tile may read beyond a head.
static ptrdiff_t joined_stride(int size) {
    return stride_of(round_up(size, PAD), sizeof(float));
}

// join puts the keys or values of one head side by side that lie in two ranges of rows.
static float* join(const struct model* m, const float* x, const struct range ranges[2], float* to) {
    const ptrdiff_t stride = joined_stride(m->size);
    for (int i = 0; i < 2; i++)
        for (int r = 0; r < ranges[i].count; r++, to += stride)
            memcpy(to, x + (ranges[i].begin + r) * qkv_stride(m), m->size * sizeof(float));
    return to;
}

// done_attention counts the scores of queries from number `at` on of a sequence of so many tokens.
static void done_attention(
    const struct pass* p,
    const struct layer* l,
    int at,
    int queries,
    int length,
    int keys
) {
    if (!profiled(p)) return;
    const struct model* m = p->model;
    uint64_t pairs = 0;
    for (int i = at; i < at + queries; i++)
        pairs += (i + l->after < length ? i + l->after + 1 : length) -
                 (i > l->before ? i - l->before : 0);
    const uint64_t width = m->heads * m->size, keyed = m->key_heads * m->size;
    const uint64_t terms = l->relative.terms, table = terms * 2 * l->relative.span * sizeof(float);
    lap(p->stopwatch, WORK_ATTENTION, (4 + 2 * terms) * pairs * width,
        (queries * (passed_bytes(m) + sizeof(float)) + table) * width +
            2 * keys * keyed * passed_bytes(m));
}

// packed_units is the end of a chunk's packed keys and values of one head, in units of PAD keys, before token `at`.
static int packed_units(int at) {
    return round_up(at + at / 4, PAD) / PAD;
}

size_t packed_bytes(const struct model* m, int tokens) {
    if (!m->attending->pack) return 0;
    return m->key_heads * packed_units(tokens) * m->attending->packed_size(PAD, m->size);
}

// packed_at is where the packed keys and values of a head of a sequence are, or NULL where there are none.
static void* packed_at(const struct pass* p, const struct layer* l, int sequence, int head) {
    const struct model* m = p->model;
    const struct scratch* s = &p->scratch;
    const int32_t* own = s->starts + sequence;
    const bool joins = s->prefixes && s->prefixes[sequence] >= 0;
    if (!p->team || !p->team->packed || own[1] - own[0] <= PACKED_TOKENS || joins ||
        l->before != ALL_KEYS || l->relative.terms)
        return NULL;
    const size_t unit = m->attending->packed_size(PAD, m->size);
    return (char*)p->team->packed + (head * packed_units(p->tokens) + packed_units(own[0])) * unit;
}

void pack_sequence(const struct pass* p, const struct layer* l, int sequence, void* qkv) {
    const struct model* m = p->model;
    const int32_t* own = p->scratch.starts + sequence;
    const int end = (int64_t)p->end * m->key_heads / p->tokens;
    for (int head = (int64_t)p->begin * m->key_heads / p->tokens; head < end; head++) {
        void* packed = packed_at(p, l, sequence, head);
        void* k = passed_at(m, qkv, own[0] * qkv_stride(m) + m->queries_padded + head * m->size);
        struct attention a = {
            .k = k,
            .v = passed_at(m, k, m->keys_padded),
            .kv_stride = qkv_stride(m),
            .keys = own[1] - own[0],
            .size = m->size,
        };
        if (packed) m->attending->pack(&a, packed);
    }
}

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
) {
    const struct model* m = p->model;
    const struct scratch* s = &p->scratch;
    const int32_t* own = s->starts + sequence;
    struct range ranges[2] = {{0}, {own[0], own[1] - own[0]}}; // of the prefix; our own
    if (s->prefixes && s->prefixes[sequence] >= 0) {
        const int32_t* start = s->starts + s->prefixes[sequence];
        ranges[0] = (struct range){start[0], start[1] - start[0]};
    }
    const int length = ranges[0].count + ranges[1].count;
    at += ranges[0].count;
    int first = 0, last = length; // the keys that some query sees
    if (at > l->before) first = (at - l->before) / PAD * PAD;
    if (at + queries + l->after < last) last = at + queries + l->after;
    const bool joins = first < ranges[0].count;
    if (joins) {
        ranges[0] = (struct range){ranges[0].begin + first, ranges[0].count - first};
        ranges[1].count = last - first - ranges[0].count;
    }
    // The row of the first key, unless they are joined.
    const int begin = ranges[1].begin + first - ranges[0].count;
    const int shared = m->heads / m->key_heads;
    // Heads that differ in more than their queries are attended to one by one.
    const int together = m->attending->shares && !l->slopes && !l->relative.terms ? shared : 1;
    for (int head = 0; head < m->heads; head += together) {
        const int column = m->queries_padded + head / shared * m->size;
        void* k = passed_at(m, qkv, begin * qkv_stride(m) + column);
        struct attention a = {
            .q = passed_at(m, q, head * m->size),
            .k = k,
            .v = passed_at(m, k, m->keys_padded),
            .q_stride = q_stride,
            .kv_stride = qkv_stride(m),
            .queries = queries,
            .keys = last - first,
            .size = m->size,
            .heads = together,
            .scale = 1 / __builtin_sqrtf((float)(m->size * (1 + l->relative.terms))),
            .out = out + head * m->size,
            .out_stride = context_stride(m),
            .scratch = s->attention,
            .packed = packed_at(p, l, sequence, head / shared),
            .before = l->before,
            .after = l->after,
            .offset = at - first,
            .slope = l->slopes ? l->slopes[head] : 0,
        };
        if (joins) {
            a.k = s->joined;
            a.v = join(m, (const float*)qkv + column, ranges, s->joined);
            join(m, (const float*)qkv + column + m->keys_padded, ranges, (float*)a.v);
            a.kv_stride = joined_stride(m->size);
        }
        if (l->relative.terms)
            m->kernels->attend_relative(&a, &l->relative, head);
        else
            m->attending->attend(&a);
    }
    done_attention(p, l, at, queries, length, last - first);
}
