// forward.h: a model that is packed for one variant and one precision, and the forward pass of one chunk through it.
#ifndef METALRANK_CPU_FORWARD_H
#define METALRANK_CPU_FORWARD_H

#include <stdatomic.h>

#include "kernels.h"
#include "tally.h"

// norm is a layer norm; none where gamma is NULL.
struct norm {
    const float *gamma, *beta; // [H padded], zero in the padding
    float epsilon;
};

struct layer {
    struct linear qkv;          // [3 H padded, H padded]: queries, keys, values
    struct linear query, keyed; // the parts of qkv: queries; keys and values
    const float* rotary;        // [positions, D], as struct rotate has it; NULL: none
    const float* slopes;        // [A] of ALiBi; NULL: none
    int window;                 // as struct attention has it
    struct relative relative;   // no terms: none
    struct linear attention_output;
    struct norm attention_norm; // of the sum after attention
    struct linear
        intermediate; // [F, H padded], or where it is gated [2 F, H padded]: gates, values
    bool gated;
    enum activation activation;
    struct linear output;
    struct norm output_norm; // of the sum after the feed-forward block
};

// step is a step of the head: linear (none where panels is NULL) with its activation, then norm.
struct step {
    struct linear linear;
    enum activation activation;
    struct norm norm;
    int width; // of the rows that it takes
};

// model is a weights.Plan. Rows x are the residual stream, and rows n their norms.
struct model {
    const struct kernels* kernels;
    const struct matmul* matmul; // of the layers; the head is float
    const struct matmul*
        attending;   // the same, or float where an operation of attention is for floats alone
    int e, e_padded; // width of embeddings
    int h, h_padded, f_padded, heads, labels_padded, layer_count;
    int inner_padded; // the width of intermediate's results
    int block; // the most rows that go through the feed-forward block at a time, in whole tiles
    const float *positions, *types; // [positions, E padded], [types, E padded]; NULL: none
    struct norm embedding_norm, first_norm;
    struct linear projection; // [H, E], float; none where E is H
    bool keep_sum;            // x is the sum, and not its norm
    const struct layer* layers;
    bool mean; // the head takes the mean of a sequence's rows, and not the first one
    const struct step* steps;
    int step_count, head_padded; // the width of the widest rows between steps
};

// position_rows computes m rows y = norm(x) Wᵀ + b: K or Q of struct relative. The norm replaces x.
void position_rows(
    const struct kernels* kernels,
    const struct norm* norm,
    const struct linear* w,
    float* x,
    ptrdiff_t x_stride,
    int m,
    int h,
    float* y,
    ptrdiff_t y_stride
);

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
    float* n;                   // [rows, H]: x itself unless the model keeps the sum
    void* qkv;                  // [tokens, 3 H] float, or bfloat16 where the matmul halves
    float* context;             // [rows, H]
    void* inner;                // [block, F or 2 F], as qkv
    void* narrow;               // [block + SLACK_ROWS, max(H, F)]
    struct quantised* rows;     // [block]
    float *first, *first_n;     // [B, H]: the rows of [CLS], as x and n
    float* query;               // [B, H]: their queries
    float* between[2];          // [B, head padded]: rows between steps of the head
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

// stages_of is the number of stages of a pass. A stage begins once all rows of the chunk have ended the one before, and
// forward is all of them in order.
int stages_of(const struct model* model);

// run_stage runs one stage for the rows of a pass, whose team must not be NULL.
void run_stage(const struct pass* pass, int stage);

#endif
