// head.metal: the classifier over one row of each sequence.
//   p[b,n] = act(sum_k x[r,k] * w[n,k] + bias[n]),  r = rows[b] if gatherA, else b; act(x[r,n]) without hasDense
//   z[b,c] = sum_n p[b,n] * v[c,n] + d[c], or of the layer norm of p, if headNorm: then v is the classifier's weights times gamma,
//   d has the sum over n of its weights times beta, and z[b,c] = (sum_n p[b,n] * v[c,n] - mean[b] * e[c]) / deviation[b] + d[c],
//   e[c] = sum_n v[c,n]
// BERT's pooler (act = tanh) and classifier; RoBERTa's dense (tanh) and out_proj; Electra's (GELU); DistilBERT's (ReLU);
// ModernBERT's dense (GELU), norm and classifier; a classifier alone.
// Buffers: 0 HeadArgs  1 x [T or B, H]  2 w [N, H], if hasDense  3 bias [N] f32; [2, N] with sum_k gamma w, if normed
//          4 v [C, N] f32  5 d [C] f32; [2, C] with e, if headNorm  6 z [B, C] f32  7 rows [B] u32, if gatherA
//          8 statistics of x, if normed
// Grid: ceil(B / 8) groups of S = min(8, ceil(N / 48)) SIMD-groups, S = simdgroups; they go along the row of p together, 48 S
//       columns at a time
// Threadgroup memory: two tiles of x, 2 * 8 * 40 elements, and a sum per row and SIMD-group, 8 * 8 f32: 1,536 B at f16
// Needs: H % 4 == 0; N % 8 == 0, with zeros in w, bias and v from column `width` on; act(0) == 0; x and w begin at
//        a multiple of four elements
// Numerics: f32 throughout; the variance of p in a second pass over each part of its row, parts put together as Chan et al. 1979
// Constants: activation, gatherA, simdgroups, normed, rms, hasDense, headNorm
// Variants: head_{f16,f32}

#include "gemm.h"
#include "rownorm.h"

constant bool hasDense [[function_constant(CONSTANT_DENSE)]];
constant bool headNorm [[function_constant(CONSTANT_HEAD_NORM)]];
constant bool hasBias = hasDense || normed;

constant constexpr uint headBlocks = 6; // of eight columns, in a SIMD-group
constant constexpr uint headSimdgroups = 8;

// HeadSums adds up a row of p over a threadgroup's SIMD-groups.
struct HeadSums {
    RowSums<1> sums;

    // total returns the sum of x over a row's lanes. All threads must come here.
    float total(float x) const {
        sums.put(0, 0, x);
        // All partial sums are there before they are added up.
        threadgroup_barrier(mem_flags::mem_threadgroup);
        const float all = sums.get(0);
        // They have been read before the next ones replace them.
        threadgroup_barrier(mem_flags::mem_threadgroup);
        return all;
    }
};

// HeadRow is what is known of a row of p, as far as it has come.
struct HeadRow {
    float count;
    float mean;
    float squares; // of distances from the mean

    // add takes in a part of so many numbers.
    void add(float n, float partMean, float partSquares) {
        const float distance = partMean - mean;
        const float share = n / (count + n);
        squares += partSquares + distance * distance * count * share;
        mean += distance * share;
        count += n;
    }
};

template <typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void head(
    constant HeadArgs& args [[buffer(0)]],
    device const T* x [[buffer(1)]],
    device const T* w [[buffer(2), function_constant(hasDense)]],
    device const float* bias [[buffer(3), function_constant(hasBias)]],
    device const float* v [[buffer(4)]],
    device const float* d [[buffer(5)]],
    device float* z [[buffer(6)]],
    device const uint* rows [[buffer(7), function_constant(gatherA)]],
    device const float2* statistics [[buffer(8), function_constant(normed)]],
    uint group [[threadgroup_position_in_grid]],
    uint index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]],
    uint laneIndex [[thread_index_in_simdgroup]]
) {
    alignas(16) threadgroup T tiles[2 * Tile<T, 1, headBlocks>::elements];
    threadgroup float partial[headSimdgroups * side];
    const Lane lane(laneIndex);
    const uint row0 = group * side;
    const uint H = args.hidden;
    const uint N = args.columns;
    const GatheredRows<T> from = {x, gatherA ? rows : nullptr, args.sequences, row0};
    const HeadSums sums = {{partial, simdgroups, simdgroup, lane}};
    const bool stores = simdgroup == 0 && lane.column == 0 && row0 + lane.row < args.sequences;
    float2 norm = float2(0.0f);
    if (normed) {
        norm = keptNorm<T>(statistics, from.row(lane.row), H, args.epsilon, lane);
    }
    HeadRow known = {0.0f, 0.0f, 0.0f};
    for (uint first = 0; first < N; first += side * headBlocks * simdgroups) {
        const uint column0 = first + side * headBlocks * simdgroup;
        Tile<T, 1, headBlocks> tile;
        if (hasDense) {
            const DenseWeights<T, headBlocks> weights(w, N, H, column0, lane);
            tile.multiply(from, weights, H, tiles, index, simdWidth * simdgroups, lane);
        }
        const uint blocks = N > column0 ? min((N - column0) / side, headBlocks) : 0;
        float sum = 0.0f; // of p
        UNROLL for (uint j = 0; j < headBlocks; j++) {
            if (j < blocks) {
                thread simdgroup_float8x8& pooled = tile.sums[0][j];
                UNROLL for (uint e = 0; e < 2; e++) {
                    const uint n = column0 + side * j + lane.column + e;
                    float value = pooled.thread_elements()[e];
                    if (!hasDense) {
                        value = n < H ? float(x[ulong(from.row(lane.row)) * H + n]) : 0.0f;
                    }
                    if (normed) {
                        value = norm[1] * (value - norm[0] * bias[N + n]);
                    }
                    if (hasBias) {
                        value += bias[n];
                    }
                    pooled.thread_elements()[e] = activate<float>(activation, value);
                    if (headNorm) {
                        sum += pooled.thread_elements()[e]; // the columns that fill up are zeros
                    }
                }
            }
        }
        if (headNorm) {
            const float count = float(min(args.width - first, side * headBlocks * simdgroups));
            const float mean = sums.total(sum) / count;
            float squares = 0.0f;
            UNROLL for (uint j = 0; j < headBlocks; j++) {
                UNROLL for (uint e = 0; e < 2; e++) {
                    if (j < blocks && column0 + side * j + lane.column + e < args.width) {
                        const float distance = tile.sums[0][j].thread_elements()[e] - mean;
                        squares += distance * distance;
                    }
                }
            }
            known.add(count, mean, sums.total(squares));
        }
        for (uint c = 0; c < args.labels; c++) {
            float product = 0.0f;
            UNROLL for (uint j = 0; j < headBlocks; j++) {
                if (j < blocks) {
                    device const float* row = v + ulong(c) * N + column0 + side * j + lane.column;
                    product += tile.sums[0][j].thread_elements()[0] * row[0] +
                               tile.sums[0][j].thread_elements()[1] * row[1];
                }
            }
            const float all = sums.total(product);
            if (stores) {
                device float& logit = z[(row0 + lane.row) * args.labels + c];
                logit = (first == 0 ? (headNorm ? 0.0f : d[c]) : logit) + all;
            }
        }
    }
    if (headNorm && stores) {
        const float inverse =
            inverseDeviation<float>(known.squares / known.count, args.headEpsilon);
        for (uint c = 0; c < args.labels; c++) {
            device float& logit = z[(row0 + lane.row) * args.labels + c];
            logit = inverse * (logit - known.mean * d[args.labels + c]) + d[c];
        }
    }
}

template [[host_name("head_f16")]] [[kernel]] decltype(head<half>) head<half>;
template [[host_name("head_f32")]] [[kernel]] decltype(head<float>) head<float>;
