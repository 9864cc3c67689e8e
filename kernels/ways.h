// ways.h: the ways of weights into registers that variants of the products have.
#pragma once

#include "params.h"
#include "quant.h"

constant constexpr int direct = 0;
constant constexpr int ahead = 1;
constant constexpr int staged = 2;

// DenseWay makes the reader of dense weights for a way; elements is its room in threadgroup memory for each SIMD-group.
template <typename T, int NF, int Depth, int Way>
struct DenseWay {
    static constant constexpr uint elements = 0;
    static DenseWeights<T, NF> make(
        device const T* w,
        threadgroup T*,
        GemmArgs args,
        uint column0,
        Lane lane
    ) {
        return DenseWeights<T, NF>(w, args.N, args.K, column0, lane);
    }
};

template <typename T, int NF, int Depth>
struct DenseWay<T, NF, Depth, ahead> {
    static constant constexpr uint elements = 0;
    static AheadWeights<T, NF> make(
        device const T* w,
        threadgroup T*,
        GemmArgs args,
        uint column0,
        Lane lane
    ) {
        return AheadWeights<T, NF>(DenseWeights<T, NF>(w, args.N, args.K, column0, lane));
    }
};

template <typename T, int NF, int Depth>
struct DenseWay<T, NF, Depth, staged> {
    typedef StagedWeights<T, NF, Depth> Weights;
    static constant constexpr uint elements = Weights::elements;
    static Weights make(
        device const T* w,
        threadgroup T* stage,
        GemmArgs args,
        uint column0,
        Lane lane
    ) {
        return Weights(w, stage, args.N, args.K, column0, lane);
    }
};

// QuantWay is the same for weights in groups. Elements are of T.
template <typename T, int NF, int Bits, int Depth, int Way>
struct QuantWay {
    typedef QuantWeights<T, NF, Bits> Weights;
    static constant constexpr uint elements = 0;
    static Weights make(Weights quant, threadgroup T*) { return quant; }
};

template <typename T, int NF, int Bits, int Depth>
struct QuantWay<T, NF, Bits, Depth, ahead> {
    typedef AheadQuantWeights<T, NF, Bits> Weights;
    static constant constexpr uint elements = 0;
    static Weights make(QuantWeights<T, NF, Bits> quant, threadgroup T*) { return Weights(quant); }
};

template <typename T, int NF, int Bits, int Depth>
struct QuantWay<T, NF, Bits, Depth, staged> {
    typedef StagedQuantWeights<T, NF, Bits, Depth> Weights;
    static constant constexpr uint elements = Weights::words * sizeof(uint) / sizeof(T);
    static Weights make(QuantWeights<T, NF, Bits> quant, threadgroup T* stage) {
        return Weights(quant, (threadgroup uint*)stage);
    }
};
