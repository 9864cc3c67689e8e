// forward.h: a model that is packed for one variant and one precision, and the forward pass of one chunk through it.
#ifndef METALRANK_CPU_FORWARD_H
#define METALRANK_CPU_FORWARD_H

#include <stdatomic.h>

#include "kernels.h"
#include "tally.h"

struct norm {
    const float *gamma, *beta; // [H padded], zero in the padding
};

struct layer {
    struct linear qkv;          // [3 H padded, H padded]: queries, keys, values
    struct linear query, keyed; // the parts of qkv: queries; keys and values
    struct linear attention_output;
    struct norm attention_norm;
    struct linear intermediate, output;
    struct norm output_norm;
};

struct model {
    const struct kernels* kernels;
    const struct matmul* matmul; // of the layers; pooler and classifier are float
    int e, e_padded;             // width of embeddings
    int h, h_padded, f_padded, heads, labels_padded, layer_count;
    int block; // rows that go through the feed-forward block at a time
    enum activation activation, pooler_activation;
    float epsilon;
    const float *positions, *types; // [positions, E padded], [types, E padded]
    struct norm embedding_norm;
    struct linear projection; // [H, E], float; none where E is H
    const struct layer* layers;
    struct linear pooler, classifier;
};

// stride_of is the distance between rows of `width` padded elements of `bytes` each: one cache line more.
static inline ptrdiff_t stride_of(int width, int bytes) {
    return width + 64 / bytes;
}

// scratch is the memory of one worker. Rows are the worker's own, counted from the first of them.
struct scratch {
    int32_t *types, *positions; // [rows]
    int32_t* starts;            // [B + 1]
    float* embeddings;          // [rows, E]: word embeddings at first; x itself where E is H
    float* x;                   // [rows, H]
    void* qkv;                  // [tokens, 3 H] float, or bfloat16 where the matmul halves
    float* context;             // [rows, H]
    void* inner;                // [block, F], as qkv
    void* narrow;               // [block + SLACK_ROWS, max(H, F)]
    struct quantised* rows;     // [block]
    float *first, *pooled;      // [B, H]: the rows of [CLS]
    float* logits;              // [B, C padded]
    void* attention;
};

// team is the state that the workers of one chunk share, where several cut it by rows.
struct team {
    atomic_int arrived, phase;
    void* qkv[2]; // [tokens, 3 H] each, in turns: one is read while the next layer's is written
};

// pass is one worker's part of a chunk: rows [begin, end) of its tokens.
struct pass {
    const struct model* model;
    struct scratch scratch;
    struct team* team; // NULL: the worker has the chunk for itself
    int members;
    int tokens, sequences, begin, end;
    struct stopwatch* stopwatch; // NULL: not profiled
};

// forward computes the logits of those sequences that begin in the rows: scratch.logits [n, C padded], in their order.
// Every member of a team calls it.
void forward(const struct pass* pass);

#endif
