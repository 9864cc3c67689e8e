// kernels.h: the kernels that the forward pass needs of an instruction set, and their arguments.
//
// Letters: T packed tokens, B sequences, L tokens of one sequence, H hidden size, A heads, G heads of keys and values, D head
// size, F feed-forward size, C labels; M rows, N columns and K terms of a matrix product.
//
// Every matrix of ours has rows that are padded with zeros to a multiple of PAD elements, plus one cache line, so that
// no product has a ragged K, and rows of 4096 bytes don't fall into the same sets of a cache. Sizes named *_padded
// count the zeros, but not the cache line.
//
// The result of a row never depends on the rows beside it: neither on their number nor on its place among them. All sums
// over K run in the same order in every tile, which makes a score the same bit for bit alone or in a batch, on one thread
// or on many.
#ifndef METALRANK_CPU_KERNELS_H
#define METALRANK_CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The compiler must not fuse a * b + c by itself: the same expression in two tiles must round alike. GCC does not with
// -std=c11; cgo allows no flag for it.
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

enum {
    PAD = 64,
    // The rows that a kernel may read behind the last one of a matrix: a full tile where fewer are left.
    SLACK_ROWS = 32,
    // The floats behind a transposed table that a tile may read.
    SLACK_COLUMNS = 64,
    // Keys to a side of a query: more than a sequence has.
    ALL_KEYS = 1 << 30,
    // The largest head whose queries and keys may have norms of their own.
    MOST_NORMED = 512,
};

// Applied to each value of a product.
enum activation {
    ACTIVATION_NONE,
    ACTIVATION_GELU,
    ACTIVATION_GELU_NEW,
    ACTIVATION_RELU,
    ACTIVATION_TANH,
    ACTIVATION_SILU
};

// quantised gives the values of a row of bytes: value = scale * (byte - zero).
struct quantised {
    float scale, zero; // zero is a whole number
};

// linear is the weights of y = x Wᵀ + b, packed: column n and term k of W are element
// ((n / panel * (K / group) + k / group) * panel + n % panel) * group + k % group of panels.
struct linear {
    const void* panels;
    const float* bias;   // [n]
    const float* scales; // [n] int8: W = scale * byte
    const int32_t* sums; // [n] int8: sum over k of the bytes
    int n, k;            // padded
};

// product is one matrix product: y[m,n] = activation(x[m,k] Wᵀ + b) + residual. Where half is set, the result is written
// there instead of y, in bfloat16; only a matmul that `halves` does so.
struct product {
    const struct linear* w;
    const void* x;                // [m, k], in the elements of the matmul
    ptrdiff_t x_stride;           // in elements
    const struct quantised* rows; // [m] int8 only
    int m;
    enum activation activation;
    const float* residual; // [m, n], or NULL
    ptrdiff_t residual_stride;
    float* y;       // [m, n]; may be the residual
    uint16_t* half; // [m, n] bfloat16, or NULL
    ptrdiff_t y_stride;
};

// attention is one head of keys and values of one sequence: out = softmax(q kᵀ / √D) v for some of its queries. q, k and v are
// float, or bfloat16 where the matmul `halves`.
struct attention {
    const void *q, *k, *v; // [queries, D], [keys, D], [keys, D]
    ptrdiff_t q_stride, kv_stride;
    int queries, keys, size; // size is D
    // The heads of queries that read these keys, side by side, as their results are. More than one only where the matmul `shares`.
    int heads;
    float scale; // 1/√D
    float* out;  // [queries, D]
    ptrdiff_t out_stride;
    void* scratch; // attention_scratch(keys, D) bytes, aligned to 64
    // All keys and values of the sequence, packed by the matmul's pack. NULL: attend packs them.
    void* packed;
    // Query i sees the keys from offset + i - before to offset + i + after. Only attention of floats has less than ALL_KEYS to
    // a side. For results that don't depend on the first key, its place in the sequence is a multiple of PAD.
    int before, after, offset;
    float slope; // ALiBi's: a score loses slope times the distance of its tokens
};

// relative is the tables of disentangled attention, with a row for each bucket of a distance i - j between query and key. A
// score is q·k + q·K[r] + k·Q[r], scaled.
struct relative {
    // K and Q, transposed, each head by itself: [A][D][stride]; NULL: there is no such term. K's rows are in reverse order.
    const float *keys, *queries;
    ptrdiff_t stride;    // SLACK_COLUMNS may be read behind the last row
    int span;            // rows to each side: 2 span in all
    int whole;           // up to this distance to each side, a distance's row is itself plus span
    const int32_t* rows; // [2 farthest + 1]: the row of each distance
    int farthest;
    int terms; // that there are
};

// narrowing turns rows x [m, k], float or bfloat16, into the elements that a matmul takes, in its order.
typedef void narrowing(
    const void* x,
    ptrdiff_t x_stride,
    int m,
    int k,
    void* y,
    ptrdiff_t y_stride,
    struct quantised* rows
);

// matmul is the products at one precision: of rows by weights, and those of attention.
struct matmul {
    void (*run)(const struct product*);
    narrowing* narrow;      // float rows
    narrowing* narrow_half; // bfloat16 rows; NULL unless it halves
    void (*attend)(const struct attention*);
    size_t (*attention_scratch)(int keys, int size);
    // pack writes packed_size(keys, D) bytes for attend, so that its calls for one head of a sequence need not each do so. NULL:
    // attend knows none.
    void (*pack)(const struct attention*, void* to);
    size_t (*packed_size)(int keys, int size);
    // Queries, keys, values and the feed-forward's inner values are bfloat16: they are read once more, and rounded then.
    bool halves;
    bool shares;      // attend takes several heads of queries, and packs their keys once
    int rows;         // of a tile: more of them at a time are a multiple
    int panel;        // columns
    int group;        // terms
    int weight_bytes; // of one element of W
    int input_bytes;  // of one element of x
    // The instructions that take most time: of products with weights, and of attention's.
    const char *how, *attend_how;
};

// normalise computes rows y [m, h] = (x - mean) / √(variance + epsilon) · gamma + beta; y may be x. Where rms is set, the mean
// counts as 0 in both places (Zhang and Sennrich 2019).
struct normalise {
    const float* x;
    float* y;
    ptrdiff_t stride;
    int m, h;
    const float *gamma, *beta; // [h padded], zero in the padding
    float epsilon;
    bool rms;
};

// rotate turns the values i and i + D/2 of each head of rows x [m, A D] by an angle for the row's position.
struct rotate {
    float* x;
    ptrdiff_t stride;
    int m, heads, size;       // A and D
    const int32_t* positions; // [m]
    const float* table;       // [positions, D]: D/2 cosines, then D/2 sines
};

// gate replaces rows x [m, 2 F] in their first half by activation(first half) · second half.
struct gate {
    float* x;
    ptrdiff_t stride;
    int m, f; // f is padded
    enum activation activation;
    bool coarse; // results are rounded to eight bits next
};

// kernels is one variant: everything that depends on an instruction set.
struct kernels {
    const char* name;
    struct matmul f32, i8, bf16;             // run is NULL where there is no such product
    void (*run_rows)(const struct product*); // of floats, rows as they lie
    // attend_relative is attention of floats with the tables' part in scores; its scratch is relative_scratch(keys, D) bytes.
    void (*attend_relative)(const struct attention*, const struct relative*, int head);
    size_t (*relative_scratch)(int keys, int size);
    void (*normalise)(const struct normalise*);
    // normalise_heads is normalise for each of the heads [D] of rows, in place: h is D, at most MOST_NORMED.
    void (*normalise_heads)(const struct normalise*, int heads);
    void (*rotate)(const struct rotate*);
    void (*gate)(const struct gate*);
    // widen_halves writes the exact values y [n] of binary16 x.
    void (*widen_halves)(const uint16_t* x, float* y, int n);
    // Called at the start and at the end of a thread's work; may be NULL.
    void (*enter)(void);
    void (*leave)(void);
};

// find_kernels returns the variant of that name, or NULL where this architecture has none.
const struct kernels* find_kernels(const char* name);

extern const struct kernels kernels_portable;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2, kernels_avxvnni, kernels_avx512, kernels_avx512vnni,
    kernels_amx;
#elif defined(__aarch64__)
extern const struct kernels kernels_neon, kernels_dotprod, kernels_i8mm;
#endif

static inline int round_up(int n, int unit) {
    return (n + unit - 1) / unit * unit;
}

#endif
