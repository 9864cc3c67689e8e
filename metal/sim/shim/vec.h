// vec.h: vectors of 2, 3 and 4 elements, their swizzles, and packed vectors.
//
// These are classes, not clang's own vectors (ext_vector_type), which have swizzles, operators and deduction built in.
// Clang's have no constructors: float4(a, b.xy, 1), half4(f) and, worst, T(x) where T is a template's parameter would
// each need a rewrite, which only a compiler can do right. And their comparisons give -1 in integers where Metal gives
// true in bools. The drawback of classes: a swizzle is a type of its own. A template of a kernel's that deduces from
// v.xy deduces `swizzle`, which converts to the vector but isn't it. The functions and operators here take either.
#pragma once

#define SIM_COMMA ,

// Where registers are counted (tools/check/registers), vectors are copied whole: two halves share a register as long as they are
// part of one value.
#ifndef SIM_COPY
#define SIM_COPY(T, N, to, from)                                                                   \
    for (int i = 0; i < N; i++)                                                                    \
    to[i] = from[i]
#define SIM_CONVERTED(T, N, e)
#endif

namespace metal {

template <class T, int N>
struct vec;

// swizzle is v.zx: the elements I… of a vector; it shares the vector's storage.
template <class T, int... I>
struct swizzle {
    static constexpr int length() {
        int last = 0;
        ((last = I > last ? I : last), ...);
        return last + 1;
    }
    T e[length()];

    swizzle() = default;
    swizzle(const swizzle&) = default;
    SIM_INLINE constexpr operator vec<T, sizeof...(I)>() const {
        return vec<T, sizeof...(I)>(e[I]...);
    }
    SIM_INLINE swizzle& operator=(const vec<T, sizeof...(I)>& v) {
        int i = 0;
        ((e[I] = v.e[i++]), ...);
        return *this;
    }
    SIM_INLINE swizzle& operator=(const swizzle& v) { return *this = vec<T, sizeof...(I)>(v); }
    SIM_INLINE T operator[](int i) const {
        constexpr int index[] = {I...};
        return e[index[i]];
    }
};

// packed_vec has the alignment of its elements: packed_float3 is 12 bytes.
template <class T, int N>
struct packed_vec {
    T e[N];

    packed_vec() = default;
    SIM_INLINE constexpr packed_vec(const vec<T, N>& v) : e{} {
        for (int i = 0; i < N; i++)
            e[i] = v.e[i];
    }
    template <class... A>
        requires(sizeof...(A) == N)
    SIM_INLINE constexpr packed_vec(A... a) : e{T(a)...} {}
    SIM_INLINE constexpr operator vec<T, N>() const {
        vec<T, N> v;
        for (int i = 0; i < N; i++)
            v.e[i] = e[i];
        return v;
    }
    SIM_INLINE constexpr T& operator[](long i) { return e[i]; }
    SIM_INLINE constexpr const T& operator[](long i) const { return e[i]; }
};

namespace detail {

// vector_of<A>::type is the vector that A is or stands for.
template <class A>
struct vector_of {
    static constexpr int size = 0;
};
template <class T, int N>
struct vector_of<vec<T, N>> {
    static constexpr int size = N;
    using element = T;
    using type = vec<T, N>;
};
template <class T, int... I>
struct vector_of<swizzle<T, I...>> : vector_of<vec<T, sizeof...(I)>> {};
template <class T, int N>
struct vector_of<packed_vec<T, N>> : vector_of<vec<T, N>> {};

template <class A>
concept Vector = vector_of<A>::size > 0;
template <class A>
concept Scalar = is_arithmetic_v<A>;
template <class A>
constexpr int size_of = vector_of<A>::size == 0 ? 1 : vector_of<A>::size;

// An operation on vectors takes two of a kind, or one and a scalar, which is converted and spread.
template <class A, class B>
struct common;
template <Vector A, Vector B>
    requires is_same_v<typename vector_of<A>::type, typename vector_of<B>::type>
struct common<A, B> : vector_of<A> {};
template <Vector A, Scalar B>
struct common<A, B> : vector_of<A> {};
template <Scalar A, Vector B>
struct common<A, B> : vector_of<B> {};
template <class A, class B>
using common_t = typename common<A, B>::type;

// The storage of a vector: its elements, under all their names.
template <class T, int N>
struct storage {
    T e[N];
};
#include "swizzles.h"

} // namespace detail

template <class T, int N>
struct alignas((N == 3 ? 4 : N) * sizeof(T)) vec : detail::storage<T, N> {
    using detail::storage<T, N>::e;
    static constexpr int size = N;

    vec() = default;
    SIM_INLINE constexpr vec(const vec& v) : detail::storage<T, N>{{}} { assign(v); }
    SIM_INLINE constexpr vec& operator=(const vec& v) {
        assign(v);
        return *this;
    }
    // One value for all elements.
    template <detail::Scalar S>
    SIM_INLINE constexpr vec(S s) : detail::storage<T, N>{{}} {
        for (int i = 0; i < N; i++)
            e[i] = T(s);
    }
    // Conversion of every element.
    template <detail::Vector A>
        requires(detail::size_of<A> == N && !is_same_v<typename detail::vector_of<A>::element, T>)
    SIM_INLINE constexpr explicit vec(const A& a) : detail::storage<T, N>{{}} {
        typename detail::vector_of<A>::type v = a;
        for (int i = 0; i < N; i++)
            e[i] = T(v.e[i]);
        SIM_CONVERTED(T, N, e);
    }
    // Scalars and vectors, side by side.
    template <class... A>
        requires(sizeof...(A) > 1 && (detail::size_of<A> + ...) == N)
    SIM_INLINE constexpr vec(const A&... a) : detail::storage<T, N>{{}} {
        int at = 0;
        (append(at, a), ...);
    }

    SIM_INLINE constexpr T& operator[](long i) { return e[i]; }
    SIM_INLINE constexpr const T& operator[](long i) const { return e[i]; }

private:
    SIM_INLINE constexpr void assign(const vec& v) { SIM_COPY(T, N, e, v.e); }
    template <class A>
    SIM_INLINE constexpr void append(int& at, const A& a) {
        if constexpr (detail::Vector<A>) {
            typename detail::vector_of<A>::type v = a;
            for (int i = 0; i < detail::size_of<A>; i++)
                e[at++] = T(v.e[i]);
        } else {
            e[at++] = T(a);
        }
    }
};

#define SIM_BINARY(op)                                                                             \
    template <class A, class B>                                                                    \
    SIM_INLINE constexpr detail::common_t<A, B> operator op(const A & a, const B & b) {            \
        using V = detail::common_t<A, B>;                                                          \
        V x = V(a), y = V(b), r;                                                                   \
        for (int i = 0; i < V::size; i++)                                                          \
            r.e[i] = x.e[i] op y.e[i];                                                             \
        return r;                                                                                  \
    }                                                                                              \
    template <detail::Vector A, class B>                                                           \
    SIM_INLINE constexpr A& operator op##=(A & a, const B & b) {                                   \
        using V = detail::common_t<A, B>;                                                          \
        a = V(a) op V(b);                                                                          \
        return a;                                                                                  \
    }
SIM_BINARY(+)
SIM_BINARY(-)
SIM_BINARY(*)
SIM_BINARY(/)
SIM_BINARY(%)
SIM_BINARY(&)
SIM_BINARY(|)
SIM_BINARY(^)
SIM_BINARY(<<)
SIM_BINARY(>>)
#undef SIM_BINARY

#define SIM_COMPARE(op)                                                                            \
    template <class A, class B>                                                                    \
    SIM_INLINE constexpr vec<bool, detail::common_t<A, B>::size> operator op(                      \
        const A & a, const B & b                                                                   \
    ) {                                                                                            \
        using V = detail::common_t<A, B>;                                                          \
        V x = V(a), y = V(b);                                                                      \
        vec<bool, V::size> r;                                                                      \
        for (int i = 0; i < V::size; i++)                                                          \
            r.e[i] = x.e[i] op y.e[i];                                                             \
        return r;                                                                                  \
    }
SIM_COMPARE(==)
SIM_COMPARE(!=)
SIM_COMPARE(<)
SIM_COMPARE(<=)
SIM_COMPARE(>)
SIM_COMPARE(>=)
SIM_COMPARE(&&)
SIM_COMPARE(||)
#undef SIM_COMPARE

#define SIM_UNARY(op, result)                                                                      \
    template <detail::Vector A>                                                                    \
    SIM_INLINE constexpr result operator op(const A& a) {                                          \
        typename detail::vector_of<A>::type v = a;                                                 \
        result r;                                                                                  \
        for (int i = 0; i < v.size; i++)                                                           \
            r.e[i] = op v.e[i];                                                                    \
        return r;                                                                                  \
    }
SIM_UNARY(+, typename detail::vector_of<A>::type)
SIM_UNARY(-, typename detail::vector_of<A>::type)
SIM_UNARY(~, typename detail::vector_of<A>::type)
SIM_UNARY(!, vec<bool SIM_COMMA detail::size_of<A>>)
#undef SIM_UNARY

#define SIM_VECTORS(T)                                                                             \
    using T##2 = vec<T, 2>;                                                                        \
    using T##3 = vec<T, 3>;                                                                        \
    using T##4 = vec<T, 4>;                                                                        \
    using packed_##T##2 = packed_vec<T, 2>;                                                        \
    using packed_##T##3 = packed_vec<T, 3>;                                                        \
    using packed_##T##4 = packed_vec<T, 4>;
#define SIM_EVERY_VECTOR                                                                           \
    SIM_VECTORS(bool)                                                                              \
    SIM_VECTORS(char)                                                                              \
    SIM_VECTORS(uchar)                                                                             \
    SIM_VECTORS(short)                                                                             \
    SIM_VECTORS(ushort)                                                                            \
    SIM_VECTORS(int)                                                                               \
    SIM_VECTORS(uint)                                                                              \
    SIM_VECTORS(long)                                                                              \
    SIM_VECTORS(ulong)                                                                             \
    SIM_VECTORS(half)                                                                              \
    SIM_VECTORS(bfloat)                                                                            \
    SIM_VECTORS(float)
SIM_EVERY_VECTOR

} // namespace metal

// Vectors are types of the language, not of namespace metal.
#undef SIM_VECTORS
#define SIM_VECTORS(T)                                                                             \
    using metal::T##2;                                                                             \
    using metal::T##3;                                                                             \
    using metal::T##4;                                                                             \
    using metal::packed_##T##2;                                                                    \
    using metal::packed_##T##3;                                                                    \
    using metal::packed_##T##4;
SIM_EVERY_VECTOR
#undef SIM_VECTORS
#undef SIM_EVERY_VECTOR

// as_type keeps the bits.
template <class T, class U>
SIM_INLINE T as_type(const U& u) {
    static_assert(sizeof(T) == sizeof(U), "as_type: sizes differ");
    T t;
    __builtin_memcpy(&t, &u, sizeof t);
    return t;
}
namespace metal {
using ::as_type;
}
