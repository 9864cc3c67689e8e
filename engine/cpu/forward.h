// forward.h: a model that is packed for one variant and one precision, and the forward pass of one chunk through it.
#ifndef METALRANK_CPU_FORWARD_H
#define METALRANK_CPU_FORWARD_H

#include <stdatomic.h>

#include "kernels.h"
#include "tally.h"

// norm is a norm of rows; none where gamma is NULL.
struct norm {
    const float *gamma, *beta; // [H padded], zero in the padding
    float epsilon;
    bool rms; // as struct normalise has it
};

// MOST_PARTS is how many parts a down-projection may have.
enum { MOST_PARTS = 32 };

// pool says which row of a sequence the head takes.
enum pool { POOL_FIRST, POOL_MEAN, POOL_LAST };

struct layer {
    struct linear qkv;          // [A D padded + 2 G D padded, H padded]: queries, keys, values
    struct linear query, keyed; // the parts of qkv: queries; keys and values
    struct norm query_norm, key_norm; // [D], of each head
    const float* rotary;              // [positions, D], as struct rotate has it; NULL: none
    const float* slopes;              // [A] of ALiBi; NULL: none
    int before, after;                // as struct attention has them
    struct relative relative;         // no terms: none
    struct linear attention_output;
    struct norm attention_norm; // of the sum after attention
    struct linear
        intermediate; // [F, H padded], or where it is gated [2 F, H padded]: gates, values
    bool gated;
    enum activation activation;
    struct linear output[MOST_PARTS]; // columns of W side by side, whose results add up
    int parts;
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
    int h, h_padded, f_padded, labels_padded, layer_count;
    int heads, key_heads, size;      // A, G and D of every layer
    int queries_padded, keys_padded; // A D and G D
    int inner_padded;                // the width of intermediate's results
    int block; // the most rows that go through the feed-forward block at a time, in whole tiles
    const float *positions, *types; // [positions, E padded], [types, E padded]; NULL: none
    struct norm embedding_norm, first_norm;
    struct linear projection; // [H, E], float; none where E is H
    bool keep_sum;            // x is the sum, and not its norm
    const struct layer* layers;
    enum pool pool;
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
    int32_t* prefixes;        // [B]: the number of a sequence's prefix, or -1; NULL: there are none
    float* embeddings;        // [rows, E]: word embeddings at first; x itself where E is H
    float* x;                 // [rows, H]
    float* n;                 // [rows, H]: x itself unless the model keeps the sum
    void* qkv;                // [tokens, A D + 2 G D] float, or bfloat16 where the matmul halves
    float* context;           // [rows, A D]
    void* inner;              // [block, F or 2 F], as qkv
    void* narrow;             // [block + SLACK_ROWS, max(H, F, A D)]
    struct quantised* rows;   // [block]
    float *pooled, *pooled_n; // [B, H]: the rows that the head takes, as x and n
    float* query;             // [B, A D]: their queries
    float* between[2];        // [B, head padded]: rows between steps of the head
    float* logits;            // [B, C padded]
    void* attention;
    float*
        joined; // [2, L, D]: a head's keys and values of a sequence and its prefix; NULL: no sequence has one
};

// team is the state that the workers of one chunk share, where several cut it by rows.
struct team {
    atomic_int arrived, phase;
    void* qkv
        [2]; // [tokens, A D + 2 G D] each, in turns: one is read while the next layer's is written
    void* packed; // packed_bytes of the tokens; NULL: attention packs by itself
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

// row_of is the row of a chunk that the head takes for a sequence, or where it puts the mean of its rows: the pass that has it
// computes the sequence's logits.
static inline int row_of(enum pool pool, const int32_t* starts, int sequence) {
    return pool == POOL_LAST ? starts[sequence + 1] - 1 : starts[sequence];
}

// forward computes the logits of those sequences whose row_of is in the rows: scratch.logits [n, C padded], in their order.
// Every member of a team calls it.
void forward(const struct pass* pass);

// stages_of is the number of stages of a pass. A stage begins once all rows of the chunk have ended the one before, and
// forward is all of them in order.
int stages_of(const struct model* model);

// packed_bytes is the size of packed keys and values of a chunk of so many tokens; 0: there are none.
size_t packed_bytes(const struct model* model, int tokens);

// PACKED_TOKENS: a sequence of more has its keys and values packed before a stage that reads them. PAD more keys for each
// sequence are then less than a quarter.
enum { PACKED_TOKENS = 4 * PAD };

// pack_stage packs the keys and values of such sequences for a stage from 1 on. A pass packs some of the heads: as large a part of
// them as its rows are of the chunk's tokens.
void pack_stage(const struct pass* pass, int stage);

// run_stage runs one stage for the rows of a pass, whose team must not be NULL.
void run_stage(const struct pass* pass, int stage);

#endif
