// params.h: the arguments of the kernels, as host and device share them; params.go has the twins, and a test compares
// sizes and offsets. Letters: T packed tokens, B sequences, H hidden size, A heads, D head size, M rows of a product,
// N its columns, K the terms of its sums, C labels.
#pragma once

#include <metal_stdlib>
using namespace metal;

// Indices of function constants. No kernel uses all of them, and every pipeline is given all: Metal makes none of a kernel
// that uses a constant without a value.
#define CONSTANT_ACTIVATION 0 // uint: activationNone, ...
#define CONSTANT_RESIDUAL   1 // bool: something is added before the last step
#define CONSTANT_GATHER_A   2 // bool: row m of the product is made from row rows[m] of a
#define CONSTANT_GATHER_RES 3 // bool: row m is added row rows[m] of the residual
#define CONSTANT_SIMDGROUPS 4 // uint: SIMD-groups in a threadgroup
#define CONSTANT_HEAD_SIZE  5 // uint: D
#define CONSTANT_GROUP_SIZE 6 // uint: weights that share a scale: 32, 64 or 128
#define CONSTANT_WORD_BITS  7 // uint: of a code in the table of words; 0: the table is not quantised
#define CONSTANT_WINDOW     8  // uint: a query at i sees keys from i - window to i + window; 0: all
#define CONSTANT_SLOPES     9  // bool: scores fall with the distance of query and key
#define CONSTANT_POS_KEYS   10 // bool: scores have products of queries and keys of positions
#define CONSTANT_POS_QUERY  11 // bool: scores have products of keys and queries of positions
#define CONSTANT_GATED      12 // bool: columns are pairs of a gate and a value: act(gate) value
#define CONSTANT_TURNED     13 // uint: first columns, which rotary positions turn in pairs; 0: none
#define CONSTANT_NORMED     14 // bool: rows of a are a kept sum that waits for its norm
#define CONSTANT_KEPT       15 // bool: the result is a kept sum
#define CONSTANT_PARTS      16 // uint: of embeddings, partPositions + ...
#define CONSTANT_DENSE      17 // bool: the head has a linear layer before the classifier
#define CONSTANT_HEAD_NORM  18 // bool: the head has a norm before the classifier
#define CONSTANT_RMS        19 // bool: the norm that rows of a wait for leaves their mean where it is
#define CONSTANT_CAUSAL     20 // bool: a query sees no key behind it
#define CONSTANT_SHARING    21 // uint: heads of queries that share one of keys and values

// Values of CONSTANT_ACTIVATION.
enum Activation : uint {
    activationNone = 0,
    activationGelu = 1,    // x Phi(x)
    activationGeluNew = 2, // its approximation by tanh
    activationRelu = 3,
    activationTanh = 4,
    activationSilu = 5, // x / (1 + exp(-x))
};

// Bits of CONSTANT_PARTS.
enum Parts : uint {
    partPositions = 1,
    partTypes = 2,
    partNorm = 4,
    partWaiting = 8, // the result is the operand of a kept sum, whose norm follows
};

// A kept sum s [M, N] is the residual of a model with norms before attention. It is stored three times: in f32, for the next
// sum; as s gamma / keptShrink in T, gamma being the next norm's, for the product that follows; and for that norm, the mean of
// every keptStrip columns and the sum of their squared distances from it, [M, ceil(N / keptStrip)] float2. With these, the
// product's epilogue makes the norm: sum_k ((s - mean) / deviation gamma + beta) w = (sum_k s gamma w - mean sum_k gamma w) /
// deviation + sum_k beta w. If rms, the mean is 0, and the deviation the root of the mean of squares (Zhang and Sennrich 2019).
constant constexpr uint keptStrip = 64;
// Sums are up to a thousand times the rows that are added: half's 65,504 becomes a million, at 2^-20 for its least step.
constant constexpr float keptShrink = 16.0f;

struct EmbedArgs {
    uint tokens;    // T
    uint hidden;    // H
    float epsilon;  // of the layer norm
    uint groupSize; // of a quantised table of words
};

struct NormArgs {
    uint rows;
    uint hidden; // H
    float epsilon;
};

struct GemmArgs {
    uint M;
    uint N;
    uint K;
    float epsilon; // of the layer norm, where there is one
};

struct HeadArgs {
    uint sequences;    // B
    uint hidden;       // H
    uint labels;       // C
    uint columns;      // N of the linear layer, with those that fill up a block of eight
    uint width;        // N without them
    float epsilon;     // of the norm that rows wait for
    float headEpsilon; // of the norm before the classifier
};

struct PoolArgs {
    uint hidden;   // H
    float epsilon; // of the norm that rows wait for
};

struct AttentionArgs {
    uint queryStride; // elements from one row of q to the next
    uint keyStride;   // the same for k and v
    uint outStride;   // the same for out
    float scale;      // log2(e) / sqrt(D n), where a score has n products
    uint placed;      // how an item's queries stand to its keys: a value of Placed
    uint tableStride; // elements from one row of the table of positions to the next
    uint reach;       // the greatest distance that has a row of its own
};

// Values of AttentionArgs.placed.
enum Placed : uint {
    placedByRow = 0, // rows of q are those of k
    placedFirst = 1, // the query is the first key's
    placedLast = 2,  // the queries are those of the last keys
};

struct HeadNormArgs {
    uint queries; // heads of queries, which come first
    uint keys;    // heads of keys behind them
    uint stride;  // elements from one row to the next
    float epsilon;
    float keyEpsilon;
};

// AttentionItem is up to 64 query rows of one sequence against the keys that they see. Its alignment lets it be read at once.
struct alignas(16) AttentionItem {
    uint key;     // row of the first key; of the first behind those of a prefix
    uint keys;    // how many, at least 1; those of a prefix, too
    uint query;   // row of the first query, in q and in out
    uint queries; // how many, 1 to 64
};

// AttentionPrefix is where the first keys of an item are, if they are those of another sequence.
struct AttentionPrefix {
    uint key;  // row of the first
    uint keys; // how many; 0: none
};
