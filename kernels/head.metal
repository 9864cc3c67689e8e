// head.metal: the classifier over [CLS] rows.
//   p[b,n] = act(sum_k x[r,k] * w[n,k] + bias[n]),  r = rows[b] if gatherA, else b
//   z[b,c] = sum_n p[b,n] * v[c,n] + d[c]
// BERT's pooler (act = tanh) and classifier; RoBERTa's dense (tanh) and out_proj; Electra's (GELU); DistilBERT's (ReLU).
// Buffers: 0 HeadArgs  1 x [T or B, H]  2 w [H, H]  3 bias [H] f32  4 v [C, H] f32  5 d [C] f32  6 z [B, C] f32
//          7 rows [B] u32, if gatherA
// Grid: ceil(B / 8) groups of S = min(8, ceil(H / 48)) SIMD-groups, S = simdgroups; they go along the row of p together, 48 S
//       columns at a time
// Threadgroup memory: two tiles of x, 2 * 8 * 40 elements, and a sum per row and SIMD-group, 8 * 8 f32: 1,536 B at f16
// Needs: H % 8 == 0; x and w begin at a multiple of four elements
// Numerics: f32 throughout
// Constants: activation, gatherA, simdgroups
// Variants: head_{f16,f32}

#include "gemm.h"
#include "rownorm.h"

constant constexpr uint headBlocks = 6; // of eight columns, in a SIMD-group
constant constexpr uint headSimdgroups = 8;

template <typename T>
[[kernel, max_total_threads_per_threadgroup(256)]] void head(
    constant HeadArgs& args [[buffer(0)]],
    device const T* x [[buffer(1)]],
    device const T* w [[buffer(2)]],
    device const float* bias [[buffer(3)]],
    device const float* v [[buffer(4)]],
    device const float* d [[buffer(5)]],
    device float* z [[buffer(6)]],
    device const uint* rows [[buffer(7), function_constant(gatherA)]],
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
    const GatheredRows<T> from = {x, gatherA ? rows : nullptr, args.sequences, row0};
    const RowSums<1> sums = {partial, simdgroups, simdgroup, lane};
    for (uint first = 0; first < H; first += side * headBlocks * simdgroups) {
        const uint column0 = first + side * headBlocks * simdgroup;
        const DenseWeights<T, headBlocks> weights(w, H, H, column0, lane);
        Tile<T, 1, headBlocks> tile;
        tile.multiply(from, weights, H, tiles, index, simdWidth * simdgroups, lane);

        const uint blocks = H > column0 ? min((H - column0) / side, headBlocks) : 0;
        UNROLL for (uint j = 0; j < headBlocks; j++) {
            if (j < blocks) {
                const uint n = column0 + side * j + lane.column;
                thread simdgroup_float8x8& pooled = tile.sums[0][j];
                pooled.thread_elements()[0] =
                    activate<float>(activation, pooled.thread_elements()[0] + bias[n]);
                pooled.thread_elements()[1] =
                    activate<float>(activation, pooled.thread_elements()[1] + bias[n + 1]);
            }
        }
        for (uint c = 0; c < args.labels; c++) {
            float sum = 0.0f;
            UNROLL for (uint j = 0; j < headBlocks; j++) {
                if (j < blocks) {
                    device const float* row = v + ulong(c) * H + column0 + side * j + lane.column;
                    sum += tile.sums[0][j].thread_elements()[0] * row[0] +
                           tile.sums[0][j].thread_elements()[1] * row[1];
                }
            }
            sums.put(0, 0, sum);
            // All partial sums of this label are there before they are added up.
            threadgroup_barrier(mem_flags::mem_threadgroup);
            const float all = sums.get(0);
            if (simdgroup == 0 && lane.column == 0 && row0 + lane.row < args.sequences) {
                device float& logit = z[(row0 + lane.row) * args.labels + c];
                logit = (first == 0 ? d[c] : logit) + all;
            }
            // They have been read before the next label's replace them.
            threadgroup_barrier(mem_flags::mem_threadgroup);
        }
    }
}

template [[host_name("head_f16")]] [[kernel]] decltype(head<half>) head<half>;
template [[host_name("head_f32")]] [[kernel]] decltype(head<float>) head<float>;
