// quant.h: how a SIMD-group reads its part of a weight matrix in MLX's affine groups, dequantised, as weights.h has it.
#pragma once

#include "weights.h"

// Codes are four neighbours of K in MLX's affine groups, of Bits bits each.
template <int Bits>
struct Codes;

template <>
struct Codes<8> {
    uchar4 packed;

    static Codes read(device const uchar* codes, uint from) {
        return {*(device const uchar4*)(codes + from)};
    }

    static Codes read(threadgroup const uchar* codes, uint from) {
        return {*(threadgroup const uchar4*)(codes + from)};
    }

    float4 unpack() const { return float4(packed); }
};

template <>
struct Codes<4> {
    ushort packed;

    static Codes read(device const uchar* codes, uint from) {
        return {*(device const ushort*)(codes + from / 2)};
    }

    static Codes read(threadgroup const uchar* codes, uint from) {
        return {*(threadgroup const ushort*)(codes + from / 2)};
    }

    float4 unpack() const {
        const uint word = packed;
        return float4(word & 15, word >> 4 & 15, word >> 8 & 15, word >> 12);
    }
};

// QuantWeights reads MLX's affine groups: codes of Bits bits along K, and for each group of them a scale and a bias,
// w = code * scale + bias (mlx/ops.cpp, affine_quantize). Scales are read once: each lane reads those of other rows for
// its neighbours, and gets its own by a shuffle. Step is from one load to the next, along K.
template <typename T, int NF, int Bits, int Step = depth>
struct QuantWeights {
    static_assert(Bits == 4 || Bits == 8, "a run of four codes is two or four bytes");
    static constant constexpr uint slots = (2 * NF + side - 1) / side;

    device const uchar* codes;
    device const half* scales;
    device const half* biases;
    uint N;
    uint K;
    uint groupSize;
    uint column0;
    Lane lane;
    uint at
        [NF]; // code of the first row of a block, at this lane's first k; the second row is K behind it
    half2 groups[slots]; // scale and bias of rows 8 slot + lane.row, counted over [NF][2]

    QuantWeights(
        device const uchar* codes_,
        device const half* scales_,
        device const half* biases_,
        uint N_,
        uint K_,
        uint groupSize_,
        uint column0_,
        Lane lane_
    )
        : codes(codes_), scales(scales_), biases(biases_), N(N_), K(K_), groupSize(groupSize_),
          column0(column0_), lane(lane_) {
        UNROLL for (uint j = 0; j < NF; j++) {
            at[j] = column(2 * j) * K + 4 * lane.row;
        }
    }

    // column is the product's column for row r of [NF][2]. N is even.
    uint column(uint r) const { return min(column0 + side * (r / 2) + lane.column, N - 2) + r % 2; }

    // entered says whether the step at k0 is the first in its group.
    bool entered(uint k0) const { return k0 % groupSize < Step; }

    void readGroups(uint k0, thread half2 (&to)[slots]) const {
        UNROLL for (uint slot = 0; slot < slots; slot++) {
            const uint group =
                column(min(side * slot + lane.row, uint(2 * NF - 1))) * (K / groupSize) +
                k0 / groupSize;
            to[slot] = half2(scales[group], biases[group]);
        }
    }

    // read returns the codes of row r of [NF][2].
    Codes<Bits> read(uint r, uint k0) const {
        return Codes<Bits>::read(codes, at[r / 2] + r % 2 * K + k0);
    }

    // value is row r of [NF][2]. All lanes must come here.
    vec<T, 4> value(uint r, Codes<Bits> run) const {
        const half2 group = simd_shuffle(groups[r / side], ushort(lane.at(r % side)));
        return vec<T, 4>(run.unpack() * float(group[0]) + float(group[1]));
    }

    // load reads a step's part. K is a multiple of 32.
    void load(uint k0, thread vec<T, 4> (&part)[NF][2]) {
        if (entered(k0)) {
            readGroups(k0, groups);
        }
        UNROLL for (uint r = 0; r < 2 * NF; r++) {
            part[r / 2][r % 2] = value(r, read(r, k0));
        }
    }
};

// StagedQuantWeights copies a SIMD-group's rows of codes into threadgroup memory of its own, Depth neighbours of k at a time, as
// StagedWeights does. So a load covers 32 or 64 bytes of a row, where QuantWeights takes 16 or 32.
template <typename T, int NF, int Bits, int Depth>
struct StagedQuantWeights {
    static constant constexpr uint runs = Depth * Bits / 32; // words of a row
    static constant constexpr uint rowStep = simdWidth / runs;
    static constant constexpr uint flight = side * NF / rowStep; // words that a lane carries
    static constant constexpr uint stride = runs + 1;            // spreads rows over banks
    static constant constexpr uint words = side * NF * stride;

    QuantWeights<T, NF, Bits> quant;
    threadgroup uint* stage;
    uint row;        // of the lane's first word
    uint word;       // of its row, of all of them
    uint at[flight]; // words of codes, in the first step
    uint run[flight];

    StagedQuantWeights(QuantWeights<T, NF, Bits> quant_, threadgroup uint* stage_)
        : quant(quant_), stage(stage_), row(quant_.lane.index / runs),
          word(quant_.lane.index % runs) {
        UNROLL for (uint p = 0; p < flight; p++) {
            at[p] = min(quant.column0 + row + p * rowStep, quant.N - 1) * wordsOf(quant.K) + word;
        }
        fetch(0);
    }

    // wordsOf is how many words hold k codes, a multiple of 32.
    static uint wordsOf(uint k) { return k / 32 * Bits; }

    // fetch reads the words of the step at k0, and zeros behind K.
    void fetch(uint k0) {
        device const uint* from = (device const uint*)quant.codes + wordsOf(k0);
        const bool inside = wordsOf(k0) + word < wordsOf(quant.K);
        UNROLL for (uint p = 0; p < flight; p++) {
            run[p] = inside ? from[at[p]] : 0;
        }
    }

    void load(uint k0, thread vec<T, 4> (&part)[NF][2]) {
        if (k0 % Depth == 0) {
            // All lanes have taken their parts of the rows before.
            simdgroup_barrier(mem_flags::mem_threadgroup);
            UNROLL for (uint p = 0; p < flight; p++) {
                stage[(row + p * rowStep) * stride + word] = run[p];
            }
            // The rows are whole before any lane takes its part.
            simdgroup_barrier(mem_flags::mem_threadgroup);
            fetch(k0 + Depth);
        }
        if (quant.entered(k0)) {
            quant.readGroups(k0, quant.groups);
        }
        UNROLL for (uint r = 0; r < 2 * NF; r++) {
            const uint n = side * (r / 2) + quant.lane.column + r % 2;
            threadgroup const uchar* codes = (threadgroup const uchar*)(stage + n * stride);
            part[r / 2][r % 2] =
                quant.value(r, Codes<Bits>::read(codes, k0 % Depth + 4 * quant.lane.row));
        }
    }
};

// AheadQuantWeights reads a step's codes of QuantWeights, and a group's scales, while the step before is multiplied. They take
// no more than half of the registers that the weights would take.
template <typename T, int NF, int Bits>
struct AheadQuantWeights {
    typedef QuantWeights<T, NF, Bits> Quant;

    Quant quant;
    Codes<Bits> next[2 * NF];
    half2 nextGroups[Quant::slots];

    explicit AheadQuantWeights(Quant quant_) : quant(quant_) { fetch(0); }

    void fetch(uint k0) {
        if (k0 < quant.K) {
            if (quant.entered(k0)) {
                quant.readGroups(k0, nextGroups);
            }
            UNROLL for (uint r = 0; r < 2 * NF; r++) {
                next[r] = quant.read(r, k0);
            }
        }
    }

    void load(uint k0, thread vec<T, 4> (&part)[NF][2]) {
        if (quant.entered(k0)) {
            UNROLL for (uint slot = 0; slot < Quant::slots; slot++) {
                quant.groups[slot] = nextGroups[slot];
            }
        }
        UNROLL for (uint r = 0; r < 2 * NF; r++) {
            part[r / 2][r % 2] = quant.value(r, next[r]);
        }
        fetch(k0 + depth);
    }
};
