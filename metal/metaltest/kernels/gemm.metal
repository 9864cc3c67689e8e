// gemm.metal: a linear layer, with bias and GELU where asked for; one threadgroup per 64 x 64 tile of y.
//   y[m,n] = act(sum_k a[m,k] * w[n,k] + bias[n])
// Buffers: 0 GemmArgs  1 a [M, K] f16  2 w [N, K] f16  3 bias [N] f32, if hasBias  4 y [M, N] f16
// Grid: (ceil(N/64), ceil(M/64)) groups of 128 threads: 2 x 2 SIMD-groups, each with 32 x 32 of the tile
// Threadgroup memory: a and w tiles 2*64*40 f16, y tile 64*64 f32: 26,624 B
// Needs: M, N, K >= 1; any sizes, edges are ragged
// Numerics: f32 accumulators; one rounding, at the store
// Constants: 0 hasBias  1 hasGelu
// Variants: gemm_f16_nt_64x64x32

#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;

constant bool hasBias [[function_constant(0)]];
constant bool hasGelu [[function_constant(1)]];

constant constexpr uint tileM = 64;
constant constexpr uint tileN = 64;
constant constexpr uint tileK = 32;
constant constexpr uint stride = tileK + 8; // of a tile's row; padded against bank conflicts
constant constexpr uint block = 32;         // rows, and columns, of a SIMD-group's part of the tile
constant constexpr uint side = 8;           // of a simdgroup_matrix
constant constexpr uint blocks = block / side;
constant constexpr uint threads = 128;

struct GemmArgs {
    uint M;
    uint N;
    uint K;
};

// gelu is x * Phi(x). erf is Abramowitz and Stegun 7.1.26, |error| <= 1.5e-7.
static float gelu(float x) {
    const float z = fabs(x) * M_SQRT1_2_F;
    const float t = 1.0f / (1.0f + 0.3275911f * z);
    float p = 1.061405429f;
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    const float tail = p * t * exp(-z * z); // 1 - erf(z)
    return 0.5f * x * (x < 0.0f ? tail : 2.0f - tail);
}

// load copies a tileM x tileK piece of from [rows, columns] into tile, with zeros where from ends.
static void load(
    threadgroup half* tile,
    device const half* from,
    uint rows,
    uint columns,
    uint row0,
    uint column0,
    uint index
) {
    for (uint i = index; i < tileM * tileK; i += threads) {
        const uint r = i / tileK;
        const uint c = i % tileK;
        const bool inside = row0 + r < rows && column0 + c < columns;
        tile[r * stride + c] = inside ? from[(row0 + r) * columns + column0 + c] : half(0.0h);
    }
}

kernel void gemm_f16_nt_64x64x32(
    constant GemmArgs& args [[buffer(0)]],
    device const half* a [[buffer(1)]],
    device const half* w [[buffer(2)]],
    device const float* bias [[buffer(3), function_constant(hasBias)]],
    device half* y [[buffer(4)]],
    uint2 group [[threadgroup_position_in_grid]],
    uint index [[thread_index_in_threadgroup]],
    uint simdgroup [[simdgroup_index_in_threadgroup]]
) {
    threadgroup half aTile[tileM * stride];
    threadgroup half wTile[tileN * stride];
    threadgroup float yTile[tileM * tileN];

    const uint row0 = group.y * tileM;
    const uint column0 = group.x * tileN;
    const uint blockRow = simdgroup / 2 * block;
    const uint blockColumn = simdgroup % 2 * block;

    simdgroup_float8x8 sum[blocks][blocks];
    for (uint i = 0; i < blocks; i++) {
        for (uint j = 0; j < blocks; j++) {
            sum[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
        }
    }
    for (uint k0 = 0; k0 < args.K; k0 += tileK) {
        load(aTile, a, args.M, args.K, row0, k0, index);
        load(wTile, w, args.N, args.K, column0, k0, index);
        // Both tiles are whole before any SIMD-group multiplies.
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint k = 0; k < tileK; k += side) {
            simdgroup_half8x8 left[blocks];
            simdgroup_half8x8 right[blocks];
            for (uint i = 0; i < blocks; i++) {
                simdgroup_load(left[i], aTile + (blockRow + i * side) * stride + k, stride);
            }
            for (uint j = 0; j < blocks; j++) {
                threadgroup const half* from = wTile + (blockColumn + j * side) * stride + k;
                simdgroup_load(right[j], from, stride, ulong2(0, 0), true);
            }
            for (uint i = 0; i < blocks; i++) {
                for (uint j = 0; j < blocks; j++) {
                    simdgroup_multiply_accumulate(sum[i][j], left[i], right[j], sum[i][j]);
                }
            }
        }
        // Every SIMD-group is done with the tiles before the next ones take their place.
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }

    for (uint i = 0; i < blocks; i++) {
        for (uint j = 0; j < blocks; j++) {
            const uint at = (blockRow + i * side) * tileN + blockColumn + j * side;
            simdgroup_store(sum[i][j], yTile + at, tileN);
        }
    }
    // The tile is whole before threads, which don't keep to their SIMD-group's part, write it out.
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = index; i < tileM * tileN; i += threads) {
        const uint m = row0 + i / tileN;
        const uint n = column0 + i % tileN;
        if (m >= args.M || n >= args.N) {
            continue;
        }
        float value = yTile[i];
        if (hasBias) {
            value += bias[n];
        }
        if (hasGelu) {
            value = gelu(value);
        }
        y[m * args.N + n] = half(value);
    }
}
