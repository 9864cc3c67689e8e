// head.metal: the classifier over [CLS] rows.
//   p[b,n] = act(sum_k x[r,k] * w[n,k] + bias[n]),  r = rows[b] if gatherA, else b
//   z[b,c] = sum_n p[b,n] * v[c,n] + d[c]
// BERT's pooler (act = tanh) and classifier; RoBERTa's dense (tanh) and out_proj; Electra's (GELU); DistilBERT's (ReLU).
// Buffers: 0 HeadArgs  1 x [T or B, H]  2 w [H, H]  3 bias [H] f32  4 v [C, H] f32  5 d [C] f32  6 z [B, C] f32
//          7 rows [B] u32, if gatherA
// Grid: ceil(B / 8) groups of S = ceil(H / (8 NF)) SIMD-groups, S = simdgroups
// Threadgroup memory: two tiles of x, 2 * 8 * 40 elements, and a sum per row and SIMD-group, 32 * 8 f32: 2,304 B at f16
// Needs: H % 8 == 0, S <= 32; x and w begin at a multiple of four elements
// Numerics: f32 throughout
// Constants: activation, gatherA, simdgroups; hasResidual and gatherResidual are false
// Variants: head_{f16,f32}: NF = 6, H <= 1536; head_{f16,f32}_wide: NF = 16, H <= 4096

#include "gemm.h"
#include "rownorm.h"

template <typename T, int NF>
kernel void head(
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
    threadgroup T tiles[2 * Tile<T, 1, NF>::elements];
    threadgroup float partial[maxSimdgroups * side];
    const Lane lane(laneIndex);
    const uint row0 = group * side;
    const uint column0 = simdgroup * side * NF;
    const uint H = args.hidden;
    const DenseWeights<T, NF> weights(w, H, H, column0, lane);
    const GatheredRows<T> from = {x, gatherA ? rows : nullptr, H, args.sequences, row0};
    Tile<T, 1, NF> tile;
    tile.multiply(from, weights, H, tiles, index, simdWidth * simdgroups, lane);

    const uint blocks = H > column0 ? min((H - column0) / side, uint(NF)) : 0;
    UNROLL for (uint j = 0; j < NF; j++) {
        if (j < blocks) {
            const uint n = column0 + side * j + lane.column;
            thread simdgroup_float8x8& pooled = tile.sums[0][j];
            pooled.thread_elements()[0] =
                activate(activation, pooled.thread_elements()[0] + bias[n]);
            pooled.thread_elements()[1] =
                activate(activation, pooled.thread_elements()[1] + bias[n + 1]);
        }
    }
    const RowSums<1> sums = {partial, simdgroups, simdgroup, lane};
    for (uint c = 0; c < args.labels; c++) {
        float sum = 0.0f;
        UNROLL for (uint j = 0; j < NF; j++) {
            if (j < blocks) {
                device const float* row = v + ulong(c) * H + column0 + side * j + lane.column;
                sum += tile.sums[0][j].thread_elements()[0] * row[0] +
                       tile.sums[0][j].thread_elements()[1] * row[1];
            }
        }
        sums.put(0, sum);
        // All partial sums of this label are there before they are added up.
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (simdgroup == 0 && lane.column == 0 && row0 + lane.row < args.sequences) {
            z[(row0 + lane.row) * args.labels + c] = sums.get(0) + d[c];
        }
        // They have been read before the next label's replace them.
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
}

#define INSTANTIATE(name, T, NF)                                                                   \
    template [[host_name(name)]] [[kernel]] decltype(head<T, NF>) head<T, NF>;

INSTANTIATE("head_f16", half, 6)
INSTANTIATE("head_f16_wide", half, 16)
INSTANTIATE("head_f32", float, 6)
INSTANTIATE("head_f32_wide", float, 16)
