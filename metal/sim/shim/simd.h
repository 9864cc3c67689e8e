// simd.h: <metal_simdgroup> and <metal_quadgroup>. Only lanes that have not returned take part; a lane that reads from
// one that has returned gets 0. (Metal leaves it undefined.)
#pragma once

namespace sim::shim {

template <class T>
SIM_INLINE T& in(Simdgroup* g, unsigned lane) {
    return *reinterpret_cast<T*>(g->in[lane]);
}
template <class T>
SIM_INLINE T& out(Simdgroup* g, unsigned lane) {
    return *reinterpret_cast<T*>(g->out[lane]);
}

// collective passes value to op and returns op's result for the running lane.
template <class T, class R = T>
SIM_RUNTIME R collective(T value, void (*op)(Simdgroup*), Position here, unsigned parameter = 0) {
    static_assert(sizeof(T) <= sizeof(Simdgroup::in[0]), "too large for a SIMD-group function");
    Lane* lane = currentLane();
    Simdgroup* g = lane->simdgroup;
    in<T>(g, lane->lane) = value;
    g->parameter[lane->lane] = parameter;
    arrive(lane, op, here);
    return out<R>(g, lane->lane);
}

// SIM_LANES loops over the lanes that take part.
#define SIM_LANES(i)                                                                               \
    for (unsigned mask_ = g->atOp, i = 0; mask_ != 0 && (i = __builtin_ctz(mask_), true);          \
         mask_ &= mask_ - 1)

// The operations of reductions on two values.
struct Sum {
    static constexpr int neutral = 0;
    template <class T>
    SIM_INLINE static T apply(const T& a, const T& b) {
        return T(a + b);
    }
};
struct Product {
    static constexpr int neutral = 1;
    template <class T>
    SIM_INLINE static T apply(const T& a, const T& b) {
        return T(a * b);
    }
};
struct Maximum {
    template <class T>
    SIM_INLINE static T apply(const T& a, const T& b) {
        return T(metal::max(a, b));
    }
};
struct Minimum {
    template <class T>
    SIM_INLINE static T apply(const T& a, const T& b) {
        return T(metal::min(a, b));
    }
};
struct And {
    template <class T>
    SIM_INLINE static T apply(const T& a, const T& b) {
        return T(a & b);
    }
};
struct Or {
    template <class T>
    SIM_INLINE static T apply(const T& a, const T& b) {
        return T(a | b);
    }
};
struct Xor {
    template <class T>
    SIM_INLINE static T apply(const T& a, const T& b) {
        return T(a ^ b);
    }
};

// reduce combines the lanes of every group of Width, in order of lanes; the order on hardware is not documented.
template <class F, class T, unsigned Width>
SIM_UNCHECKED void reduce(Simdgroup* g) {
    for (unsigned first = 0; first < lanesPerSimdgroup; first += Width) {
        bool any = false;
        T total{};
        for (unsigned i = first; i < first + Width; i++) {
            if ((g->atOp >> i & 1) == 0) continue;
            total = any ? F::apply(total, in<T>(g, i)) : in<T>(g, i);
            any = true;
        }
        for (unsigned i = first; i < first + Width; i++)
            out<T>(g, i) = total;
    }
}

// scan gives each lane the combination of those before it, and its own if Inclusive.
template <class F, class T, unsigned Width, bool Inclusive>
SIM_UNCHECKED void scan(Simdgroup* g) {
    for (unsigned first = 0; first < lanesPerSimdgroup; first += Width) {
        T total = T(F::neutral);
        for (unsigned i = first; i < first + Width; i++) {
            if ((g->atOp >> i & 1) == 0) continue;
            if constexpr (!Inclusive) out<T>(g, i) = total;
            total = F::apply(total, in<T>(g, i));
            if constexpr (Inclusive) out<T>(g, i) = total;
        }
    }
}

// shuffle gives each lane the value of the lane that its parameter names.
template <class T>
SIM_UNCHECKED void shuffle(Simdgroup* g) {
    SIM_LANES(i) {
        unsigned from = g->parameter[i];
        out<T>(g, i) = from < lanesPerSimdgroup && (g->atOp >> from & 1) ? in<T>(g, from) : T(0);
    }
}

template <class T>
SIM_UNCHECKED void first(Simdgroup* g) {
    unsigned from = __builtin_ctz(g->atOp);
    SIM_LANES(i) out<T>(g, i) = in<T>(g, from);
}

inline SIM_UNCHECKED void ballot(Simdgroup* g) {
    unsigned votes = 0;
    SIM_LANES(i) votes |= unsigned(in<bool>(g, i)) << i;
    SIM_LANES(i) out<unsigned>(g, i) = votes;
}

inline SIM_UNCHECKED void active(Simdgroup* g) {
    SIM_LANES(i) out<unsigned>(g, i) = g->atOp;
}

// value_t<T> is T, or for a swizzle the vector that it stands for.
template <class T>
struct value_type {
    using type = T;
};
template <class T, int... I>
struct value_type<metal::swizzle<T, I...>> {
    using type = metal::vec<T, sizeof...(I)>;
};
template <class T>
using value_t = typename value_type<T>::type;

SIM_INLINE unsigned lane() {
    return currentLane()->lane;
}

} // namespace sim::shim

namespace metal {

#define SIM_REDUCE(name, F)                                                                        \
    template <class T>                                                                             \
    SIM_INLINE sim::shim::value_t<T> simd_##name(T x, SIM_HERE) {                                  \
        using V = sim::shim::value_t<T>;                                                           \
        return sim::shim::collective<V>(x, &sim::shim::reduce<sim::shim::F, V, 32>, here);         \
    }                                                                                              \
    template <class T>                                                                             \
    SIM_INLINE sim::shim::value_t<T> quad_##name(T x, SIM_HERE) {                                  \
        using V = sim::shim::value_t<T>;                                                           \
        return sim::shim::collective<V>(x, &sim::shim::reduce<sim::shim::F, V, 4>, here);          \
    }
SIM_REDUCE(sum, Sum)
SIM_REDUCE(product, Product)
SIM_REDUCE(max, Maximum)
SIM_REDUCE(min, Minimum)
SIM_REDUCE(and, And)
SIM_REDUCE(or, Or)
SIM_REDUCE(xor, Xor)
#undef SIM_REDUCE

#define SIM_SCAN(name, F, inclusive)                                                               \
    template <class T>                                                                             \
    SIM_INLINE T simd_prefix_##name(T x, SIM_HERE) {                                               \
        return sim::shim::collective<T>(                                                           \
            x, &sim::shim::scan<sim::shim::F, T, 32, inclusive>, here                              \
        );                                                                                         \
    }                                                                                              \
    template <class T>                                                                             \
    SIM_INLINE T quad_prefix_##name(T x, SIM_HERE) {                                               \
        return sim::shim::collective<T>(x, &sim::shim::scan<sim::shim::F, T, 4, inclusive>, here); \
    }
SIM_SCAN(inclusive_sum, Sum, true)
SIM_SCAN(exclusive_sum, Sum, false)
SIM_SCAN(inclusive_product, Product, true)
SIM_SCAN(exclusive_product, Product, false)
#undef SIM_SCAN

// Shuffles. A lane gets the value of lane `from`, in terms of i, the running lane, and s, the argument. A lane that
// would read from outside its group keeps its own value, or gets the fill.
#define SIM_SHUFFLE(name, outside, from)                                                           \
    template <class T>                                                                             \
    SIM_INLINE sim::shim::value_t<T> name(T x, ushort s, SIM_HERE) {                               \
        using V = sim::shim::value_t<T>;                                                           \
        unsigned i = sim::shim::lane();                                                            \
        return sim::shim::collective<V>(x, &sim::shim::shuffle<V>, here, (outside) ? i : (from));  \
    }
// With a fill, lanes may be taken as several vectors of `modulo` lanes.
#define SIM_SHUFFLE_FILL(name, outside, from)                                                      \
    template <class T>                                                                             \
    SIM_INLINE T name(T x, T fill, ushort s, ushort modulo, SIM_HERE) {                            \
        unsigned i = sim::shim::lane();                                                            \
        T got = sim::shim::collective<T>(x, &sim::shim::shuffle<T>, here, (outside) ? i : (from)); \
        return (outside) ? fill : got;                                                             \
    }                                                                                              \
    template <class T>                                                                             \
    SIM_INLINE T name(T x, T fill, ushort s, SIM_HERE) {                                           \
        return name(x, fill, s, ushort(32), here);                                                 \
    }
SIM_SHUFFLE(simd_shuffle, false, s)
SIM_SHUFFLE(simd_broadcast, false, s)
SIM_SHUFFLE(simd_shuffle_xor, false, i ^ s)
SIM_SHUFFLE(simd_shuffle_up, i < s, i - s)
SIM_SHUFFLE(simd_shuffle_down, i + s > 31, i + s)
SIM_SHUFFLE(simd_shuffle_rotate_up, false, (i - s) & 31)
SIM_SHUFFLE(simd_shuffle_rotate_down, false, (i + s) & 31)
SIM_SHUFFLE_FILL(simd_shuffle_and_fill_up, i % modulo < s, i - s)
SIM_SHUFFLE_FILL(simd_shuffle_and_fill_down, i % modulo + s >= modulo, i + s)
SIM_SHUFFLE(quad_shuffle, false, (i & ~3u) + (s & 3))
SIM_SHUFFLE(quad_broadcast, false, (i & ~3u) + (s & 3))
SIM_SHUFFLE(quad_shuffle_xor, false, i ^ (s & 3))
SIM_SHUFFLE(quad_shuffle_up, (i & 3) < s, i - s)
SIM_SHUFFLE(quad_shuffle_down, (i & 3) + s > 3, i + s)
#undef SIM_SHUFFLE
#undef SIM_SHUFFLE_FILL

template <class T>
SIM_INLINE sim::shim::value_t<T> simd_broadcast_first(T x, SIM_HERE) {
    using V = sim::shim::value_t<T>;
    return sim::shim::collective<V>(x, &sim::shim::first<V>, here);
}

struct simd_vote {
    using vote_t = ulong;
    vote_t votes;
    simd_vote() = default;
    constexpr explicit simd_vote(vote_t v) : votes(v) {}
    constexpr explicit operator vote_t() const { return votes; }
    bool all() const { return votes == 0xFFFFFFFF; }
    bool any() const { return votes != 0; }
};
SIM_INLINE simd_vote simd_ballot(bool x, SIM_HERE) {
    return simd_vote(sim::shim::collective<bool, unsigned>(x, &sim::shim::ballot, here));
}
SIM_INLINE bool simd_any(bool x, SIM_HERE) {
    return sim::shim::collective<bool, unsigned>(x, &sim::shim::ballot, here) != 0;
}
SIM_INLINE bool simd_all(bool x, SIM_HERE) {
    return sim::shim::collective<bool, unsigned>(!x, &sim::shim::ballot, here) == 0;
}
SIM_INLINE simd_vote simd_active_threads_mask(SIM_HERE) {
    return simd_vote(sim::shim::collective<bool, unsigned>(true, &sim::shim::active, here));
}
SIM_INLINE bool simd_is_first(SIM_HERE) {
    unsigned mask = sim::shim::collective<bool, unsigned>(true, &sim::shim::active, here);
    return unsigned(__builtin_ctz(mask)) == sim::shim::lane();
}
SIM_INLINE bool simd_is_helper_thread() {
    return false;
}

} // namespace metal
